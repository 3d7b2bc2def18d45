"""What a partition is, in a few words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.cells import Block

Place = tuple[slice, slice]


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
    if len(used) == len(blocks) and structure.has_name:
        return repr(structure)
    places = [place for block in used for place in block.rectangles()]
    if len(places) == 1:
        return f"one block, {_place(places[0])}"
    corner = _missing_corner(places)
    if corner is not None and len(places) == len(used):
        return f"L-shape of {len(used)} blocks, {_place(_hull(places))} without its {corner}"
    name = f" of {structure!r}" if structure.has_name else ""
    return f"{len(used)} of {len(blocks)} blocks{name}" if len(used) < len(blocks) else f"{len(used)} blocks"


def _place(place: Place) -> str:
    rows, cols = place
    return f"rows {rows.start}:{rows.stop}, columns {cols.start}:{cols.stop}"


def _hull(places: Sequence[Place]) -> Place:
    rows, cols = zip(*places, strict=True)
    return _span(rows), _span(cols)


def _span(parts: Sequence[slice]) -> slice:
    return slice(min(part.start for part in parts), max(part.stop for part in parts))


def _missing_corner(places: Sequence[Place]) -> str | None:
    """Return which corner of their hull the blocks leave out, if they fill all but one rectangle there."""
    rows, cols = _hull(places)
    empty = np.ones((rows.stop - rows.start, cols.stop - cols.start), dtype=bool)
    for r, c in places:
        empty[r.start - rows.start : r.stop - rows.start, c.start - cols.start : c.stop - cols.start] = False
    (height, width), tall, wide = empty.shape, int(empty.any(axis=1).sum()), int(empty.any(axis=0).sum())
    if not empty.any() or int(empty.sum()) != tall * wide or tall == height or wide == width:
        return None
    corners = {
        "top left": empty[0, 0],
        "top right": empty[0, -1],
        "bottom left": empty[-1, 0],
        "bottom right": empty[-1, -1],
    }
    return next((name for name, free in corners.items() if free), None)
