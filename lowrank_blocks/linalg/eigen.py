"""All eigenvalues of a symmetric matrix, and the eigenvectors that are asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.bounds import UNIT
from lowrank_blocks.linalg.lapack import (
    inverse_iteration,
    robust_vectors,
    tridiagonal_form,
    tridiagonal_values,
    turn_back,
)

Array = NDArray[np.float64]


class Tridiagonal:
    """A symmetric matrix reduced to three diagonals: all its eigenvalues, and the vectors asked for.

    Parameters
    ----------
    matrix : (k, k) array
        In C's order. Its upper half is read, and taken for the reflectors; the lower half is left.

    Attributes
    ----------
    values : (k,) array
        The eigenvalues, descending.
    """

    def __init__(self, matrix: Array) -> None:
        self._reflectors = matrix
        self._diagonal, self._off_diagonal, self._factors = tridiagonal_form(matrix)
        self.values = tridiagonal_values(self._diagonal, self._off_diagonal)[::-1]

    def vectors(self, first: int, last: int) -> Array:
        """Return the eigenvectors of ``values[first:last]`` as columns, orthonormal up to rounding.

        Raises
        ------
        numpy.linalg.LinAlgError
            If LAPACK does not find them.
        """
        # Inverse iteration, the faster, knows nothing of a matrix that falls into parts.
        apart = (np.abs(self._off_diagonal) <= UNIT * np.abs(self.values).max()).any()
        rows = (self._represented if apart else self._iterated)(first, last)
        turn_back(rows, self._reflectors, self._factors)
        return rows[::-1].T

    def _iterated(self, first: int, last: int) -> Array:
        ascending = np.ascontiguousarray(self.values[first:last][::-1])
        return inverse_iteration(self._diagonal, self._off_diagonal, ascending)

    def _represented(self, first: int, last: int) -> Array:
        side = len(self.values)
        return robust_vectors(self._diagonal, self._off_diagonal, side - last, side - first)
