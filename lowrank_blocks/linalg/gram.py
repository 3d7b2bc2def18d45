"""Gram matrices of the smaller side, and products of large blocks, panel by panel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._validation import Matrix
from lowrank_blocks.linalg.energies import by_columns, energy
from lowrank_blocks.linalg.threads import panels, parallel

Array = NDArray[np.float64]

_PANEL = 512  # rows of a Gram matrix made at a time
_TALL_PANEL = 1024  # rows of a product with a few columns made at a time
_UNCOPIED = 10**6  # multiplications up to which OpenBLAS copies no part of a matrix with contiguous rows ...
_ENTRIES = 1200  # ... where it makes no more entries
_SUMMED = 1 << 14  # bytes of a row, summed as one by vectors of 64: as `bounds.added` takes it
_WIDTH = 64  # bytes of a column of few rows up to which that is faster ...
_CACHED = 1 << 21  # ... or twice as many where the matrix has no more bytes than these
_LEAST = 16  # rows at a time from which on it is faster
_WIDENED = 341  # rows of float32 widened at a time where _UNCOPIED does not allow ...
_WIDENED_LEAST = 32  # ... at least so many
_SLAB = 1 << 17  # entries of a residual made at a time: they stay in the cache


def flat(block: Matrix) -> Matrix:
    """Return the block with its smaller side first, as a view."""
    return block if block.shape[0] <= block.shape[1] else block.T


def gram(rows: NDArray[Any], *, both_halves: bool = False) -> NDArray[Any]:
    """Return ``rows @ rows.T`` of a (k, l) block in its precision: its upper half, or both halves."""
    if len(rows) <= _PANEL:
        return np.asarray(rows @ rows.T)
    product = np.empty((len(rows), len(rows)), rows.dtype)
    parts = panels(len(rows), _PANEL)

    def fill(tile: tuple[slice, slice]) -> None:
        i, j = tile
        np.matmul(rows[j], rows[i].T, out=product[j, i])
        if both_halves and i != j:
            product[i, j] = product[j, i].T

    tiles = [(i, j) for a, i in enumerate(parts) for j in parts[:a]]
    parallel(fill, tiles + [(i, i) for i in parts])  # the larger ones first
    return product


def times(matrix: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
    """Return ``matrix @ columns``, as `Product` has it; float32 is widened for columns of float64."""
    if matrix.dtype == columns.dtype:
        return Product(matrix, columns)(columns)
    few = np.ascontiguousarray(columns).T  # faster where rows of the matrix are contiguous
    product = np.empty((len(few), len(matrix)))
    short = 2 * few.shape[1] * few.itemsize <= _SUMMED  # so that sums have few products
    size = _UNCOPIED // max(few.size, 1) if short else 0

    def fill(panel: slice) -> None:
        np.matmul(few, matrix[panel].astype(np.float64).T, out=product[:, panel])

    parallel(fill, panels(len(matrix), size if size >= _WIDENED_LEAST else _WIDENED))
    return product.T


def longest_sum(matrix: NDArray[Any], columns: NDArray[Any]) -> int | None:
    """Return how many products `times` may add one after another, or None: no more than a panel of BLAS has.

    Where OpenBLAS copies nothing, as for a single column, it adds all of them so, unless they are contiguous
    and make up vectors.
    """
    alike = matrix.dtype == columns.dtype
    least = _TALL_PANEL // 2 if alike else _WIDENED_LEAST  # rows of a panel, where there are several
    small = columns.shape[1] == 1 or min(len(matrix), least) * columns.size <= _UNCOPIED
    in_vectors = alike and _in_vectors(columns.T, matrix)
    return matrix.shape[1] if small and not in_vectors else None


def _in_vectors(few: NDArray[Any], matrix: NDArray[Any]) -> bool:
    """Whether BLAS adds the products of a row of each by vectors, no more of these than of a panel."""
    contiguous = matrix.strides[1] == few.strides[1] == few.itemsize
    return contiguous and few.shape[1] * few.itemsize <= _SUMMED


class Product:
    """The product of a matrix with columns, of one precision, panel by panel, in Fortran's order.

    BLAS multiplies few rows by a large matrix faster than a large matrix by few columns.

    Parameters
    ----------
    matrix : (k, l) array
    columns : (l, r) array
        Like those that will be given: as many, and in the same order.
    symmetric : bool, optional
        Whether the matrix may be read by columns or by rows.
    """

    def __init__(self, matrix: NDArray[Any], columns: NDArray[Any], *, symmetric: bool = False) -> None:
        piece = _piece(columns.T, matrix)
        if piece == 0 and symmetric:
            matrix = matrix.T  # faster where it is copied
        self._side, self._dtype = len(matrix), matrix.dtype
        parts = panels(self._side, _TALL_PANEL) if self._side > _TALL_PANEL else [slice(0, self._side)]
        self._panels = [
            [(cut, matrix[cut].T) for cut in _cuts(panel, piece or _TALL_PANEL)] for panel in parts
        ]

    def __call__(self, columns: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return the product, perhaps in an array that is given."""
        few = columns.T
        product = np.empty((len(few), self._side), self._dtype) if out is None else out.T

        def fill(panel: list[tuple[slice, NDArray[Any]]]) -> None:
            for cut, part in panel:
                np.matmul(few, part, out=product[:, cut])

        parallel(fill, self._panels)
        return product.T


def _cuts(panel: slice, size: int) -> list[slice]:
    """Return pieces of a panel; all but the last have the size."""
    return [slice(a, min(a + size, panel.stop)) for a in range(panel.start, panel.stop, size)]


def _piece(few: NDArray[Any], matrix: NDArray[Any]) -> int:
    """Return how many rows of a matrix are to be multiplied at a time, or 0 for as many as there are.

    OpenBLAS multiplies a small part of a matrix as it lies in memory. A larger one it copies first, which
    takes longer than to multiply it by few rows.
    """
    if len(few) * few.itemsize > (2 * _WIDTH if matrix.nbytes <= _CACHED else _WIDTH):
        return 0
    if not _in_vectors(few, matrix):
        return 0
    piece = min(_UNCOPIED // max(few.size, 1), _ENTRIES // max(len(few), 1))
    return piece if piece >= _LEAST else 0


def residual_norm(rows: NDArray[Any], basis: Array, coordinates: Array) -> float:
    """Return ``||rows - basis @ coordinates||_F`` without forming the difference at once."""
    if by_columns(rows):
        rows, basis, coordinates = rows.T, coordinates.T, basis.T

    def left(panel: slice) -> float:
        return energy(residual(rows[panel], basis[panel], coordinates))

    parts = panels(len(rows), max(1, _SLAB // rows.shape[1]))
    return float(np.sqrt(np.sum(parallel(left, parts))))


def residual(rows: NDArray[Any], basis: Array, coordinates: Array) -> Array:
    """Return ``rows - basis @ coordinates`` in float64, in the order of the rows, which may be of float32."""
    if by_columns(rows):
        return residual(rows.T, coordinates.T, basis.T).T
    product = basis @ coordinates
    return np.asarray(np.subtract(rows, product, out=product))


def residual_in(
    rows: NDArray[Any], basis: Array, coordinates: Array, exponent: int, dtype: Any
) -> NDArray[Any]:
    """Return ``(rows - basis @ coordinates) / 2**exponent`` in a precision, in the order of the rows."""
    if by_columns(rows):
        return residual_in(rows.T, coordinates.T, basis.T, exponent, dtype).T
    left = np.empty(rows.shape, dtype)

    def fill(panel: slice) -> None:
        found = residual(rows[panel], basis[panel], coordinates)
        left[panel] = np.ldexp(found, -exponent, out=found)

    parallel(fill, panels(len(rows), max(1, _SLAB // rows.shape[1])))
    return left
