"""What a partition is, in a few words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.structures.axes import Block
from lowrank_blocks.structures.grids import Partition, Structure


def verdict(structure: Structure, blocks: Sequence[Block], ranks: NDArray[np.int64]) -> str:
    """Name a structure by its blocks of positive rank.

    Returns
    -------
    str
        The named structure, "nothing", one block and where it lies, an L-shape and its corner, or
        how many blocks are in use.
    """
    used = [block for block, rank in zip(blocks, ranks, strict=True) if rank > 0]
    if not used:
        return "nothing"
    if len(used) == len(blocks) and not isinstance(structure, Partition):
        return repr(structure)
    if len(used) == 1:
        return f"one block, {_place(used[0])}"
    corner = _missing_corner(used)
    if corner is not None:
        return f"L-shape of {len(used)} blocks, {_place(_hull(used))} without its {corner}"
    name = "" if isinstance(structure, Partition) else f" of {structure!r}"
    return f"{len(used)} of {len(blocks)} blocks{name}" if len(used) < len(blocks) else f"{len(used)} blocks"


def _place(block: Block) -> str:
    rows, cols = block
    return f"rows {rows.start}:{rows.stop}, columns {cols.start}:{cols.stop}"


def _hull(blocks: Sequence[Block]) -> Block:
    rows = slice(min(b.rows.start for b in blocks), max(b.rows.stop for b in blocks))
    return Block(rows, slice(min(b.cols.start for b in blocks), max(b.cols.stop for b in blocks)))


def _missing_corner(blocks: Sequence[Block]) -> str | None:
    """Return which corner of their hull the blocks leave out, if they fill all but one rectangle there."""
    hull = _hull(blocks)
    height, width = hull.shape
    empty = np.ones((height, width), dtype=bool)
    for rows, cols in blocks:
        empty[
            rows.start - hull.rows.start : rows.stop - hull.rows.start,
            cols.start - hull.cols.start : cols.stop - hull.cols.start,
        ] = False
    tall, wide = int(empty.any(axis=1).sum()), int(empty.any(axis=0).sum())
    if not empty.any() or int(empty.sum()) != tall * wide or tall == height or wide == width:
        return None
    corners = {
        "top left": empty[0, 0],
        "top right": empty[0, -1],
        "bottom left": empty[-1, 0],
        "bottom right": empty[-1, -1],
    }
    return next((name for name, free in corners.items() if free), None)
