"""Which rows and columns a block takes its entries from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._validation import Shape

Selection = slice | NDArray[np.intp]
IndexSet = range | tuple[int, ...]
Rectangle = tuple[int, int, int, int]  # first row, last row plus 1, first column, last column plus 1


class Block(NamedTuple):
    """Some rows and some columns of a matrix.

    Attributes
    ----------
    rows, cols : slice or 1-D array of int
        A slice with explicit start and stop where they are consecutive, else their indices.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> W = np.arange(12).reshape(3, 4)
    >>> W[lb.Block(slice(0, 2), slice(1, 3)).index].tolist()
    [[1, 2], [5, 6]]
    """

    rows: Selection
    cols: Selection

    @property
    def shape(self) -> Shape:
        """Numbers of rows and of columns."""
        return length(self.rows), length(self.cols)

    @property
    def index(self) -> Any:
        """What to index a matrix with: ``W[block.index]`` is the block, a view where both are slices."""
        if isinstance(self.rows, slice) and isinstance(self.cols, slice):
            return self.rows, self.cols
        return np.ix_(indices(self.rows), indices(self.cols))

    def rectangles(self) -> list[tuple[slice, slice]]:
        """Return the rectangles of consecutive rows and columns that make up the block."""
        return [(rows, cols) for rows in runs(self.rows) for cols in runs(self.cols)]


def whole_block(shape: Shape) -> Block:
    """Return all rows and columns of a matrix."""
    return Block(slice(0, shape[0]), slice(0, shape[1]))


def selection(chosen: IndexSet) -> Selection:
    """Return what indexes an axis: a slice for consecutive indices, else an array."""
    if isinstance(chosen, range) and chosen.step == 1:
        return slice(chosen.start, chosen.stop)
    return np.array(chosen, dtype=np.intp)


def length(chosen: Selection) -> int:
    """Return how many indices are chosen."""
    return int(chosen.stop - chosen.start) if isinstance(chosen, slice) else len(chosen)


def indices(chosen: Selection) -> NDArray[np.intp]:
    """Return the chosen indices as an array."""
    return np.arange(chosen.start, chosen.stop) if isinstance(chosen, slice) else chosen


def runs(chosen: Selection) -> list[slice]:
    """Return the maximal runs of consecutive indices, in ascending order."""
    if isinstance(chosen, slice):
        return [chosen]
    ordered = np.sort(chosen)
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[0] - 2) > 1)
    ends = [*starts.tolist(), len(ordered)]
    return [slice(int(ordered[a]), int(ordered[b - 1]) + 1) for a, b in pairwise(ends)]


def overlap(blocks: Sequence[Block]) -> tuple[int, int] | None:
    """Return the first pair of blocks that share an entry, or None if none do."""
    extent = tuple(max(_end(block[axis]) for block in blocks) for axis in (0, 1))
    covered = np.zeros(extent, dtype=bool)
    for k, block in enumerate(blocks):
        if covered[block.index].any():
            return next(i for i, other in enumerate(blocks) if _share(other, block)), k
        covered[block.index] = True
    return None


def _end(chosen: Selection) -> int:
    return int(chosen.stop if isinstance(chosen, slice) else chosen.max() + 1)


def _share(first: Block, second: Block) -> bool:
    return all(np.intersect1d(indices(a), indices(b)).size > 0 for a, b in zip(first, second, strict=True))
