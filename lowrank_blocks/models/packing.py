"""Factors as arrays of the journal, and back."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from lowrank_blocks.linalg import BlockFactors, Pack, PackedFactors
from lowrank_blocks.models.journal import Arrays
from lowrank_blocks.solver.direct import LeadingFactors
from lowrank_blocks.structures.base import Layout, Structure


def split(flat: Any, lengths: Any) -> list[Any]:
    """Return consecutive parts of an array, which must have their length in all."""
    ends = np.cumsum(lengths)
    if ends[-1] != len(flat):
        raise ValueError(f"factors must have {ends[-1]} numbers, got {len(flat)}.")
    return [flat[a:b] for a, b in pairwise([0, *ends.tolist()])]


def packed_leading(leading: LeadingFactors) -> dict[str, Any]:
    """Return leading factors as arrays: of every pack its blocks, one pack after another."""
    found = leading.found
    packs, order = found.factors.packs, found.factors.order
    return {
        "left": np.concatenate([pack.left for pack in packs]),
        "right": np.concatenate([pack.right for pack in packs]),
        "ranks": np.concatenate([pack.ranks for pack in packs]),
        "order": np.concatenate(order),
        "sizes": np.array([len(chosen) for chosen in order]),
        "norm": found.norm,
        "error": found.error,
        "excess": found.excess,
        "methods": np.array(found.methods),
        "outside": np.array([leading.outside]),
        "flags": np.array([leading.exponent, leading.narrow]),
    }


def unpacked_leading(arrays: Arrays, structure: Structure, layout: Layout) -> LeadingFactors:
    """Return the leading factors that arrays hold.

    Raises
    ------
    KeyError, ValueError
        If they do not hold them.
    """
    stored: dict[str, Any] = dict(arrays)
    methods = tuple(stored["methods"].tolist())
    norm, error, excess = (stored[name] for name in ("norm", "error", "excess"))
    found = BlockFactors(_factors(stored, layout), norm, error, excess, np.zeros_like(error), methods)
    (outside,), (exponent, narrow) = stored["outside"].tolist(), stored["flags"].tolist()
    return LeadingFactors(structure, layout, found, exponent, outside, bool(narrow))


def _factors(stored: dict[str, Any], layout: Layout) -> PackedFactors:
    order = split(stored["order"], stored["sizes"])
    ranks = split(stored["ranks"], stored["sizes"])
    shapes = [layout.block_shapes[chosen[0]] for chosen in order]
    sides: Any = np.array(shapes)
    counts = np.array([int(r.sum()) for r in ranks])
    parts = zip(
        shapes,
        ranks,
        split(stored["left"], sides[:, 0] * counts),
        split(stored["right"], sides[:, 1] * counts),
        strict=True,
    )
    return PackedFactors([Pack(*part) for part in parts], order)
