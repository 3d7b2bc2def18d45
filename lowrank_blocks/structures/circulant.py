"""Block circulant matrices: the entries on a cyclic diagonal of a block share a number.

The nearest such matrix averages them. A block holds the sums over its diagonals, divided by the root of their
length, so that it has the energy of the circulant block that it stands for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._calls import shows_call
from lowrank_blocks._results import locked
from lowrank_blocks._validation import Matrix, Shape, as_count
from lowrank_blocks.linalg import UNIT
from lowrank_blocks.structures.base import Factors, Layout, Structure, whole_factors
from lowrank_blocks.structures.cells import Block
from lowrank_blocks.structures.orders import nearest_divisors


@final
@shows_call("lb.BlockCirculant(16)")
@dataclass(frozen=True, repr=False)
class BlockCirculant(Structure):
    """Circulant blocks, as in C3A: entries on one cyclic diagonal of a block share a number.

    A budget of ``m * n / size`` stores all blocks. A smaller one stores those of most energy.

    Parameters
    ----------
    size : int
        Side of the blocks, which divides both sides of the matrix. A block costs `size` numbers.

    Raises
    ------
    TypeError, ValueError
        If `size` is not a positive integer. Its layout refuses a shape that it does not divide.

    References
    ----------
    Chen et al., "Parameter-Efficient Fine-Tuning via Circular Convolution", arXiv 2407.19342.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> best = lb.approximate([[1.0, 2.0], [4.0, 1.0]], lb.BlockCirculant(2), budget=2)
    >>> best.to_dense().round(12).tolist()
    [[1.0, 3.0], [3.0, 1.0]]
    """

    size: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", as_count(self.size, "size", least=1))

    def __repr__(self) -> str:
        return f"BlockCirculant({self.size})"

    def layout(self, shape: Shape) -> CirculantLayout:
        """Return one row of `size` sums for every block, row of blocks by row of blocks."""
        both = np.gcd(*shape)
        if both % self.size:
            raise ValueError(
                f"size must divide both sides of the shape {shape}, got {self.size}; "
                f"{nearest_divisors(int(both), self.size)} do."
            )
        return CirculantLayout(shape, self.size)

    def transposed(self) -> BlockCirculant:
        """Return itself: the transpose of a circulant block is circulant."""
        return self


@final
class CirculantLayout(Layout):
    """Sums over the cyclic diagonals of every block, divided by the root of their length."""

    proved = True

    def __init__(self, shape: Shape, size: int) -> None:
        m, n = shape
        super().__init__(shape, [(1, size)] * (m // size * (n // size)))
        self._size, self._grid = size, (m // size, n // size)
        self.rank_costs = locked(np.full(len(self.block_shapes), size))
        self.rounding = size * UNIT
        steps = np.arange(size)
        self._columns = (steps[:, None] - steps) % size  # of row i: where diagonal k passes

    def split(self, matrix: Matrix) -> list[Matrix]:
        """Return the sums of every block as a row."""
        (rows, cols), size = self._grid, self._size
        blocks = matrix.reshape(rows, size, cols, size).swapaxes(1, 2).astype(np.float64, copy=False)
        along = np.arange(size)[:, None]
        sums = (blocks[:, :, along, self._columns] / math.sqrt(size)).sum(axis=2)
        return list(sums.reshape(-1, 1, size))

    def join(self, blocks: Sequence[Matrix]) -> Matrix:
        """Return a new matrix with every number along its diagonal."""
        values = self._numbers(blocks) / math.sqrt(self._size)
        return np.array(values[:, :, self._columns].swapaxes(1, 2).reshape(self.shape))

    def cells(self) -> tuple[Block, ...]:
        """Return where the circulant blocks lie."""
        (rows, cols), size = self._grid, self._size
        places = [(i * size, j * size) for i in range(rows) for j in range(cols)]
        return tuple(Block(slice(i, i + size), slice(j, j + size)) for i, j in places)

    def turned(self, block: int, factors: Factors) -> Factors:
        """Return the row of the transposed block: its diagonals in reverse."""
        b, a = factors
        return b, a[:, -np.arange(self._size) % self._size]

    def pieces(self, factors: Sequence[Factors]) -> list[tuple[Block, Factors]]:
        """Return the blocks that are stored, whole, each with an identity."""
        dense, pairs = self.dense(factors), zip(self.cells(), factors, strict=True)
        return [(cell, whole_factors(dense[cell.index])) for cell, (b, _) in pairs if b.size]

    def apply(self, factors: Sequence[Factors], x: Matrix) -> Matrix:
        """Multiply by cyclic convolutions."""
        spectra = self._transforms(factors)
        columns = x.reshape(self._grid[1], self._size, math.prod(x.shape[1:]))
        found = np.einsum("ijf,jfk->ifk", spectra, np.fft.rfft(columns, axis=1))
        return np.fft.irfft(found, n=self._size, axis=1).reshape(self.shape[0], *x.shape[1:])

    def apply_transposed(self, factors: Sequence[Factors], y: Matrix) -> Matrix:
        """Multiply by cyclic correlations."""
        spectra = self._transforms(factors).conj()
        columns = y.reshape(self._grid[0], self._size, math.prod(y.shape[1:]))
        found = np.einsum("ijf,ifk->jfk", spectra, np.fft.rfft(columns, axis=1))
        return np.fft.irfft(found, n=self._size, axis=1).reshape(self.shape[1], *y.shape[1:])

    def _transforms(self, factors: Sequence[Factors]) -> NDArray[np.complexfloating[Any]]:
        values = self._numbers([b @ a for b, a in factors])
        return np.fft.rfft(values / math.sqrt(self._size), axis=2)

    def _numbers(self, blocks: Sequence[Matrix]) -> Matrix:
        return np.concatenate(blocks).reshape(*self._grid, self._size)
