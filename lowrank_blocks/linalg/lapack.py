"""LAPACK's SVD, and its slower and surer driver where the fast one does not converge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def lapack_values(stack: Array) -> Array:
    """Return the singular values, descending, of a block or a stack of blocks."""
    try:
        return np.asarray(np.linalg.svd(stack, compute_uv=False))
    except np.linalg.LinAlgError:
        from scipy.linalg import svd

        blocks = stack.reshape(-1, *stack.shape[-2:])
        values = [svd(b, compute_uv=False, lapack_driver="gesvd", check_finite=False) for b in blocks]
        return np.reshape(values, (*stack.shape[:-2], -1))


def lapack_svd(stack: Array) -> tuple[Array, Array, Array]:
    """Return U, the singular values and V^T, thin, of a block or a stack of blocks."""
    try:
        u, s, vt = np.linalg.svd(stack, full_matrices=False)
    except np.linalg.LinAlgError:
        from scipy.linalg import svd

        blocks = stack.reshape(-1, *stack.shape[-2:])
        found = [svd(b, full_matrices=False, lapack_driver="gesvd", check_finite=False) for b in blocks]
        u, s, vt = (
            np.reshape(parts, (*stack.shape[:-2], *parts[0].shape)) for parts in zip(*found, strict=True)
        )
    return u, s, vt


def orthonormal_columns(matrix: Array) -> Array:
    """Return an orthonormal basis of the columns of a tall matrix of full rank."""
    return np.linalg.qr(matrix)[0]
