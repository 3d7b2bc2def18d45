"""Layouts that pick entries: disjoint blocks, each some rows times some columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._results import lock_all, locked
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.linalg import BlockSequence, stacks_of
from lowrank_blocks.structures.base import Layout
from lowrank_blocks.structures.cells import Block, Selection, indices

Factors = Sequence[tuple[Matrix, Matrix]]
Bounds = NDArray[np.int64]

_SLAB = 1 << 19  # entries copied at a time
_GATHERED = 64  # entries of blocks that are copied entry by entry, and not view by view
_MANY = 256  # rectangles from which on arrays of them cost less than lists


class PickedLayout(Layout):
    """Disjoint blocks of entries. Entries in no block are approximated by 0."""

    proved = True
    blocks_are_cells = True
    takes_weights = True

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

    def rescaled(self, factors: Factors, rows: Matrix, cols: Matrix) -> Factors:
        """Scale the rows of every B and the columns of every A."""
        pairs = zip(self.cells(), factors, strict=True)
        return tuple((rows[cell.rows, None] * b, a * cols[cell.cols]) for cell, (b, a) in pairs)

    def apply(self, factors: Factors, x: Matrix) -> Matrix:
        """Multiply block by block; blocks of rank 0 are passed over."""
        y, cells = _zeros(self.shape[0], factors, x), self.cells()
        for chosen, b, a in stacks_of(factors):
            for k, left, right in zip(chosen.tolist(), b, a, strict=True):
                y[cells[k].rows] += left @ (right @ x[cells[k].cols])
        return y

    def apply_transposed(self, factors: Factors, y: Matrix) -> Matrix:
        """Multiply block by block; blocks of rank 0 are passed over."""
        x, cells = _zeros(self.shape[1], factors, y), self.cells()
        for chosen, b, a in stacks_of(factors):
            for k, left, right in zip(chosen.tolist(), b, a, strict=True):
                x[cells[k].cols] += right.T @ (left.T @ y[cells[k].rows])
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


class RectangleLayout(PickedLayout):
    """Disjoint rectangles held as one array of bounds, so that a million of them cost little."""

    def __init__(self, shape: Shape, bounds: Bounds) -> None:
        self._bounds = bounds
        self._sides = bounds[:, 1::2] - bounds[:, ::2]
        lock_all([self._bounds, self._sides])
        super().__init__(shape, _shapes(self._sides))

    @cached_property
    def rank_costs(self) -> NDArray[np.int64]:
        """Numbers stored for one unit of rank of every block: height plus width."""
        return locked(self._sides.sum(axis=1))

    @cached_property
    def max_ranks(self) -> NDArray[np.int64]:
        """Largest rank of every block."""
        return locked(self._sides.min(axis=1))

    @cached_property
    def covers(self) -> bool:
        """Whether every entry of the matrix is in a block."""
        return bool(self._sides.prod(axis=1).sum() == self.shape[0] * self.shape[1])

    def split(self, matrix: Matrix) -> BlockSequence:
        """Return the rectangles as views, made when they are asked for."""
        return _Rectangles(matrix, self._bounds, self.block_shapes)

    def cells(self) -> Sequence[Block]:
        """Return the rectangles."""
        return self._cells

    @cached_property
    def _cells(self) -> tuple[Block, ...]:
        return tuple(Block(slice(t, b), slice(lo, hi)) for t, b, lo, hi in self._bounds.tolist())

    def dense(self, factors: Factors) -> Matrix:
        """Return ``join(B @ A of every block)``, an (m, n) matrix."""
        joined = np.zeros(self.shape, dtype=np.result_type(*factors[0]))
        for chosen, b, a in stacks_of(factors):
            rows, cols = self._indices(chosen)
            joined[rows[:, :, None], cols[:, None, :]] = b @ a
        return joined

    def apply(self, factors: Factors, x: Matrix) -> Matrix:
        """Multiply block by block, many small ones at a time; blocks of rank 0 are passed over."""
        if not self._small:
            return super().apply(factors, x)
        y, columns = _zeros(self.shape[0], factors, x), x.reshape(len(x), -1)
        flat = y.reshape(len(y), -1)
        for chosen, b, a in stacks_of(factors):
            rows, cols = self._indices(chosen)
            np.add.at(flat, rows, b @ (a @ columns[cols]))
        return y

    def apply_transposed(self, factors: Factors, y: Matrix) -> Matrix:
        """Multiply block by block, many small ones at a time; blocks of rank 0 are passed over."""
        if not self._small:
            return super().apply_transposed(factors, y)
        x, columns = _zeros(self.shape[1], factors, y), y.reshape(len(y), -1)
        flat = x.reshape(len(x), -1)
        for chosen, b, a in stacks_of(factors):
            rows, cols = self._indices(chosen)
            np.add.at(flat, cols, a.swapaxes(1, 2) @ (b.swapaxes(1, 2) @ columns[rows]))
        return x

    @property
    def _small(self) -> bool:
        """Whether most of the time would go into the calls for single blocks."""
        return bool(self._sides.prod(axis=1).max() <= _GATHERED)

    def _indices(self, chosen: Bounds) -> tuple[Bounds, Bounds]:
        """Return the rows, (k, p), and the columns, (k, q), of some rectangles of one shape."""
        top, left = self._bounds[chosen][:, [0, 2]].T
        p, q = self._sides[chosen[0]]
        return top[:, None] + np.arange(p), left[:, None] + np.arange(q)


@final
class _Rectangles(BlockSequence):
    """Rectangles of a matrix as views, made when they are asked for."""

    def __init__(self, matrix: Matrix, bounds: Bounds, shapes: Sequence[Shape]) -> None:
        self._matrix, self._bounds, self.shapes = matrix, bounds, shapes

    def __getitem__(self, k: int) -> Matrix:  # type: ignore[override]
        top, bottom, left, right = self._bounds[k].tolist()
        return self._matrix[top:bottom, left:right]

    def groups(self) -> list[Bounds]:
        """Return the indices of the blocks of each shape."""
        if len(self) < _MANY:
            return super().groups()
        heights = self._bounds[:, 1] - self._bounds[:, 0]
        keys = heights * (self._matrix.shape[1] + 1) + self._bounds[:, 3] - self._bounds[:, 2]
        order = np.argsort(keys, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(keys[order])) + 1)

    def stacked(self, chosen: Bounds) -> Matrix:
        """Copy some rectangles of one shape, smaller side first, into an array (count, k, l)."""
        p, q = self.shapes[chosen[0]]
        if p * q > _GATHERED:
            stack = np.empty((len(chosen), min(p, q), max(p, q)))
            for place, (top, bottom, left, right) in zip(stack, self._bounds[chosen].tolist(), strict=True):
                block = self._matrix[top:bottom, left:right]
                place[...] = block if p <= q else block.T
            return stack
        top, left = self._bounds[chosen][:, [0, 2]].T
        rows, cols = top[:, None] + np.arange(p), left[:, None] + np.arange(q)
        stack = self._matrix[rows[:, :, None], cols[:, None, :]]
        return np.ascontiguousarray(stack if p <= q else stack.swapaxes(1, 2), np.float64)


def _shapes(sides: Bounds) -> list[Shape]:
    """Return the shape of every rectangle; of many, equal shapes are one object."""
    if len(sides) < _MANY:
        return [(p, q) for p, q in sides.tolist()]
    keys = sides[:, 0] * (1 + sides[:, 1].max()) + sides[:, 1]
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    shapes = [(p, q) for p, q in sides[first].tolist()]
    return [shapes[k] for k in which.ravel().tolist()]


def _within(rows: Selection, start: int, stop: int) -> Selection:
    """Return the part of a selection within a range, counted from its start."""
    if isinstance(rows, slice):
        return slice(min(max(rows.start, start), stop) - start, min(max(rows.stop, start), stop) - start)
    return indices(rows)[(rows >= start) & (rows < stop)] - start


def _zeros(length: int, factors: Factors, x: Matrix) -> Matrix:
    return np.zeros((length, *x.shape[1:]), dtype=np.result_type(*factors[0], x))
