"""Layouts that pick entries: disjoint blocks, each some rows times some columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.linalg import BlockSequence
from lowrank_blocks.structures.base import Layout
from lowrank_blocks.structures.cells import Block, Selection, indices

Factors = Sequence[tuple[Matrix, Matrix]]
Bounds = NDArray[np.int64]

_SLAB = 1 << 19  # entries copied at a time


class PickedLayout(Layout):
    """Disjoint blocks of entries. Entries in no block are approximated by 0."""

    proved = True

    def join(self, blocks: Sequence[Matrix]) -> Matrix:
        """Return a new matrix with the blocks in their places and 0 elsewhere."""
        joined = np.zeros(self.shape, dtype=np.result_type(*{block.dtype for block in blocks}))
        for cell, block in zip(self.cells(), blocks, strict=True):
            joined[cell.index] = block
        return joined

    def outside(self, matrix: Matrix) -> Iterator[Matrix]:
        """Yield the matrix with 0 in all blocks, some rows at a time; nothing if the blocks cover it."""
        if self.covers:
            return
        step = max(1, _SLAB // matrix.shape[1])
        for start in range(0, len(matrix), step):
            rest = matrix[start : start + step].copy()
            for rows, cols in self.cells():
                rest[Block(_within(rows, start, start + len(rest)), cols).index] = 0
            yield rest

    @cached_property
    def covers(self) -> bool:
        """Whether every entry of the matrix is in a block."""
        return sum(p * q for p, q in self.block_shapes) == self.shape[0] * self.shape[1]

    def apply(self, factors: Factors, x: Matrix) -> Matrix:
        """Multiply block by block; blocks of rank 0 are passed over."""
        y = _zeros(self.shape[0], factors, x)
        for (rows, cols), (b, a) in zip(self.cells(), factors, strict=True):
            if b.shape[1]:
                y[rows] += b @ (a @ x[cols])
        return y

    def apply_transposed(self, factors: Factors, y: Matrix) -> Matrix:
        """Multiply block by block; blocks of rank 0 are passed over."""
        x = _zeros(self.shape[1], factors, y)
        for (rows, cols), (b, a) in zip(self.cells(), factors, strict=True):
            if b.shape[1]:
                x[cols] += a.T @ (b.T @ y[rows])
        return x


@final
class BlockLayout(PickedLayout):
    """Disjoint blocks of any rows and any columns, one object a block; `Blocks` checks them."""

    def __init__(self, shape: Shape, blocks: Sequence[Block]) -> None:
        super().__init__(shape, [block.shape for block in blocks])
        self._blocks = tuple(blocks)

    def split(self, matrix: Matrix) -> list[Matrix]:
        """Return the blocks; views where rows and columns are consecutive."""
        return [matrix[block.index] for block in self._blocks]

    def cells(self) -> tuple[Block, ...]:
        """Return the blocks."""
        return self._blocks


@final
class RectangleLayout(PickedLayout):
    """Disjoint rectangles held as one array of bounds, so that a million of them cost little."""

    def __init__(self, shape: Shape, bounds: Bounds) -> None:
        self._bounds = bounds
        super().__init__(shape, _shapes(bounds))

    def split(self, matrix: Matrix) -> BlockSequence:
        """Return the rectangles as views, made when they are asked for."""
        return _Rectangles(matrix, self._bounds, self.block_shapes)

    def cells(self) -> Sequence[Block]:
        """Return the rectangles."""
        return [Block(slice(t, b), slice(lo, hi)) for t, b, lo, hi in self._bounds.tolist()]


@final
class _Rectangles(BlockSequence):
    """Rectangles of a matrix as views, made when they are asked for."""

    def __init__(self, matrix: Matrix, bounds: Bounds, shapes: Sequence[Shape]) -> None:
        self._matrix, self._bounds, self.shapes = matrix, bounds, shapes

    def __getitem__(self, k: int) -> Matrix:  # type: ignore[override]
        top, bottom, left, right = self._bounds[k]
        return self._matrix[top:bottom, left:right]

    def stack(self, chosen: Sequence[int]) -> Matrix:
        """Return some rectangles of one shape as a new array of shape (count, p, q)."""
        p, q = self.shapes[chosen[0]]
        bounds = self._bounds[chosen]
        rows = bounds[:, 0, None, None] + np.arange(p)[:, None]
        stack: Matrix = self._matrix[rows, bounds[:, 2, None, None] + np.arange(q)]
        return stack


def _shapes(bounds: Bounds) -> list[Shape]:
    """Return the shape of every rectangle; equal shapes are one object."""
    sizes = np.column_stack([bounds[:, 1] - bounds[:, 0], bounds[:, 3] - bounds[:, 2]])
    distinct, which = np.unique(sizes, axis=0, return_inverse=True)
    shapes = [(p, q) for p, q in distinct.tolist()]
    return [shapes[k] for k in which.ravel().tolist()]


def _within(rows: Selection, start: int, stop: int) -> Selection:
    """Return the part of a selection within a range, counted from its start."""
    if isinstance(rows, slice):
        return slice(min(max(rows.start, start), stop) - start, min(max(rows.stop, start), stop) - start)
    return indices(rows)[(rows >= start) & (rows < stop)] - start


def _zeros(length: int, factors: Factors, x: Matrix) -> Matrix:
    return np.zeros((length, *x.shape[1:]), dtype=np.result_type(*factors[0], x))
