"""Which blocks are solved together: those of one shape, so many at a time as memory and threads suggest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TypeVar

from lowrank_blocks._validation import Shape

Result = TypeVar("Result")

_FEW = 8  # slabs, unless they are too large or too small: threads wait for each other between them
_SMALLEST, _LARGEST = 1 << 13, 1 << 18  # entries
_RELEASED = 500  # numpy keeps the interpreter's lock for calls that return no more singular values


def groups(shapes: Sequence[Shape]) -> list[list[int]]:
    """Return the indices of blocks of each shape."""
    found: dict[Shape, list[int]] = {}
    for k, shape in enumerate(shapes):
        found.setdefault(shape, []).append(k)
    return list(found.values())


def slabs(group: list[int], shape: Shape) -> list[list[int]]:
    """Cut a group of blocks of one shape into a few slabs, neither too small to pay nor too large."""
    size = shape[0] * shape[1]
    least = max(_SMALLEST // size, _RELEASED // min(shape) + 1)
    step = max(1, min(_LARGEST // size, max(least, -(-len(group) // _FEW))))
    return [group[i : i + step] for i in range(0, len(group), step)]


def restored(cut: Sequence[list[int]], solved: Sequence[Sequence[Result]]) -> list[Result]:
    """Return what was found slab by slab in the order of the indices ``0, 1, ...``."""
    by_index = dict(zip(chain(*cut), chain(*solved), strict=True))
    return [by_index[k] for k in range(len(by_index))]
