"""The SVD of blocks by LAPACK; of long blocks it solves the triangular factors of panels.

LAPACK's own sums over a side of a million entries are wrong in the tenth digit if the entries are equal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg import lapack, stacks
from lowrank_blocks.linalg.threads import panels, parallel

Array = NDArray[np.float64]

_PANEL = 1024  # length of the panels that long blocks are cut into ...
_SHARE = 4  # ... or so many times their side, if that is more


def lapack_values(stack: Array) -> Array:
    """Return the singular values, descending, of a block or a stack of blocks, smaller side first."""
    if stack.shape[-2] == 1:
        return _norms(stack)
    return _values_of_long(stack) if _is_long(stack) else stacks.lapack_values(stack)


def lapack_svd(stack: Array) -> tuple[Array, Array, Array]:
    """Return U, the singular values and V^T, thin, of a block or a stack of blocks, smaller side first."""
    if stack.shape[-2] == 1:
        norms = _norms(stack)
        return np.ones((*norms.shape, 1)), norms, stack / np.where(norms, norms, 1.0)[..., None]
    return _svd_of_long(stack) if _is_long(stack) else stacks.lapack_svd(stack)


def svd_method(shape: tuple[int, ...]) -> str:
    """Return how `lapack_values` and `lapack_svd` solve blocks of a shape; see `Accuracy`."""
    return "norm" if shape[-2] == 1 else "lapack"


def _norms(stack: Array) -> Array:
    """Return the norms of rows: the only singular value of a block of one row."""
    if stack.shape[-1] == 1:
        return np.abs(stack[..., 0])
    return np.asarray(np.sqrt(np.square(stack).sum(axis=-1)))


def lengths(shape: tuple[int, ...]) -> list[int]:
    """Return the lengths that LAPACK is given of (k, l) blocks: of panels, level by level, and the last."""
    side, length = shape[-2:]
    found, most = [], _longest(side)
    while length > 2 * most:
        count = len(panels(length, most))
        found.append(-(-length // count))
        length = count * side
    return [*found, length]


def _longest(side: int) -> int:
    return max(_PANEL, _SHARE * side)


def _is_long(stack: Array) -> bool:
    side, length = stack.shape[-2:]
    return bool(length > 2 * _longest(side))


def _tall(stack: Array) -> list[Array]:
    """Return the panels of long (..., k, l) blocks, turned."""
    side, length = stack.shape[-2:]
    return [stack[..., panel].swapaxes(-1, -2) for panel in panels(length, _longest(side))]


def _values_of_long(stack: Array) -> Array:
    """Return the singular values of long blocks: those of the triangular factors of their panels."""
    triangles = parallel(lapack.triangular_factors, _tall(stack))
    return lapack_values(np.concatenate(triangles, axis=-2).swapaxes(-1, -2))


def _svd_of_long(stack: Array) -> tuple[Array, Array, Array]:
    """Return the SVD of long blocks: V of a panel is its Q times its part of that of the triangles."""
    pairs = parallel(lapack.triangular_form, _tall(stack))
    u, s, inner = lapack_svd(np.concatenate([r for _, r in pairs], axis=-2).swapaxes(-1, -2))
    parts = np.split(inner, len(pairs), axis=-1)
    right = [np.matmul(part, q.swapaxes(-1, -2)) for part, (q, _) in zip(parts, pairs, strict=True)]
    return u, s, np.concatenate(right, axis=-1)
