"""A block projected on orthonormal columns, and the coupling of the rest of the block to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.gram import times
from lowrank_blocks.linalg.lapack import reflected, reflectors
from lowrank_blocks.linalg.svd import lapack_svd
from lowrank_blocks.linalg.threads import panels, parallel

Array = NDArray[np.float64]

_PANEL = 512  # columns of a block reflected at a time


@dataclass(frozen=True)
class Projection:
    """The part ``basis @ (values[:, None] * rows)`` of a (k, l) block that some columns span.

    Attributes
    ----------
    basis, values, rows : arrays
        Orthonormal columns, (k, r); singular values, (r,); orthonormal rows, (r, l).
    """

    basis: Array
    values: Array
    rows: Array


def projected(block: Array, vectors: Array) -> Projection:
    """Project a block on the span of orthonormal columns."""
    rotation, values, right = lapack_svd(times(block.T, vectors).T)
    return Projection(vectors @ rotation, values, right)


def coupling(block: Array, part: Projection) -> float:
    """Return the norm of C, where the block is ``[[S, 0], [C, H]]`` and the part ``[[S, 0], [0, 0]]``.

    The bases begin with those of the part. Without C the singular values of the block would be those
    of S and those of H; the least error at any rank differs from theirs by at most this norm.
    """
    return float(np.linalg.norm(times(block, part.rows.T) - part.basis * part.values))


def without(block: Array, basis: Array) -> Array:
    """Return what orthonormal columns leave of a block: ``complement.T @ block``, of fewer rows.

    The complement completes the basis. Reflections give the product without forming the complement.
    """
    rows, factors = reflectors(basis)
    count, side = rows.shape
    rest = np.empty((side - count, block.shape[1]))

    def fill(panel: slice) -> None:
        rest[:, panel] = reflected(block[:, panel], rows, factors)[count:]

    parallel(fill, panels(block.shape[1], _PANEL))
    return rest
