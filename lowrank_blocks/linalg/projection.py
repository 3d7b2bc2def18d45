"""A block projected on orthonormal columns, and the coupling of the rest of the block to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.gram import times
from lowrank_blocks.linalg.lapack import eigenpairs
from lowrank_blocks.linalg.reflections import reflected, reflectors
from lowrank_blocks.linalg.svd import lapack_svd
from lowrank_blocks.linalg.threads import panels, parallel

Array = NDArray[np.float64]

_PANEL = 512  # columns of a block reflected at a time
_LONG = 4  # times as long as wide: rows from which on their Gram matrix is the faster way to their SVD
_ALIKE = 1024.0  # the largest square over the least, up to which it gives orthonormal rows


@dataclass(frozen=True)
class Projection:
    """The part ``basis @ (values[:, None] * rows)`` of a (k, l) block that some columns span.

    Attributes
    ----------
    basis, values, rows : arrays
        Orthonormal columns, (k, r); singular values, (r,); orthonormal rows, (r, l).
    skew : float
        How far the rows are from orthonormal, ``||rows @ rows.T - 1||_F``; 0 stands for LAPACK's rounding.
    """

    basis: Array
    values: Array
    rows: Array
    skew: float = 0.0

    def leading(self, count: int) -> Projection:
        """Return the part that its largest singular values make, if it has more than so many."""
        if count >= len(self.values):
            return self
        return Projection(self.basis[:, :count], self.values[:count], self.rows[:count], self.skew)


def projected(block: NDArray[Any], vectors: Array) -> Projection:
    """Project a block, of float64 or float32, on the span of orthonormal columns."""
    rotation, values, rows, skew = _svd_of_few(times(block.T, vectors).T)
    return Projection(vectors @ rotation, values, rows, skew)


def _svd_of_few(rows: Array) -> tuple[Array, Array, Array, float]:
    """Return the SVD of few long rows, and how far its right vectors are from orthonormal.

    The product of the three is as exact as by LAPACK. Only the right vectors suffer from squares that are
    far apart.
    """
    product = rows @ rows.T if rows.shape[1] >= _LONG * len(rows) else None
    if product is not None and _alike(product.diagonal()):  # the squares are at least as far apart
        squares, rotation = eigenpairs(product)
        if _alike(squares):
            rotation = rotation[:, ::-1]
            right = rotation.T @ rows
            inner = right @ right.T
            values = np.sqrt(inner.diagonal())
            skew = np.linalg.norm(inner / values / values[:, None] - np.eye(len(values)))
            right /= values[:, None]
            if (values[1:] > values[:-1]).any():  # rounding has exchanged values that are nearly equal
                order = np.argsort(-values)
                rotation, values, right = rotation[:, order], values[order], right[order]
            return rotation, values, right, float(skew)
    return *lapack_svd(rows), 0.0


def _alike(squares: Array) -> bool:
    return bool(0 < squares.max() <= _ALIKE * squares.min())


def coupling(block: NDArray[Any], part: Projection) -> float:
    """Return the norm of C, where the block is ``[[S, 0], [C, H]]`` and the part ``[[S, 0], [0, 0]]``.

    The bases begin with those of the part. Without C the singular values of the block would be those
    of S and those of H; the least error at any rank differs from theirs by at most this norm. Rows that are
    not quite orthonormal move it, and the block, by up to `Projection.skew` times the norm of the block.
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
