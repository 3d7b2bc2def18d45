"""Matrices whose rows or columns are equal within classes.

The nearest such matrix takes the means. A block holds each mean times the root of the number of its entries,
so that the block has the energy of the part of the matrix that it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._calls import shows_call
from lowrank_blocks._results import locked
from lowrank_blocks._validation import Matrix, Shape, as_count, as_counts
from lowrank_blocks.linalg import UNIT
from lowrank_blocks.structures.axes import axis_edges
from lowrank_blocks.structures.base import Factors, Layout, Structure, whole_factors
from lowrank_blocks.structures.cells import Block, IndexSet, selection, whole_block


@final
@shows_call("lb.Tied(rows=[0, 0, 1, 1]) with the class of every row, or lb.Tied(rows=2) for 2 runs of rows")
@dataclass(frozen=True, repr=False)
class Tied(Structure):
    """Rows, or columns, that are equal within classes; the nearest are the means of the classes.

    With rows tied, a class costs one number a column, as in MiSS; with columns tied one a row; with both, one
    for each class of rows and class of columns.

    Parameters
    ----------
    rows, cols : int or sequence of int, optional
        The class of every row and of every column, or a number of classes, of consecutive indices cut as
        `Localized` cuts them. By default an axis is not tied; at least one must be.
    low_rank : bool, optional
        Whether the matrix of the means is one block of low rank, as in QA-LoRA, at the cost of its height
        plus its width for one unit of rank. By default its rows (its columns, if columns alone are tied)
        are stored whole or not at all.

    Raises
    ------
    TypeError, ValueError
        If no axis is given, or a class is not a non-negative integer.

    References
    ----------
    Kang et al., "MiSS", arXiv 2409.15371. Xu et al., "QA-LoRA", arXiv 2309.14717.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> best = lb.approximate([[1.0, 2.0], [3.0, 4.0], [5.0, 5.0]], lb.Tied(rows=[0, 0, 1]), budget=4)
    >>> best.to_dense().round(12).tolist()
    [[2.0, 3.0], [2.0, 3.0], [5.0, 5.0]]
    """

    rows: Any = None
    cols: Any = None
    low_rank: bool = False

    def __post_init__(self) -> None:
        for name in ("rows", "cols"):
            object.__setattr__(self, name, _as_classes(getattr(self, name), name))
        if self.rows is None and self.cols is None:
            raise ValueError("Tied must have classes of rows or of columns, got neither.")
        if not isinstance(self.low_rank, (bool, np.bool_)):
            raise TypeError(f"low_rank must be a bool, got {self.low_rank!r}.")
        object.__setattr__(self, "low_rank", bool(self.low_rank))

    def __repr__(self) -> str:
        tied = [f"{name}={_shown(getattr(self, name))}" for name in ("rows", "cols") if getattr(self, name)]
        return f"Tied({', '.join(tied + ['low_rank=True'] * self.low_rank)})"

    def layout(self, shape: Shape) -> TiedLayout:
        """Return the means of all classes over the roots of their sizes."""
        classes = (_Classes.of(getattr(self, n), k, n) for n, k in zip(("rows", "cols"), shape, strict=True))
        return TiedLayout(shape, *classes, low_rank=self.low_rank)

    def transposed(self) -> Tied:
        """Return the structure with rows and columns exchanged."""
        return Tied(rows=self.cols, cols=self.rows, low_rank=self.low_rank)


@dataclass(frozen=True, eq=False)
class _Classes:
    """The class of every index of an axis, in the order in which they come, and how large each is."""

    of_index: NDArray[np.intp]
    sizes: NDArray[np.intp]
    tied: bool

    @classmethod
    def of(cls, labels: int | tuple[int, ...] | None, length: int, name: str) -> _Classes:
        if labels is None:
            return cls(np.arange(length), np.ones(length, np.intp), False)
        if isinstance(labels, int):
            found = np.repeat(np.arange(labels), np.diff(axis_edges(labels, length, name)))
        elif len(labels) == length:
            _, first, found = np.unique(labels, return_index=True, return_inverse=True)
            found = np.argsort(np.argsort(first))[found]
        else:
            raise ValueError(
                f"{name} must have one class for each of the {length} indices of its axis, got {len(labels)}."
            )
        return cls(found, np.bincount(found), True)

    def summed(self, array: Matrix) -> Matrix:
        """Return the sums over the classes of the first axis, over the roots of their sizes."""
        if not self.tied:
            return array
        order = np.argsort(self.of_index, kind="stable")
        sums = np.add.reduceat(array[order], np.cumsum(self.sizes) - self.sizes, axis=0)
        return np.asarray(sums / _columns(np.sqrt(self.sizes), sums))

    def spread(self, array: Matrix) -> Matrix:
        """Return the transpose of `summed`: every index gets its class over the root of its size."""
        if not self.tied:
            return array
        return np.asarray((array / _columns(np.sqrt(self.sizes), array))[self.of_index])

    def members(self) -> list[IndexSet]:
        """Return the indices of every class."""
        order = np.argsort(self.of_index, kind="stable")
        groups = np.split(order, np.cumsum(self.sizes)[:-1])
        return [
            range(g[0], g[-1] + 1) if g[-1] - g[0] + 1 == len(g) else tuple(g)
            for g in (g.tolist() for g in groups)
        ]


def _columns(values: NDArray[np.float64], like: Matrix) -> Matrix:
    return values.reshape(-1, *[1] * (like.ndim - 1)).astype(like.dtype, copy=False)


@final
class TiedLayout(Layout):
    """The matrix of the means of all classes, each times the root of the number of its entries."""

    proved = True

    def __init__(self, shape: Shape, rows: _Classes, cols: _Classes, *, low_rank: bool) -> None:
        p, q = len(rows.sizes), len(cols.sizes)
        self._rows, self._cols, self._core = rows, cols, (p, q)
        # The height and the width of a block: all, a row, a column or an entry of the means.
        self._block = (p, q) if low_rank else (1 if rows.tied else p, 1 if cols.tied else q)
        super().__init__(shape, [self._block] * (p * q // (self._block[0] * self._block[1])))
        cost = sum(self._block) if low_rank else self._block[0] * self._block[1]
        self.rank_costs = locked(np.full(len(self.block_shapes), cost))
        self.rounding = UNIT * (int(rows.sizes.max()) + int(cols.sizes.max()) + 4)

    def split(self, matrix: Matrix) -> list[Matrix]:
        """Return the rows, the columns or the entries of the matrix of the means, or all of it."""
        wide = matrix.astype(np.float64, copy=False)
        core = self._cols.summed(self._rows.summed(wide).T).T
        (p, q), (height, width) = self._core, self._block
        parts = core.reshape(p // height, height, q // width, width).swapaxes(1, 2)
        return list(parts.reshape(-1, height, width))

    def join(self, blocks: Sequence[Matrix]) -> Matrix:
        """Return a new matrix in which the entries of a class share a number."""
        return np.array(self._rows.spread(self._cols.spread(self._joined(blocks).T).T))

    def cells(self) -> tuple[Block, ...]:
        """Return the rows and columns that each block is the means of."""
        whole = [range(length) for length in self.shape]
        rows, cols = (
            axis.members() if side == 1 and axis.tied else [all_]
            for axis, side, all_ in zip((self._rows, self._cols), self._block, whole, strict=True)
        )
        return tuple(Block(selection(r), selection(c)) for r in rows for c in cols)

    def pieces(self, factors: Sequence[Factors]) -> list[tuple[Block, Factors]]:
        """Return one product for all: the factors of the means, or the means and the classes, spread."""
        whole = self._block == self._core
        b, a = factors[0] if whole else whole_factors(self._joined([b @ a for b, a in factors]))
        return [(whole_block(self.shape), (self._rows.spread(b), self._cols.spread(a.T).T))]

    def apply(self, factors: Sequence[Factors], x: Matrix) -> Matrix:
        """Multiply the sums over classes of columns, and spread the products over classes of rows."""
        return self._rows.spread(self._times(factors, self._cols.summed(x)))

    def apply_transposed(self, factors: Sequence[Factors], y: Matrix) -> Matrix:
        """Multiply the sums over classes of rows, and spread the products over classes of columns."""
        turned = [(a.T, b.T) for b, a in factors]
        return self._cols.spread(self._times(turned, self._rows.summed(y), transposed=True))

    def _times(self, factors: Sequence[Factors], sums: Matrix, *, transposed: bool = False) -> Matrix:
        if len(factors) == 1:
            ((b, a),) = factors
            return np.asarray(b @ (a @ sums))
        core = self._joined([a.T @ b.T if transposed else b @ a for b, a in factors])
        return (core.T if transposed else core) @ sums

    def _joined(self, blocks: Sequence[Matrix]) -> Matrix:
        (p, q), (height, width) = self._core, self._block
        parts = np.stack(blocks).reshape(p // height, q // width, height, width)
        return parts.swapaxes(1, 2).reshape(p, q)


def _as_classes(value: Any, name: str) -> int | tuple[int, ...] | None:
    if value is None:
        return None
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (str, bytes)):
        if len(value) == 0:
            raise ValueError(f"{name} must have a class for every index of its axis, got none.")
        return tuple(as_counts(value, name).tolist())
    return as_count(value, name, least=1)


def _shown(classes: int | tuple[int, ...]) -> str:
    if isinstance(classes, int) or len(classes) <= 64:
        return repr(classes)
    return f"{len(set(classes))} classes of {len(classes)}"
