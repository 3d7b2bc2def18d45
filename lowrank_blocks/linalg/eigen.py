"""All eigenvalues of a symmetric matrix, and the eigenvectors that are asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.energies import UNIT
from lowrank_blocks.linalg.lapack import (
    inverse_iteration,
    tridiagonal_form,
    tridiagonal_values,
    turn_back,
)

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
        rows = self._iterated(first, last)
        turn_back(rows, self._reflectors, self._factors)
        return rows[::-1].T

    def _iterated(self, first: int, last: int) -> Array:
        """Inverse iteration, part by part; rows ascend."""
        ends, values, part = self._parts()
        chosen = np.sort(np.argsort(-values, kind="stable")[first:last])
        wanted = values[chosen]
        rows = inverse_iteration(self._diagonal, self._off_diagonal, wanted, part[chosen], ends)
        return rows[np.argsort(wanted, kind="stable")] if len(ends) > 1 else rows

    def _parts(self) -> tuple[Places, Array, Places]:
        """Return the ends of the parts that the matrix falls into, their values, and which part has each.

        Inverse iteration needs the part of every value: the k-th of all values may belong to any part.
        """
        side = len(self.values)
        apart = np.abs(self._off_diagonal) <= UNIT * np.abs(self.values).max()
        ends = np.append(np.flatnonzero(apart) + 1, side)
        if len(ends) == 1:
            return ends, self.values[::-1], np.zeros(side, np.intp)
        values, starts = self._diagonal.copy(), np.append(0, ends[:-1])
        for start, end in zip(starts, ends, strict=True):
            if end - start > 1:
                off_diagonal = self._off_diagonal[start : end - 1]
                values[start:end] = tridiagonal_values(self._diagonal[start:end], off_diagonal)
        return ends, values, np.repeat(np.arange(len(ends)), ends - starts)
