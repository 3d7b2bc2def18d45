"""Rotations: the one nearest to a matrix, Cayley's form of it, and one that evens out a spectrum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.lapack import determinants, eigenpairs, solved
from lowrank_blocks.linalg.stacks import lapack_svd
from lowrank_blocks.linalg.threads import one_blas_thread

Array = NDArray[np.float64]

_HALF_TURN = 1e-14  # cosines this near to -1 are half turns
_TURN_BACK = 1e-7  # radians by which half turns are undone: balances its own error and that of large entries


def best_rotations(products: Array) -> Array:
    """Return the rotations R, of determinant 1, that maximise ``trace(R @ N)`` for a (k, b, b) stack of N.

    References
    ----------
    Kabsch, doi 10.1107/S0567739476001873; Schoenemann, doi 10.1007/BF02289451.
    """
    with one_blas_thread(with_scipy=False):
        u, _, vt = lapack_svd(products)
        turned = u @ vt
        signs = np.ones(products.shape[:-1])
        signs[..., -1] = np.sign(determinants(turned))
        return np.asarray(vt.swapaxes(-1, -2) @ (signs[..., None] * u.swapaxes(-1, -2)))


def cayley(skew: Array) -> Array:
    """Return the rotations ``(I - S) (I + S)^-1`` of a stack of skew-symmetric matrices S."""
    identity = np.eye(skew.shape[-1])
    with one_blas_thread(with_scipy=False):
        return solved(identity + skew, np.broadcast_to(identity, skew.shape) - skew)


def inverse_cayley(rotations: Array) -> tuple[Array, bool]:
    """Return the skew-symmetric S of a (k, b, b) stack of rotations, and whether some have half turns.

    No S belongs to a half turn. Half turns are undone by a tiny angle, so that S is large and finite.
    """
    with one_blas_thread(with_scipy=False):
        cosines, axes = eigenpairs((rotations + rotations.swapaxes(-1, -2)) / 2)
        half = cosines < _HALF_TURN - 1
        turned = rotations.copy()
        for k in np.flatnonzero(half.any(axis=-1)):
            turned[k] = rotations[k] @ _turning_back(axes[k][:, half[k]])
        identity = np.eye(rotations.shape[-1])
        skew = solved(identity + turned, identity - turned)
    return (skew - skew.swapaxes(-1, -2)) / 2, bool(half.any())


def _turning_back(axes: Array) -> Array:
    """Return a rotation by a tiny angle in the planes of pairs of axes."""
    one, other = axes[:, 0::2], axes[:, 1::2]
    one = one[:, : other.shape[1]]
    plane = one @ other.T - other @ one.T
    lost = one @ one.T + other @ other.T
    turned = np.eye(len(axes)) + np.sin(_TURN_BACK) * plane + (np.cos(_TURN_BACK) - 1) * lost
    return np.asarray(turned)


def evening_rotation(values: Array) -> Array:
    """Return a rotation Q for which all diagonal entries of ``Q.T @ diag(values) @ Q`` are the mean.

    References
    ----------
    Schur and Horn: see Horn, doi 10.2307/2372705.
    """
    count, mean = len(values), float(values.mean())
    turned, rotation = np.diag(values), np.eye(count)
    for _ in range(count - 1):
        off = np.diag(turned) - mean
        low, high = int(off.argmin()), int(off.argmax())
        if off[low] >= 0 or off[high] <= 0:
            break
        plane = _plane(turned[np.ix_([low, high], [low, high])] - mean * np.eye(2))
        rotation[:, [low, high]] = rotation[:, [low, high]] @ plane
        turned[:, [low, high]] = turned[:, [low, high]] @ plane
        turned[[low, high]] = plane.T @ turned[[low, high]]
    return rotation


def _plane(part: Array) -> Array:
    """Return the rotation of a plane after which the first diagonal entry of a symmetric part is 0."""
    low, cross, high = part[0, 0], part[0, 1], part[1, 1]
    tangent = (-cross + np.sqrt(cross * cross - low * high)) / high
    cosine = 1 / np.sqrt(1 + tangent * tangent)
    sine = tangent * cosine
    return np.array([[cosine, -sine], [sine, cosine]])
