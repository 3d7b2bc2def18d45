"""From an adapter to a smaller one, or to one of another structure, without forming any update."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from lowrank_blocks._version import __version__
from lowrank_blocks.adapters.adapter import Adapter
from lowrank_blocks.adapters.loading import load_adapter
from lowrank_blocks.adapters.writing import write_adapter
from lowrank_blocks.allocation.budgets import as_budget
from lowrank_blocks.allocation.uniform import uniform
from lowrank_blocks.models.assignments import assign
from lowrank_blocks.models.candidates import Candidate
from lowrank_blocks.models.extraction import Extraction, as_ranks
from lowrank_blocks.models.layers import allocated
from lowrank_blocks.models.losses import errors
from lowrank_blocks.models.plans import as_structures
from lowrank_blocks.models.rest import LeftOut
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.structures.base import Structure


def recompress_adapter(
    adapter: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    structure: Structure | Sequence[Structure],
    budget: int | None = None,
    rank: int | None = None,
    ranks: str = "adaptive",
    format: str | None = None,  # noqa: A002
    dtype: str = "float32",
    base_model: str | None = None,
    command: str | None = None,
) -> Extraction:
    """Write a LoRA adapter anew at a smaller rank, or in another structure.

    Of every block only a small core is decomposed, from QR factorisations of the adapter's factors.

    Parameters
    ----------
    adapter : path
        The directory of a LoRA adapter; see `load_adapter`.
    out : path
        The new directory.
    structure : Structure or sequence of Structure
        Of all matrices; of several, one is chosen for every matrix as by `plan`.
    budget, rank : int
        What all matrices together may store, or the global rank that stands for it.
    ranks : {"adaptive", "uniform"}, optional
        Ranks chosen across all matrices and blocks, or the same rank everywhere.
    format, dtype, base_model : optional
        Of the new adapter; see `write_adapter`.
    command : str, optional
        The command that asks for this, for the model card.

    Returns
    -------
    Extraction
        Errors are relative to the updates of the given adapter.

    Raises
    ------
    CheckpointError, TypeError, ValueError
        As for `load_adapter`, `plan` and `write_adapter`.

    Examples
    --------
    >>> import numpy as np, tempfile, lowrank_blocks as lb
    >>> best = lb.approximate(np.diag([4.0, 3, 0, 0]), lb.Global(), rank=2)
    >>> with tempfile.TemporaryDirectory() as old, tempfile.TemporaryDirectory() as new:
    ...     _ = lb.write_adapter(old, {"query.weight": best})
    ...     made = lb.recompress_adapter(old, new, structure=lb.Global(), rank=1)
    >>> round(made.relative_error, 6)
    0.6
    """
    as_ranks(ranks)
    structures, given = as_structures(structure), load_adapter(adapter)
    count = as_budget(budget, rank, sum(map(sum, given.shapes.values())))
    made = _same(given, structures, count) if ranks == "uniform" else _across(given, structures, count)
    written = write_adapter(
        out,
        made,
        format=format,
        dtype=dtype,
        base_model=base_model or given.config.get("base_model_name_or_path"),
        rest=given.rest or None,
        flipped=given.flipped,
        embeddings=given.embeddings,
        metadata={"command": command, "version": __version__},
    )
    held = math.hypot(*(a.accuracy.norm for a in made.values()))
    return Extraction(written, *errors(made, written), LeftOut({}, {}, held), {})


def _same(given: Adapter, structures: Sequence[Structure], budget: int) -> dict[str, Approximation]:
    """Return the approximations at the same rank everywhere."""
    single, *others = structures
    if others:
        raise ValueError("ranks='uniform' must come with one structure; for several write ranks='adaptive'.")
    rank = budget // sum(map(sum, given.shapes.values()))
    return given.recompress(single, rank=rank, allocate=uniform)


def _across(given: Adapter, structures: Sequence[Structure], budget: int) -> dict[str, Approximation]:
    """Return the approximations with structures and ranks chosen across all matrices."""
    decomposed = [given.decompose(structure) for structure in structures]
    options: Mapping[str, Any] = {
        name: [Candidate.of_parts(parts[name]) for parts in decomposed] for name in given.names
    }
    found = assign(list(options.values()), budget)
    chosen = {name: c[k] for (name, c), k in zip(options.items(), found.chosen, strict=True)}
    made: dict[str, Approximation] = allocated(chosen, found)["_approximations"]
    return made
