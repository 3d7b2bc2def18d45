"""Hierarchically off-diagonal low rank: the blocks of a binary tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._calls import shows_call
from lowrank_blocks._results import locked
from lowrank_blocks._validation import Matrix, Shape, as_count
from lowrank_blocks.structures.axes import axis_edges
from lowrank_blocks.structures.base import Factors, Layout, Structure, whole_factors
from lowrank_blocks.structures.cells import Block, Rectangle
from lowrank_blocks.structures.picked import RectangleLayout


@final
@shows_call("lb.HODLR(3), or lb.HODLR(3, dense_leaves=True)")
@dataclass(frozen=True, repr=False)
class HODLR(Structure):
    """Off-diagonal blocks of every level of a binary tree, and its leaves on the diagonal.

    Each level cuts every diagonal block in halves, at ``i * n // 2**level``, and keeps the two halves off the
    diagonal as blocks. The blocks cover the matrix.

    Parameters
    ----------
    depth : int
        Number of levels, at least 1. Both sides of a matrix must be at least ``2**depth``.
    dense_leaves : bool, optional
        Whether a leaf of p by q entries is stored whole, as p·q numbers, or not at all. By default it is
        approximated by low rank, as all other blocks.

    Raises
    ------
    TypeError, ValueError
        If `depth` is not a positive integer or `dense_leaves` not a bool.

    References
    ----------
    Ambikasaran & Darve, "An O(N log N) Fast Direct Solver for Partial Hierarchically Semi-Separable
    Matrices", doi 10.1007/s10915-013-9714-z.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> lb.HODLR(2).layout((8, 8)).block_shapes
    ((4, 4), (4, 4), (2, 2), (2, 2), (2, 2), (2, 2), (2, 2), (2, 2), (2, 2), (2, 2))
    >>> lb.HODLR(1, dense_leaves=True).layout((4, 4)).rank_costs.tolist()
    [4, 4, 4, 4]
    """

    depth: int
    dense_leaves: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", as_count(self.depth, "depth", least=1))
        if not isinstance(self.dense_leaves, (bool, np.bool_)):
            raise TypeError(f"dense_leaves must be a bool, got {self.dense_leaves!r}.")
        object.__setattr__(self, "dense_leaves", bool(self.dense_leaves))

    def __repr__(self) -> str:
        return f"HODLR({self.depth}{', dense_leaves=True' if self.dense_leaves else ''})"

    def layout(self, shape: Shape) -> Layout:
        """Return the blocks of every level, the largest first, then the leaves."""
        if self.depth >= min(shape).bit_length():
            raise ValueError(
                f"depth must leave leaves of at least one row and column, at most "
                f"{min(shape).bit_length() - 1} for the shape {shape}, got {self.depth}."
            )
        levels = [_cut(shape, 1 << level) for level in range(1, self.depth + 1)]
        off = [place for level in levels for place in _off_diagonal(level)]
        leaves = list(levels[-1])
        if self.dense_leaves:
            return DenseLeavesLayout(shape, off, leaves)
        return RectangleLayout(shape, np.array(off + leaves, dtype=np.int64))

    def transposed(self) -> HODLR:
        """Return itself: the tree cuts rows and columns alike."""
        return self


def _cut(shape: Shape, parts: int) -> list[Rectangle]:
    """Return the diagonal blocks of a grid."""
    rows, cols = (axis_edges(parts, length, "depth") for length in shape)
    return [(rows[k], rows[k + 1], cols[k], cols[k + 1]) for k in range(parts)]


def _off_diagonal(diagonal: Sequence[Rectangle]) -> list[Rectangle]:
    """Return the blocks beside each pair of neighbours on the diagonal, above it and below."""
    pairs = zip(diagonal[::2], diagonal[1::2], strict=True)
    return [place for a, b in pairs for place in ((*a[:2], *b[2:]), (*b[:2], *a[2:]))]


@final
class DenseLeavesLayout(Layout):
    """Rectangles of low rank, and others that are stored whole: each of these is a block of one row."""

    proved = True
    takes_weights = True
    covers = True

    def __init__(self, shape: Shape, low_rank: Sequence[Rectangle], leaves: Sequence[Rectangle]) -> None:
        self._low_rank = RectangleLayout(shape, np.array(low_rank, dtype=np.int64))
        self._leaves = RectangleLayout(shape, np.array(leaves, dtype=np.int64))
        sizes = [(1, p * q) for p, q in self._leaves.block_shapes]
        super().__init__(shape, [*self._low_rank.block_shapes, *sizes])

    @cached_property
    def rank_costs(self) -> NDArray[np.int64]:
        """Numbers stored for one unit of rank: height plus width, or all entries of a leaf."""
        return locked(np.append(self._low_rank.rank_costs, [q for _, q in self.block_shapes[self._count :]]))

    def split(self, matrix: Matrix) -> list[Matrix]:
        """Return the rectangles as views, and the entries of every leaf as a row."""
        return [*self._low_rank.split(matrix), *(leaf.reshape(1, -1) for leaf in self._leaves.split(matrix))]

    def join(self, blocks: Sequence[Matrix]) -> Matrix:
        """Return a new matrix with the blocks in their places."""
        low_rank, rows = blocks[: self._count], blocks[self._count :]
        shapes = self._leaves.block_shapes
        leaves = [row.reshape(shape) for row, shape in zip(rows, shapes, strict=True)]
        return self._low_rank.join(low_rank) + self._leaves.join(leaves)

    def cells(self) -> tuple[Block, ...]:
        """Return the rectangles, the leaves last."""
        return (*self._low_rank.cells(), *self._leaves.cells())

    def outside(self, matrix: Matrix) -> Iterator[Matrix]:
        """Yield nothing: the blocks cover the matrix."""
        return iter(())

    def rescaled(self, factors: Sequence[Factors], rows: Matrix, cols: Matrix) -> Sequence[Factors]:
        """Scale the factors of the rectangles, and every entry of the leaves."""
        leaves = zip(self._leaves.cells(), factors[self._count :], strict=True)
        return (
            *self._low_rank.rescaled(factors[: self._count], rows, cols),
            *((b, a * np.outer(rows[cell.rows], cols[cell.cols]).ravel()) for cell, (b, a) in leaves),
        )

    def turned(self, block: int, factors: Factors) -> Factors:
        """Return the factors that a block has on the transposed matrix; a leaf is a row there, too."""
        if block < self._count:
            return super().turned(block, factors)
        b, a = factors
        p, q = self._leaves.block_shapes[block - self._count]
        return b, a.reshape(len(a), p, q).swapaxes(1, 2).reshape(a.shape)

    def pieces(self, factors: Sequence[Factors]) -> list[tuple[Block, Factors]]:
        """Return the rectangles, and the leaves that are stored, each with an identity."""
        low_rank = self._low_rank.pieces(factors[: self._count])
        return [*low_rank, *((cell, whole_factors(leaf)) for cell, leaf in self._stored(factors))]

    def apply(self, factors: Sequence[Factors], x: Matrix) -> Matrix:
        """Multiply block by block."""
        y = self._low_rank.apply(factors[: self._count], x)
        for (rows, cols), leaf in self._stored(factors):
            y[rows] += leaf @ x[cols]
        return y

    def apply_transposed(self, factors: Sequence[Factors], y: Matrix) -> Matrix:
        """Multiply block by block."""
        x = self._low_rank.apply_transposed(factors[: self._count], y)
        for (rows, cols), leaf in self._stored(factors):
            x[cols] += leaf.T @ y[rows]
        return x

    @property
    def _count(self) -> int:
        return len(self._low_rank.block_shapes)

    def _stored(self, factors: Sequence[Factors]) -> Iterator[tuple[Block, Matrix]]:
        """Yield the leaves that are stored, each with its place."""
        for cell, (b, a) in zip(self._leaves.cells(), factors[self._count :], strict=True):
            if b.size:
                yield cell, (b @ a).reshape(cell.shape)
