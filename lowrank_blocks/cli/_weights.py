"""The options ``--row-weights`` and ``--col-weights``, of one matrix and of checkpoints."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lowrank_blocks._validation import Matrix
from lowrank_blocks.files import read_array
from lowrank_blocks.models.weighing import AXES, WeightsFile
from lowrank_blocks.solver.weights import as_weights

_FILES = "by the names of matrices .npz or .safetensors"


def add_weights(sub: argparse.ArgumentParser, *, of_one: bool = True) -> None:
    """Add the options; without `of_one` only for checkpoints."""
    files = f".npy with a vector or a matrix; of checkpoints {_FILES}" if of_one else _FILES
    for axis, what in zip(AXES, ("rows", "columns"), strict=True):
        sub.add_argument(
            _option(axis),
            type=Path,
            metavar="FILE",
            help=f"weights of the {what} that make the norm: {files}",
        )


def refuse(args: argparse.Namespace, why: str) -> None:
    """Refuse the options where they do nothing."""
    for axis in _given(args):
        raise ValueError(f"{_option(axis)} must come with --base and --tuned, {why}.")


def of_matrix(args: argparse.Namespace, sources: Mapping[str, Callable[[], Matrix]]) -> dict[str, Any]:
    """Return the weights of the one matrix that is compared, checked, by the names of the library."""
    given = _given(args)
    if not given:
        return {}
    if len(sources) != 1:
        option, several = _option(next(iter(given))), ", ".join(sources)
        raise ValueError(f"{option} must come with one matrix, got {len(sources)}: {several}.")
    (read,) = sources.values()
    m, n = read().shape
    found = {axis: read_array(path, args.memory) for axis, path in given.items()}
    rows, cols = AXES
    as_weights(found.get(rows), found.get(cols), (m, n), (str(given.get(rows)), str(given.get(cols))))
    return found


def by_name(args: argparse.Namespace) -> dict[str, Any]:
    """Return the weights of matrices of checkpoints, by the names of the library."""
    return {axis: WeightsFile(path) for axis, path in _given(args).items()}


def command(args: argparse.Namespace) -> dict[str, Path | None]:
    """Return the options by name, for the command line that asks for this."""
    return {_option(axis).removeprefix("--"): getattr(args, axis) for axis in AXES}


def _given(args: argparse.Namespace) -> dict[str, Path]:
    return {axis: path for axis in AXES if (path := getattr(args, axis)) is not None}


def _option(axis: str) -> str:
    return f"--{axis.replace('_', '-')}"
