"""Gram matrices of the smaller side, and singular values from them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._validation import Matrix
from lowrank_blocks.spectra.threads import parallel

Array = NDArray[np.float64]

_PANEL = 512  # rows of a Gram matrix made at a time
_TALL_PANEL = 1024  # rows of a product with a few columns made at a time
_SLAB = 1 << 17  # entries of a residual made at a time: they stay in the cache


def flat(block: Matrix) -> Matrix:
    """Return the block with its smaller side first, as a view."""
    return block if block.shape[0] <= block.shape[1] else block.T


def gram(rows: Array, *, both_halves: bool) -> Array:
    """Return ``rows @ rows.T`` of a (k, l) block, its upper half or both halves."""
    panels = _panels(len(rows), _PANEL)
    product = np.empty((len(rows), len(rows)))

    def fill(tile: tuple[slice, slice]) -> None:
        i, j = tile
        np.matmul(rows[j], rows[i].T, out=product[j, i])
        if both_halves and i != j:
            product[i, j] = product[j, i].T

    tiles = [(i, j) for a, i in enumerate(panels) for j in panels[:a]]
    parallel(fill, tiles + [(i, i) for i in panels])  # the larger ones first
    return product


def gram_values(rows: Array) -> Array:
    """Return the singular values, descending, of one (k, l) block of at least 2 rows; in place."""
    from scipy.linalg import eigvalsh

    upper = gram(rows, both_halves=False)
    # Transposed it is in Fortran's order, so that LAPACK works in it and not in a copy.
    values = eigvalsh(upper.T, lower=True, overwrite_a=True, check_finite=False, driver="evd")
    return _roots(values)


def stacked_gram_values(stack: Array) -> Array:
    """Return the singular values, descending, of a (K, k, l) stack of blocks."""
    return _roots(np.linalg.eigvalsh(np.matmul(stack, stack.swapaxes(-1, -2))))


def times(square: Array, columns: Array) -> Array:
    """Return ``square @ columns``, panel by panel."""
    product = np.empty((len(square), columns.shape[1]))

    def fill(panel: slice) -> None:
        np.matmul(square[panel], columns, out=product[panel])

    parallel(fill, _panels(len(square), _TALL_PANEL))
    return product


def energy(matrix: Array) -> float:
    """Return the sum of the squares of all entries, in whatever order they are."""
    if _by_columns(matrix):
        matrix = matrix.T
    return float(np.einsum("ij,ij->i", matrix, matrix).sum())


def residual_norm(rows: Array, basis: Array, coordinates: Array) -> float:
    """Return ``||rows - basis @ coordinates||_F`` without forming the difference at once."""
    if _by_columns(rows):
        rows, basis, coordinates = rows.T, coordinates.T, basis.T

    def left(panel: slice) -> float:
        return energy(residual(rows[panel], basis[panel], coordinates))

    panels = _panels(len(rows), max(1, _SLAB // rows.shape[1]))
    return float(np.sqrt(np.sum(parallel(left, panels))))


def residual(rows: Array, basis: Array, coordinates: Array) -> Array:
    """Return ``rows - basis @ coordinates``, in the order of the rows."""
    if _by_columns(rows):
        return residual(rows.T, coordinates.T, basis.T).T
    product = basis @ coordinates
    return np.subtract(rows, product, out=product)


def _by_columns(rows: Array) -> bool:
    return rows.strides[0] < rows.strides[1]


def _roots(eigenvalues: Array) -> Array:
    return np.asarray(np.sqrt(np.maximum(eigenvalues[..., ::-1], 0.0)))


def _panels(length: int, size: int) -> list[slice]:
    count = -(-length // size)
    return [slice(a, b) for a, b in pairwise(i * length // count for i in range(count + 1))]
