"""Leading eigenvectors of a large Gram matrix by block Lanczos, and the proof that none was missed.

The start block is fixed, so every run gives the same result. That the iteration converged proves nothing.
The proof that no larger eigenvalue was missed is the norm of what the Krylov space leaves of the matrix,
and a Cholesky factorisation where that norm is too coarse.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.bounds import eigen_sum, root
from lowrank_blocks.linalg.energies import UNIT, energy
from lowrank_blocks.linalg.gram import times
from lowrank_blocks.linalg.lapack import (
    eigenpairs,
    is_positive_definite,
    orthonormal_columns,
    subtract_from_product,
)
from lowrank_blocks.linalg.stacks import eigenvalues

Array = NDArray[np.float64]

_FIRST_LOOK = 4.5  # the size of the basis, in ranks, at which convergence is first tested
_LAST_LOOK = 10  # ... and at which the iteration ends
_NOISE = 32.0  # residuals that no iteration makes smaller, in units of UNIT * the trace
_HOPELESS = 0.02  # residual, relative to the last value, that will not converge in time
_CANCELLATION = 64.0  # error of a difference of squared norms, in units of root * UNIT * the largest
_SKEW = 16.0  # how far from orthonormal a basis may be, in units of root * UNIT
_FACTORISATION = 16.0  # error of a Cholesky factorisation, in units of root * UNIT * its norm


@dataclass(frozen=True)
class Ritz:
    """Approximate leading eigenpairs.

    Attributes
    ----------
    vectors : (k, r) array
        Orthonormal.
    values, residuals : (r,) arrays
        Rayleigh quotients, and norms of what the vectors lack to be eigenvectors.
    beyond : float
        A bound on the eigenvalues of the matrix on the complement of the vectors; infinite if none
        is known.
    converged : bool
        Whether the residuals are as small as was asked for.
    """

    vectors: Array
    values: Array
    residuals: Array
    beyond: float = float("inf")
    converged: bool = False


def leading_ritz(
    matrix: Array, rank: int, tolerance: float, stop: Callable[[Array], bool] = lambda _: False
) -> Ritz | None:
    """Return the leading eigenpairs of a (k, k) Gram matrix, or those it has if they converge slowly.

    Parameters
    ----------
    matrix : (k, k) array
        Symmetric, both halves.
    rank : int
        Number of pairs.
    tolerance : float
        Error of the square root of the energy left that is aimed at, relative to that of the trace.
    stop : callable, optional
        Called with the leading values whenever convergence is tested; True ends the iteration.

    Returns
    -------
    Ritz or None
        None if the Krylov space has no room for so many.
    """
    trace, total = float(np.trace(matrix)), energy(matrix)
    ritz = None
    for basis, images in _krylov(matrix, rank):
        ritz, others = _rayleigh_ritz(basis, images, rank)
        if stop(ritz.values):
            break
        left = max(trace - float(ritz.values.sum()), 0.0)
        aim = max(tolerance * np.sqrt(trace * left) / 2, _NOISE * UNIT * trace)
        if ritz.residuals.sum() <= aim:
            beyond = _beyond(ritz, others, basis, images, total)
            return replace(ritz, beyond=beyond, converged=True)
        if ritz.residuals.max() > _HOPELESS * ritz.values[-1]:
            break
    return ritz


def missed_energy(matrix: Array, ritz: Ritz, shape: tuple[int, int], tolerance: float) -> float:
    """Bound the energy that the exact leading eigenvectors hold beyond these; `matrix` loses its lower half.

    Let the vectors U span M = U^T G U, with the coupling W = G U - U M. If no eigenvalue of G on the
    complement of U exceeds t, the leading eigenvalues sum to at most ``sum(max(M_i, t))`` plus the
    nuclear norm of W. Either such a t is known, or ``t I - G + U M U^T`` has a Cholesky factorisation.

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
    rank = len(ritz.values)
    trace = float(np.trace(matrix))
    left = max(trace - float(ritz.values.sum()), 0.0)
    ceiling = float(ritz.values[-1]) + tolerance * np.sqrt(trace * left) / (4 * rank)
    top = np.sqrt(np.maximum(ritz.values[:1], 0.0))
    rounding = 2 * float(eigen_sum(top, trace, shape, rank)[0])  # of G, and of its deflation
    if ritz.beyond > ceiling:
        rounding += rank * _FACTORISATION * root(shape) * UNIT * ceiling
        if not _nothing_above(ceiling, matrix, ritz):
            return float("inf")
    return float(ritz.residuals.sum() + np.maximum(ceiling - ritz.values, 0.0).sum() + rounding)


def _nothing_above(ceiling: float, matrix: Array, ritz: Ritz) -> bool:
    """Whether no eigenvalue of a matrix less its Ritz pairs exceeds the ceiling, by Cholesky.

    The factor takes the place of the lower half of the matrix.
    """
    diagonal = matrix.diagonal().copy()
    subtract_from_product(ritz.vectors * np.sqrt(np.maximum(ritz.values, 0.0)), matrix)
    matrix.flat[:: len(matrix) + 1] += ceiling
    nothing = is_positive_definite(matrix)
    np.fill_diagonal(matrix, diagonal)
    return nothing


def _krylov(matrix: Array, rank: int) -> Iterator[tuple[Array, Array]]:
    """Yield growing orthonormal bases of a block Krylov space, and their images under `matrix`."""
    width = _width(rank)
    most = min(_LAST_LOOK * rank + 8 * width, len(matrix) // 2) // width
    look = int(_FIRST_LOOK * rank) + 2 * width
    basis = np.empty((len(matrix), most * width), order="F")  # untouched columns take no memory
    images = np.empty_like(basis)
    block = orthonormal_columns(np.random.default_rng(0).standard_normal((len(matrix), width)))
    for step in range(1, most + 1):
        new = slice((step - 1) * width, step * width)
        basis[:, new] = block
        images[:, new] = times(matrix, block)
        known = basis[:, : new.stop]
        if new.stop >= look:
            yield known, images[:, : new.stop]
            look = new.stop + max(width, rank // 2)
        block = _orthogonal(images[:, new], known)


def _orthogonal(columns: Array, basis: Array) -> Array:
    """Return orthonormal columns that span what a basis lacks of these."""
    block = orthonormal_columns(columns - basis @ (basis.T @ columns))
    overlap = basis.T @ block
    block -= basis @ overlap
    # What is taken off here shortens the columns by its square.
    return block if np.vdot(overlap, overlap) <= UNIT else orthonormal_columns(block)


def _rayleigh_ritz(basis: Array, images: Array, rank: int) -> tuple[Ritz, tuple[Array, Array]]:
    """Return the leading Ritz pairs, and the values and the coordinates of the others."""
    values, rotation = eigenpairs(basis.T @ images)
    values, rotation = values[::-1], rotation[:, ::-1]
    vectors = basis @ rotation[:, :rank]
    residuals = np.linalg.norm(images @ rotation[:, :rank] - vectors * values[:rank], axis=0)
    return Ritz(vectors, values[:rank], residuals), (values[rank:], rotation[:, rank:])


def _beyond(ritz: Ritz, others: tuple[Array, Array], basis: Array, images: Array, total: float) -> float:
    """Bound the eigenvalues of G, of squared norm `total`, on the complement of the leading vectors.

    In the basis of the other Ritz vectors, and of what is outside the Krylov space, G is
    ``[[T, E^T], [E, H]]``. Only the last block of the space is coupled to the outside: with C, which
    holds the coordinates of the Ritz vectors in that block, ``E^T E <= ||E||^2 C^T C``. The norms of E
    and H follow from those of G and of its images. No eigenvalue exceeds any ``t > ||H||`` for which
    ``T + E^T E / (t - ||H||) <= t``. All of this holds for an orthonormal basis only.
    """
    rest, coordinates = others
    unit = math.sqrt(len(images)) * UNIT
    if np.linalg.norm(basis.T @ basis - np.eye(basis.shape[1])) > _SKEW * unit:
        return float("inf")
    least, width = float(ritz.values[-1]), _width(len(ritz.values))
    inside = float(ritz.values @ ritz.values + rest @ rest)
    reached = energy(images)
    slack = _CANCELLATION * unit * total
    outside = math.sqrt(max(total - 2 * reached + inside, 0.0) + slack)
    if outside >= least:
        return float("inf")
    last = coordinates[-width:]
    coupled = (max(reached - inside, 0.0) + slack) / (least - outside) * (last.T @ last)
    rounding = _CANCELLATION * unit * float(ritz.values[0])
    return max(least, float(eigenvalues((np.diag(rest) + coupled)[None])[0, -1]) + rounding)


def _width(rank: int) -> int:
    """Return how many columns a block of the Krylov space has."""
    return max(8, rank // 4)
