"""Options and steps that the subcommands on checkpoints share."""

from __future__ import annotations

import argparse
import contextlib
import shlex
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from lowrank_blocks._escaping import printable
from lowrank_blocks._tables import Table
from lowrank_blocks.checkpoints.updates import Updates, iter_updates
from lowrank_blocks.cli._arguments import positive
from lowrank_blocks.cli._streams import say
from lowrank_blocks.models.workers import dask_workers, processes

_WORK_SPACE = 6  # times the largest matrix in float64: both weights, the update, and what its spectra need
LAYOUTS = {"auto": None, "yes": True, "no": False}


def add_checkpoints(sub: argparse.ArgumentParser) -> None:
    """Add the options that say which updates, and where the work is done."""
    add = sub.add_argument
    kinds = ".safetensors, .npz, .bin, .pt, a folder of .npy or a model directory"
    add("--base", type=Path, metavar="B", help=f"checkpoint before fine-tuning: {kinds}")
    add("--tuned", type=Path, metavar="T", help="checkpoint after fine-tuning")
    add("--include", metavar="RE", help="only matrices in whose name this regular expression is found")
    add("--exclude", metavar="RE", help="no matrices in whose name this regular expression is found")
    add(
        "--fan-in-fan-out",
        choices=LAYOUTS,
        default="auto",
        help="whether weights are stored as (in, out), as GPT-2's Conv1D; auto asks the configuration",
    )
    add("--workers", type=positive, default=1, metavar="N", help="processes on this machine (default 1)")
    add("--dask", metavar="ADDRESS", help="scheduler of a Dask cluster whose workers can read the files")
    add("--dry-run", action="store_true", help="show what would be done, the memory and the numbers stored")


def refuse(args: argparse.Namespace, without: str) -> None:
    """Refuse the options of checkpoints where none are given, instead of ignoring them."""
    defaults = {"include": None, "exclude": None, "fan_in_fan_out": "auto", "workers": 1, "dask": None}
    for option, default in {**defaults, "dry_run": False}.items():
        if getattr(args, option) != default:
            raise ValueError(f"--{option.replace('_', '-')} must come with --base and --tuned, {without}.")


def require_both(args: argparse.Namespace) -> None:
    """Refuse one checkpoint without the other."""
    if args.base is None or args.tuned is None:
        raise ValueError("--base and --tuned must both be given.")


def opened(args: argparse.Namespace) -> Updates:
    """Return the updates that the options ask for."""
    require_both(args)
    return iter_updates(
        args.base,
        args.tuned,
        include=args.include,
        exclude=args.exclude,
        fan_in_fan_out=LAYOUTS[args.fan_in_fan_out],
    )


@contextlib.contextmanager
def executor(args: argparse.Namespace) -> Iterator[Executor | None]:
    """Yield the workers that the options ask for; None for this process alone."""
    if args.dask is not None and args.workers > 1:
        raise ValueError("--workers and --dask must not be given together.")
    if args.dask is not None:
        with dask_workers(args.dask) as workers:
            yield workers
    elif args.workers > 1:
        with processes(args.workers) as workers:
            yield workers
    else:
        yield None


def dry_run(updates: Updates, rank: int, budget: int | None) -> str:
    """Return what would be done: the matrices, the numbers that a rank or a budget stores, the memory."""
    shapes = {name: updates.shape(name) for name in updates.names}
    rank = rank if budget is None else budget // sum(map(sum, shapes.values()))
    rows = [(name, f"{m}×{n}", rank * (m + n)) for name, (m, n) in shapes.items()]
    largest = max(m * n for m, n in shapes.values())
    total = sum(count for *_, count in rows)
    dense = sum(m * n for m, n in shapes.values())
    table = Table(
        ("name", "shape", "n_parameters"),
        tuple(rows),
        f"{len(rows)} matrices with {dense} entries, {len(updates.skipped)} tensors left out",
        f"{'' if budget is None else f'within the budget of {budget} '}rank {rank} everywhere stores {total} "
        f"numbers, {total / dense:.2%} of the entries; "
        f"memory about {_WORK_SPACE * 8 * largest / 2**20:.0f} MiB a worker",
    )
    return table.to_text()


def command(args: argparse.Namespace, name: str, options: Mapping[str, Any]) -> str:
    """Return the command line that asks for this result, without what does not change it."""
    words = ["lowrank-blocks", name]
    for option in ("base", "tuned", "adapter"):
        if getattr(args, option, None) is not None:
            words += [f"--{option}", str(getattr(args, option))]
    for option, value in {"include": args.include, "exclude": args.exclude, **options}.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None and one is not False:
                words += [f"--{option}"] if one is True else [f"--{option}", str(one)]
    if args.fan_in_fan_out != "auto":
        words += ["--fan-in-fan-out", args.fan_in_fan_out]
    return printable(shlex.join(words))


def report_failures(failed: Mapping[str, str]) -> int:
    """Name the matrices that could not be used on standard error, and return the exit code."""
    for name, reason in failed.items():
        say(f"{name} is left out: {reason}")
    return 1 if failed else 0
