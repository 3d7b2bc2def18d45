"""Grids of rectangles: the whole matrix, the diagonal of a grid, all of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Shape
from lowrank_blocks.structures.axes import Axis, as_axis, axis_edges
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.picked import RectangleLayout

Edges = tuple[int, ...]


@lru_cache(maxsize=64)
def _whole(height: int, width: int) -> RectangleLayout:
    """Return a matrix as one block; models have many matrices of one shape."""
    return RectangleLayout((height, width), np.array([[0, height, 0, width]]))


@final
@shows_call("lb.Global(); the rank goes with the budget: lb.approximate(dW, lb.Global(), rank=8)")
@dataclass(frozen=True)
class Global(Structure):
    """One block, the whole matrix: truncated SVD, as in LoRA.

    References
    ----------
    Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685.
    Eckart & Young, "The approximation of one matrix by another of lower rank",
    doi 10.1007/BF02288367.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> lb.Global().layout((6, 4)).block_shapes
    ((6, 4),)
    """

    def layout(self, shape: Shape) -> RectangleLayout:
        """Return the whole matrix as one block."""
        return _whole(shape[0], shape[1])

    def transposed(self) -> Global:
        """Return itself."""
        return self


@final
@shows_call("lb.DiagonalLocal(4) for 4 parts of each axis")
@dataclass(frozen=True, repr=False)
class DiagonalLocal(Structure):
    """The diagonal blocks of a grid with as many row parts as column parts, as in MELoRA.

    Parameters
    ----------
    parts : int or tuple of int
        Number of parts of both axes, cut at ``i * length // parts``; or the edges of both axes,
        from 0 to their length, for a square matrix.

    Raises
    ------
    TypeError, ValueError
        If `parts` is not a positive int and not an increasing tuple of int edges from 0.

    References
    ----------
    Ren et al., "MELoRA: Mini-Ensemble Low-Rank Adapters", arXiv 2402.17263.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> lb.DiagonalLocal(2).layout((6, 5)).block_shapes
    ((3, 2), (3, 3))
    """

    parts: Axis

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", as_axis(self.parts, "parts"))

    def __repr__(self) -> str:
        return f"DiagonalLocal({self.parts})"

    def layout(self, shape: Shape) -> RectangleLayout:
        """Return the diagonal blocks from the top left to the bottom right."""
        rows, cols = (_intervals(self.parts, length, "parts") for length in shape)
        return RectangleLayout(shape, np.hstack([rows, cols]))

    def transposed(self) -> DiagonalLocal:
        """Return itself: a diagonal stays a diagonal."""
        return self


@final
@shows_call("lb.Localized(4) for 4 parts of each axis, or lb.Localized(rows=4, cols=2)")
@dataclass(frozen=True, repr=False)
class Localized(Structure):
    """Every block of a grid, as in Localized LoRA.

    ``Localized(N, 1)`` and ``Localized(1, N)`` are the row and column stripes of BD-LoRA.

    Parameters
    ----------
    rows : int or tuple of int
        Number of row parts, cut at ``i * m // rows``, or the edges of the rows from 0 to m.
    cols : int or tuple of int, optional
        The same for the columns; by default as `rows`.

    Raises
    ------
    TypeError, ValueError
        If an axis is not a positive int and not an increasing tuple of int edges from 0.

    References
    ----------
    Barazandeh et al., "Localized LoRA: A Structured Low-Rank Approximation for Efficient
    Fine-Tuning", arXiv 2506.00236.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> lb.Localized(2, (0, 1, 5)).layout((4, 5)).block_shapes
    ((2, 1), (2, 4), (2, 1), (2, 4))
    """

    rows: Axis
    cols: Axis | None = None

    def __post_init__(self) -> None:
        rows = as_axis(self.rows, "rows")
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "cols", rows if self.cols is None else as_axis(self.cols, "cols"))

    @property
    def _axes(self) -> tuple[Axis, Axis]:
        return self.rows, self.rows if self.cols is None else self.cols

    def __repr__(self) -> str:
        rows, cols = self._axes
        return f"Localized({rows})" if rows == cols else f"Localized({rows}, {cols})"

    def layout(self, shape: Shape) -> RectangleLayout:
        """Return all blocks of the grid, row by row."""
        row_axis, col_axis = self._axes
        rows = _intervals(row_axis, shape[0], "rows")
        cols = _intervals(col_axis, shape[1], "cols")
        bounds = np.empty((len(rows), len(cols), 4), np.int64)
        bounds[..., :2], bounds[..., 2:] = rows[:, None], cols
        return RectangleLayout(shape, bounds.reshape(-1, 4))

    def transposed(self) -> Localized:
        """Return the grid with rows and columns exchanged."""
        rows, cols = self._axes
        return Localized(cols, rows)


def simplest_grid(rows: Edges, cols: Edges) -> Structure:
    """Return the grid with these edges by its shortest name."""
    if len(rows) == len(cols) == 2:
        return Global()
    return Localized(*(len(edges) - 1 if is_even(edges) else edges for edges in (rows, cols)))


def is_even(edges: Edges) -> bool:
    """Whether an axis is cut as a number of parts cuts it."""
    return edges == axis_edges(len(edges) - 1, edges[-1], "parts")


def _intervals(axis: Axis, length: int, name: str) -> NDArray[np.int64]:
    """Return the first index and the last plus 1 of every part of an axis."""
    edges = axis_edges(axis, length, name)
    return np.array([edges[:-1], edges[1:]], dtype=np.int64).T
