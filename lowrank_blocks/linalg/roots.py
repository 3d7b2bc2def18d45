"""Roots of symmetric positive semidefinite matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.energies import UNIT
from lowrank_blocks.linalg.lapack import eigenpairs, triangular_factors

Array = NDArray[np.float64]

_EIGEN = 64.0  # error of the eigenvalues of a matrix with a diagonal of ones, in units of its side * UNIT


@dataclass(frozen=True)
class Root:
    """L, (k, k), with ``L @ L.T`` a matrix, and how far norms of ``E @ L`` can be off.

    Attributes
    ----------
    matrix : (k, k) array
        L.
    relative : float
        Bound on the error of ``||E @ L||``, relative to it; infinite for singular matrices.
    absolute : float
        Bound on the same in units of ``||E||``.
    """

    matrix: Array
    relative: float
    absolute: float


def root_of(matrix: Array) -> Root | None:
    """Return a root of a symmetric (k, k) matrix; None if an eigenvalue is negative.

    The matrix is first scaled to a diagonal of ones, so that rows of very different sizes are all known to
    full accuracy.
    """
    scale = np.sqrt(np.maximum(matrix.diagonal(), 0.0))
    inverse = 1 / np.where(scale > 0, scale, 1.0)
    values, vectors = eigenpairs(inverse[:, None] * matrix * inverse)
    error = _EIGEN * len(matrix) * UNIT * max(1.0, float(values[-1]))
    if values[0] < -error:
        return None
    root = scale[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))
    relative = error / float(values[0]) if values[0] > error else math.inf
    return Root(np.ascontiguousarray(root), relative, math.sqrt(error) * float(scale.max()))


def root_of_moment(samples: Array) -> Root:
    """Return a root of ``samples.T @ samples`` without that product: R.T of a QR factorisation."""
    count, side = samples.shape
    if count <= side:  # columns of zeros make it as wide as high
        return Root(np.pad(samples.T, ((0, 0), (0, side - count))), 0.0, 0.0)
    root = np.ascontiguousarray(triangular_factors(samples).T)
    size = float(np.sqrt(np.square(root).sum()))
    return Root(root, math.inf, _EIGEN * side * UNIT * size)
