"""Small symmetric problems: pseudo-inverses of Gram matrices, and eigenvectors of the smallest values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.eigen import Tridiagonal
from lowrank_blocks.linalg.energies import UNIT
from lowrank_blocks.linalg.lapack import eigenpairs
from lowrank_blocks.linalg.threads import one_blas_thread

Array = NDArray[np.float64]

_LOST = 64.0  # units of rounding times the side below which an eigenvalue of a Gram matrix is taken for 0
_WHOLE = 64  # sides below this: all eigenvectors by one call
_APART = 1e-12  # how far eigenvectors may be from orthonormal


def pseudo_inverses(grams: Array) -> Array:
    """Return the pseudo-inverses of a (k, c, c) stack of Gram matrices."""
    side = grams.shape[-1]
    if side == 1:
        used = grams > 0
        return np.divide(1.0, grams, out=np.zeros_like(grams), where=used)
    with one_blas_thread(with_scipy=False):
        values, vectors = eigenpairs(grams)
        least = _LOST * side * UNIT * values[..., -1:]
        inverses = np.divide(1.0, values, out=np.zeros_like(values), where=values > np.maximum(least, 0.0))
        return np.asarray((vectors * inverses[..., None, :]) @ vectors.swapaxes(-1, -2))


def smallest_eigenvectors(matrix: Array, count: int) -> Array:
    """Return orthonormal eigenvectors of the smallest eigenvalues of a symmetric matrix, as columns."""
    side = len(matrix)
    with one_blas_thread(with_scipy=True):
        if side >= _WHOLE and 4 * count <= side:
            found = _selected(matrix, count)
            if found is not None:
                return found
        return np.ascontiguousarray(eigenpairs(matrix)[1][:, :count])


def _selected(matrix: Array, count: int) -> Array | None:
    """Return the eigenvectors by inverse iteration; None where it leaves them far from orthonormal."""
    side = len(matrix)
    try:
        vectors = Tridiagonal(np.array(matrix, order="C")).vectors(side - count, side)
    except np.linalg.LinAlgError:
        return None
    apart = np.abs(vectors.T @ vectors - np.eye(count)).max()
    return np.ascontiguousarray(vectors) if apart <= _APART else None
