"""The interface between geometry and solver: a structure lays out its blocks on a shape."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._results import ReadOnly, locked
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.structures.cells import Block, whole_block

Factors = tuple[Matrix, Matrix]

_SLAB = 1 << 19  # entries of W - join(split(W)) that are yielded at a time


class Structure(ABC):
    """What is stored, as geometry only; a small frozen value such as ``Localized(4)``.

    A new structure supplies two methods. The spectra, ranks, errors, reports and pictures follow
    from its layout.
    """

    has_name: ClassVar[bool] = True  # whether its repr says in few words where its blocks lie

    @abstractmethod
    def layout(self, shape: Shape) -> Layout:
        """Return the blocks of a matrix of this shape.

        Parameters
        ----------
        shape : (int, int)
            Shape of the matrix.

        Raises
        ------
        ValueError
            If the structure does not fit the shape.
        """

    @abstractmethod
    def transposed(self) -> Structure:
        """Return the structure of ``W.T``: its blocks hold the same numbers as these on ``W``.

        They are the transposed blocks, unless `Layout.turned` says otherwise.
        """


class Layout(ReadOnly, ABC):
    """A structure bound to a shape: a linear map S from matrices to blocks with ``S S^T = I``.

    `split` is S, and `join` is its transpose. Truncating every block of ``split(W)`` and joining
    the results gives the nearest matrix of these ranks, and the squared errors add up.

    Parameters
    ----------
    shape : (int, int)
        Shape of the matrices.
    block_shapes : sequence of (int, int)
        Shape of every block, at least one.

    Attributes
    ----------
    shape : (int, int)
        Shape of the matrices.
    block_shapes : tuple of (int, int)
        Shape of every block.
    """

    proved: ClassVar[bool] = False  # whether S S^T = I is known without a test of the layout
    blocks_are_cells: bool = False  # whether each block is all rows times all columns of its cell
    takes_weights: bool = False  # whether `rescaled` is known for all scales of rows and columns
    weights_rule: str = "mixes entries of several weights"  # why it is not
    rounding: float = 0.0  # of `split`, relative to the norm of the matrix: 0 where it only picks

    def __init__(self, shape: Shape, block_shapes: Sequence[Shape]) -> None:
        self.shape = shape
        self.block_shapes = tuple(block_shapes)

    @cached_property
    def rank_costs(self) -> NDArray[np.int64]:
        """Numbers stored for one unit of rank of every block: height plus width by default."""
        return locked(np.array(self.block_shapes, dtype=np.int64).sum(axis=1))

    @cached_property
    def dense_costs(self) -> NDArray[np.int64]:
        """Numbers for which a block may be stored whole: all its entries."""
        return locked(np.array(self.block_shapes, dtype=np.int64).prod(axis=1))

    @cached_property
    def max_ranks(self) -> NDArray[np.int64]:
        """Largest rank of every block."""
        return locked(np.array(self.block_shapes, dtype=np.int64).min(axis=1))

    @cached_property
    def covers(self) -> bool:
        """Whether the blocks hold every matrix whole: there are as many entries in them."""
        return sum(p * q for p, q in self.block_shapes) == self.shape[0] * self.shape[1]

    @abstractmethod
    def split(self, matrix: Matrix) -> Sequence[Matrix]:
        """Return the blocks of an (m, n) matrix, as views where that is possible."""

    @abstractmethod
    def join(self, blocks: Sequence[Matrix]) -> Matrix:
        """Return a new (m, n) matrix from blocks: the transpose of `split`."""

    @abstractmethod
    def cells(self) -> Sequence[Block]:
        """Return which rows and columns each block takes its entries from, for pictures and verdicts."""

    def outside(self, matrix: Matrix) -> Iterator[Matrix]:
        """Yield ``W - join(split(W))``, what no ranks can approximate, some rows at a time."""
        rest = matrix - self.join(self.split(matrix))
        step = max(1, _SLAB // self.shape[1])
        for start in range(0, len(rest), step):
            yield rest[start : start + step]

    def turned(self, block: int, factors: Factors) -> Factors:
        """Return the factors that a block has on the transposed matrix: ``(A.T, B.T)``."""
        b, a = factors
        return a.T, b.T

    def takes(self, rows: Matrix | None, cols: Matrix | None) -> bool:
        """Whether `rescaled` is known for these scales, of which None stands for ones."""
        return self.takes_weights

    def rescaled(self, factors: Sequence[Factors], rows: Matrix, cols: Matrix) -> Sequence[Factors]:
        """Return the factors of ``diag(rows) @ X @ diag(cols)``, where X has these; see `takes`."""
        raise NotImplementedError

    def pieces(self, factors: Sequence[Factors]) -> Iterable[tuple[Block, Factors]]:
        """Return disjoint cells of the matrix with factors of them, of as low rank as is known: LoRA's.

        By default where blocks are no cells: all of the matrix, and an identity.
        """
        if self.blocks_are_cells:
            return zip(self.cells(), factors, strict=True)
        return [(whole_block(self.shape), whole_factors(self.dense(factors)))]

    def positions(self, ranks: NDArray[np.int64]) -> int:
        """Return how many integers store the positions of the numbers; 0 if the structure determines them."""
        return 0

    def dense(self, factors: Sequence[Factors]) -> Matrix:
        """Return ``join(B @ A of every block)``, an (m, n) matrix."""
        return self.join([b @ a for b, a in factors])

    def apply(self, factors: Sequence[Factors], x: Matrix) -> Matrix:
        """Return ``join(B @ A of every block) @ x`` for x of shape (n,) or (n, k)."""
        return self.dense(factors) @ x

    def apply_transposed(self, factors: Sequence[Factors], y: Matrix) -> Matrix:
        """Return ``join(B @ A of every block).T @ y`` for y of shape (m,) or (m, k)."""
        return self.dense(factors).T @ y


def whole_factors(block: Matrix) -> Factors:
    """Return a block with the identity of its smaller side, which is not stored."""
    p, q = block.shape
    return (block, np.eye(q, dtype=block.dtype)) if q <= p else (np.eye(p, dtype=block.dtype), block)
