"""Leading eigenvectors of a large Gram matrix by block Lanczos, and the proof that none was missed.

The start block is fixed, so there is no chance in any result; and no result is believed because the
iteration settled: a Cholesky factorisation proves that nothing larger was left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.bounds import UNIT, eigen_sum, root
from lowrank_blocks.gram import times

Array = NDArray[np.float64]

_FIRST_LOOK = 4  # the size of the basis, in ranks, at which convergence is first judged
_LAST_LOOK = 10  # ... and at which the iteration is given up
_HOPELESS = 0.02  # residual, relative to the last value, that will not converge in time
_FACTORISATION = 16.0  # error of a Cholesky factorisation, in units of root * UNIT * its norm


@dataclass(frozen=True)
class Ritz:
    """Approximate leading eigenpairs: orthonormal vectors, their values, and residual norms."""

    vectors: Array
    values: Array
    residuals: Array


def leading_ritz(matrix: Array, rank: int, tolerance: float) -> Ritz | None:
    """Return the leading eigenpairs of a (k, k) Gram matrix, or None if they converge slowly.

    Parameters
    ----------
    matrix : (k, k) array
        Symmetric, both halves.
    rank : int
        Number of pairs.
    tolerance : float
        Error of the square root of the energy left that is aimed at, relative to that of the trace.
    """
    trace = float(np.trace(matrix))
    for basis, images in _krylov(matrix, rank):
        ritz = _rayleigh_ritz(basis, images, rank)
        left = max(trace - float(ritz.values.sum()), 0.0)
        aim = max(tolerance * np.sqrt(trace * left) / 2, 32 * UNIT * trace)
        if ritz.residuals.sum() <= aim:
            return ritz
        if ritz.residuals.max() > _HOPELESS * ritz.values[-1]:
            return None
    return None


def missed_energy(matrix: Array, ritz: Ritz, shape: tuple[int, int], tolerance: float) -> float:
    """Bound the energy that the exact leading eigenvectors hold beyond these; `matrix` is overwritten.

    Let the vectors U span M = U^T G U, with the coupling W = G U - U M. If ``t I - G + U M U^T`` has
    a Cholesky factorisation, no eigenvalue of G on the complement of U exceeds t, hence the leading
    eigenvalues sum to at most ``sum(max(M_i, t))`` plus the nuclear norm of W.

    Parameters
    ----------
    matrix : (k, k) array
        The Gram matrix of a block, both halves.
    ritz : Ritz
        Approximate leading eigenpairs.
    shape : (int, int)
        Shape of the block, smaller side first.
    tolerance : float
        As for `leading_ritz`.

    Returns
    -------
    float
        The bound; infinite where there is no such factorisation.
    """
    from scipy.linalg.blas import dsyrk
    from scipy.linalg.lapack import dpotrf

    rank = len(ritz.values)
    trace = float(np.trace(matrix))
    left = max(trace - float(ritz.values.sum()), 0.0)
    ceiling = float(ritz.values[-1]) + tolerance * np.sqrt(trace * left) / (4 * rank)
    roots = ritz.vectors * np.sqrt(np.maximum(ritz.values, 0.0))
    deflated = dsyrk(1.0, roots, beta=-1.0, c=matrix.T, overwrite_c=1, lower=1)
    deflated.flat[:: len(matrix) + 1] += ceiling
    if dpotrf(deflated, lower=1, clean=0, overwrite_a=1)[1] != 0:
        return float("inf")
    top = np.sqrt(np.maximum(ritz.values[:1], 0.0))
    rounding = 2 * float(eigen_sum(top, trace, shape, rank)[0])  # of G, and of its deflation
    rounding += rank * _FACTORISATION * root(shape) * UNIT * ceiling
    return float(ritz.residuals.sum() + np.maximum(ceiling - ritz.values, 0.0).sum() + rounding)


def _krylov(matrix: Array, rank: int) -> Iterator[tuple[Array, Array]]:
    """Yield growing orthonormal bases of a block Krylov space, and their images under `matrix`."""
    width = max(8, rank // 4)
    most = min(_LAST_LOOK * rank + 8 * width, len(matrix) // 2) // width
    look = _FIRST_LOOK * rank + 2 * width
    basis = np.empty((len(matrix), most * width), order="F")  # untouched columns take no memory
    images = np.empty_like(basis)
    block = np.linalg.qr(np.random.default_rng(0).standard_normal((len(matrix), width)))[0]
    for step in range(1, most + 1):
        new = slice((step - 1) * width, step * width)
        basis[:, new] = block
        images[:, new] = times(matrix, block)
        known = basis[:, : new.stop]
        if new.stop >= look:
            yield known, images[:, : new.stop]
            look = new.stop + max(width, rank // 2)
        block = _orthogonal(_orthogonal(images[:, new], known), known)


def _orthogonal(columns: Array, basis: Array) -> Array:
    return np.linalg.qr(columns - basis @ (basis.T @ columns))[0]


def _rayleigh_ritz(basis: Array, images: Array, rank: int) -> Ritz:
    values, rotation = np.linalg.eigh(basis.T @ images)
    values, rotation = values[: -rank - 1 : -1], rotation[:, : -rank - 1 : -1]
    vectors = basis @ rotation
    residuals = np.linalg.norm(images @ rotation - vectors * values, axis=0)
    return Ritz(vectors, values, residuals)
