"""All eigenvalues of a symmetric matrix, and the eigenvectors that are asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.spectra.address import WORK, call
from lowrank_blocks.spectra.energies import UNIT

Array = NDArray[np.float64]
Places = NDArray[np.intp]


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
        found = self._iterated(first, last)
        work = np.empty(WORK * side)
        ends = found, side, work, len(work)
        call("dormtr", b"L", b"L", b"N", side, len(found), self._reflectors, side, self._factors, *ends)
        return found[::-1].T

    def _iterated(self, first: int, last: int) -> Array:
        """Inverse iteration, part by part; rows are Fortran's columns, ascending."""
        side, count = len(self.values), last - first
        ends, values, part = self._parts()
        chosen = np.sort(np.argsort(-values, kind="stable")[first:last])
        wanted, owners, splits = np.zeros(side), np.ones(side, np.intc), np.full(side, side, np.intc)
        wanted[:count], owners[:count], splits[: len(ends)] = values[chosen], part[chosen] + 1, ends
        vectors, matrix = np.empty((count, side)), (self._diagonal, self._beside)
        work = np.empty(5 * side), np.empty(side, np.intc), np.empty(count, np.intc)
        call("dstein", side, *matrix, count, wanted, owners, splits, vectors, side, *work)
        return vectors[np.argsort(wanted[:count], kind="stable")] if len(ends) > 1 else vectors

    def _parts(self) -> tuple[Places, Array, Places]:
        """Return the ends of the parts that the matrix falls into, their values, and which part has each.

        Inverse iteration knows nothing of parts, and the value at a place of all may be that of any.
        """
        side = len(self.values)
        apart = np.abs(self._beside[: side - 1]) <= UNIT * np.abs(self.values).max()
        ends = np.append(np.flatnonzero(apart) + 1, side)
        if len(ends) == 1:
            return ends, self.values[::-1], np.zeros(side, np.intp)
        values, starts = self._diagonal.copy(), np.append(0, ends[:-1])
        for start, end in zip(starts, ends, strict=True):
            if end - start > 1:
                call("dsterf", int(end - start), values[start:end], self._beside[start:end].copy())
        return ends, values, np.repeat(np.arange(len(ends)), ends - starts)
