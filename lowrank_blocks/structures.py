"""Structures: which disjoint blocks of a matrix are approximated. Geometry only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.partition import Axis, Block, as_axis, as_rectangles, intervals

_SLAB = 1 << 19  # entries copied at a time


class Structure(ABC):
    """A set of disjoint blocks of a matrix; entries in no block are approximated by 0.

    A new structure is a frozen value that says where its blocks lie; everything else, from the
    spectra to the reports, follows from that.
    """

    @abstractmethod
    def blocks(self, shape: Shape) -> tuple[Block, ...]:
        """Return the blocks of a matrix of this shape, row by row.

        Raises
        ------
        ValueError
            If the structure does not fit the shape.
        """

    @abstractmethod
    def transposed(self) -> Structure:
        """Return the structure whose blocks on ``W.T`` are the transposes of these on ``W``."""

    @final
    def block_shapes(self, shape: Shape) -> tuple[Shape, ...]:
        """Return the shape of every block."""
        return tuple(block.shape for block in self.blocks(shape))

    @final
    def split(self, matrix: Matrix) -> list[Matrix]:
        """Return the blocks of `matrix` as views."""
        return [matrix[block] for block in self.blocks(_shape(matrix))]

    @final
    def join(self, parts: Sequence[Matrix], shape: Shape) -> Matrix:
        """Return a new matrix with `parts` in its blocks and 0 elsewhere."""
        joined = np.zeros(shape, dtype=np.result_type(*parts))
        for block, part in zip(self.blocks(shape), parts, strict=True):
            joined[block] = part
        return joined

    @final
    def uncovered(self, matrix: Matrix) -> Iterator[Matrix]:
        """Yield `matrix` with 0 in all blocks, what no ranks can approximate, some rows at a time."""
        blocks = self.blocks(_shape(matrix))
        if sum(p * q for p, q in (block.shape for block in blocks)) == matrix.size:
            return
        step = max(1, _SLAB // matrix.shape[1])
        for start in range(0, len(matrix), step):
            rest = matrix[start : start + step].copy()
            for rows, cols in blocks:
                rest[max(rows.start - start, 0) : max(rows.stop - start, 0), cols] = 0
            yield rest


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
    >>> lb.Global().block_shapes((6, 4))
    ((6, 4),)
    """

    def blocks(self, shape: Shape) -> tuple[Block, ...]:
        """Return the whole matrix as one block."""
        return (Block(slice(0, shape[0]), slice(0, shape[1])),)

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
    >>> lb.DiagonalLocal(2).block_shapes((6, 5))
    ((3, 2), (3, 3))
    """

    parts: Axis

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", as_axis(self.parts, "parts"))

    def __repr__(self) -> str:
        return f"DiagonalLocal({self.parts})"

    def blocks(self, shape: Shape) -> tuple[Block, ...]:
        """Return the diagonal blocks from the top left to the bottom right."""
        rows, cols = (intervals(self.parts, length, "parts") for length in shape)
        return tuple(Block(r, c) for r, c in zip(rows, cols, strict=True))

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
    >>> lb.Localized(2, (0, 1, 5)).block_shapes((4, 5))
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

    def blocks(self, shape: Shape) -> tuple[Block, ...]:
        """Return all blocks of the grid, row by row."""
        row_axis, col_axis = self._axes
        rows = intervals(row_axis, shape[0], "rows")
        cols = intervals(col_axis, shape[1], "cols")
        return tuple(Block(r, c) for r in rows for c in cols)

    def transposed(self) -> Localized:
        """Return the grid with rows and columns exchanged."""
        rows, cols = self._axes
        return Localized(cols, rows)


@final
@shows_call("lb.Partition([(0, 4, 0, 2), (0, 2, 2, 4)]) with (top, bottom, left, right) of each block")
@dataclass(frozen=True, repr=False)
class Partition(Structure):
    """Any disjoint rectangles, such as those that `best_partition` finds.

    Parameters
    ----------
    rectangles : tuple of (int, int, int, int)
        ``(top, bottom, left, right)`` of each, half-open: ``W[top:bottom, left:right]``.

    Raises
    ------
    TypeError, ValueError
        If there is none, a rectangle is not four non-negative ints with ``top < bottom`` and
        ``left < right``, or two of them overlap.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> lb.Partition([(0, 4, 0, 2), (0, 2, 2, 4)]).block_shapes((4, 4))
    ((4, 2), (2, 2))
    """

    rectangles: tuple[tuple[int, int, int, int], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "rectangles", as_rectangles(self.rectangles, "rectangles"))

    @classmethod
    def of_blocks(cls, blocks: Sequence[Block]) -> Partition:
        """Return the partition with these blocks."""
        return cls(tuple((b.rows.start, b.rows.stop, b.cols.start, b.cols.stop) for b in blocks))

    def __repr__(self) -> str:
        if len(self.rectangles) <= 3:
            return f"Partition({list(self.rectangles)})"
        return f"Partition({len(self.rectangles)} blocks)"

    def blocks(self, shape: Shape) -> tuple[Block, ...]:
        """Return the rectangles in the order given."""
        bottom, right = (max(r[k] for r in self.rectangles) for k in (1, 3))
        if bottom > shape[0] or right > shape[1]:
            raise ValueError(
                f"rectangles must lie within the shape {shape}, got one that ends at {(bottom, right)}."
            )
        return tuple(Block(slice(t, b), slice(lo, hi)) for t, b, lo, hi in self.rectangles)

    def transposed(self) -> Partition:
        """Return the partition with rows and columns exchanged."""
        return Partition(tuple((left, right, top, bottom) for top, bottom, left, right in self.rectangles))


def as_structure(value: object, name: str = "structure") -> Structure:
    """Return `value` if it is a structure, or say which call makes one."""
    if isinstance(value, Structure):
        return value
    kind = type(value).__name__
    if isinstance(getattr(value, "structure", None), Structure):
        raise TypeError(f"{name} must be a structure, got {kind}; pass its .structure.")
    if isinstance(value, (list, tuple)) and any(isinstance(v, Structure) for v in value):
        raise TypeError(
            f"{name} must be one structure, got a {kind} of {len(value)}; "
            "for several write lb.compare(dW, structures, budget)."
        )
    raise TypeError(f"{name} must be a structure such as {_suggest(value)}, got {value!r}.")


def _suggest(value: object) -> str:
    text = (value if isinstance(value, str) else getattr(value, "__name__", "")).lower()
    if text.startswith(("global", "lora", "svd")):
        return "lb.Global()"
    if text.startswith(("diag", "melora")):
        return "lb.DiagonalLocal(4)"
    if text.startswith("local"):
        return "lb.Localized(4)"
    return "lb.Global(), lb.DiagonalLocal(4) or lb.Localized(4)"


def _shape(matrix: Matrix) -> Shape:
    return matrix.shape[0], matrix.shape[1]
