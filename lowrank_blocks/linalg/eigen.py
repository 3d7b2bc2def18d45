"""All eigenvalues of a symmetric matrix, and the eigenvectors that are asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.address import WORK, call
from lowrank_blocks.linalg.bounds import UNIT

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
        side = len(matrix)
        self._reflectors = matrix
        self._diagonal, self._beside, self._factors = np.empty((3, side))
        reduced = self._diagonal, self._beside, self._factors
        work = np.empty(WORK * side)
        # C's upper half is Fortran's lower.
        call("dsytrd", b"L", side, matrix, side, *reduced, work, len(work))
        values = self._diagonal.copy()
        call("dsterf", side, values, self._beside.copy())
        self.values = values[::-1]

    def vectors(self, first: int, last: int) -> Array:
        """Return the eigenvectors of ``values[first:last]`` as columns, orthonormal up to rounding.

        Raises
        ------
        numpy.linalg.LinAlgError
            If LAPACK does not find them.
        """
        side = len(self.values)
        # Inverse iteration, the faster, knows nothing of a matrix that falls into parts.
        apart = (np.abs(self._beside[: side - 1]) <= UNIT * np.abs(self.values).max()).any()
        found = (self._represented if apart else self._iterated)(first, last)
        work = np.empty(WORK * side)
        ends = found, side, work, len(work)
        call("dormtr", b"L", b"L", b"N", side, len(found), self._reflectors, side, self._factors, *ends)
        return found[::-1].T

    def _iterated(self, first: int, last: int) -> Array:
        """Inverse iteration; rows are Fortran's columns, ascending."""
        side, count = len(self.values), last - first
        values, vectors = np.zeros(side), np.empty((count, side))
        values[:count] = self.values[first:last][::-1]
        one_part = np.ones(side, np.intc), np.full(side, side, np.intc)
        work = np.empty(5 * side), np.empty(side, np.intc), np.empty(count, np.intc)
        matrix = self._diagonal, self._beside
        call("dstein", side, *matrix, count, values, *one_part, vectors, side, *work)
        return vectors

    def _represented(self, first: int, last: int) -> Array:
        """Relatively robust representations; rows are Fortran's columns, ascending."""
        side, count = len(self.values), last - first
        matrix = self._diagonal.copy(), self._beside.copy()
        wanted = 0.0, 0.0, side - last + 1, side - first
        found, vectors, support = np.zeros(1, np.intc), np.empty((count, side)), np.empty(2 * count, np.intc)
        results = found, np.empty(side), vectors, side, count, support, np.ones(1, np.intc)
        work, more = np.empty(18 * side), np.empty(10 * side, np.intc)
        call("dstemr", b"V", b"I", side, *matrix, *wanted, *results, work, len(work), more, len(more))
        if found[0] != count:
            raise np.linalg.LinAlgError(f"dstemr found {found[0]} of {count} eigenvectors")
        return vectors
