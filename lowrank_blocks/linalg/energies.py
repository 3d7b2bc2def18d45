"""Sums of squares whose rounding does not grow with what is summed.

Equal numbers added one after another are all rounded to the same side, so that the relative error of their
sum grows in proportion to their count. Sums of pieces keep it in proportion to the length of a piece.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

UNIT = 2.0**-53
_PIECE = 128  # squares that are summed as one; with more, numpy keeps Python's lock for blocks of 256 rows
_PAIRWISE = 16.0  # error of numpy's pairwise sum of the pieces, in units of UNIT
_SLAB = 1 << 16  # entries of float32 widened at a time: they stay in the cache
_RUNNING = 256  # squares up to so many are summed one after another


def tail_energy(spectra: Array) -> Array:
    """Squared error left by every truncation of a spectrum, or of each row of several.

    Entry ``r`` is ``sum(spectrum[r:] ** 2)`` for ``r = 0, ..., k``; the last is exactly 0.
    Summed from the smallest value up: ``total - kept`` would cancel.
    """
    tail = np.zeros((*spectra.shape[:-1], spectra.shape[-1] + 1))
    tail[..., :-1] = _running(np.square(spectra)[..., ::-1])[..., ::-1]
    return tail


def tail_rounding(tails: Array) -> Array:
    """Bound what rounding adds to ``tail_energy(values)[..., :-1]``."""
    return (max(math.sqrt(tails.shape[-1]), _RUNNING / 2) + 4) * UNIT * tails


def energy(matrix: NDArray[Any]) -> float:
    """Return the sum of the squares of all entries, float32 too, to within `energy_rounding`."""
    if matrix.dtype == np.float64:
        return float(energies(matrix[None])[0])
    rows = matrix.T if by_columns(matrix) else matrix
    count = max(1, _SLAB // max(1, rows.shape[1]))
    parts = (rows[i : i + count].astype(np.float64)[None] for i in range(0, len(rows), count))
    return math.fsum(float(energies(part)[0]) for part in parts)


def energies(stack: Array) -> Array:
    """Return the `energy` of every block of a stack, (n, k, l)."""
    if stack.flags.c_contiguous:
        stack = stack.reshape(len(stack), 1, -1)
    elif by_columns(stack[0]):
        stack = stack.mT
    count, rows, length = stack.shape
    pieces, rest = divmod(length, _PIECE)
    total = np.zeros(count)
    if rest:
        total += _squares(stack[..., length - rest :])
    if pieces:
        total += _squares(stack[..., : length - rest].reshape(count, rows, pieces, _PIECE))  # of a view
    return total


def energy_rounding(total: Any) -> Any:
    """Bound what rounding adds to ``total``, an `energy`."""
    return (_PIECE / 2 + _PAIRWISE) * UNIT * total


def norm_rounding(norm: Any) -> Any:
    """Bound what rounding adds to ``norm``, the root of an `energy`."""
    return energy_rounding(norm) / 2


def by_columns(rows: NDArray[Any]) -> bool:
    """Whether a block lies in memory column by column."""
    return rows.strides[0] < rows.strides[1]


def _squares(rows: Array) -> Array:
    """Return the sums of the squares of stacks of short rows: each by a product, all of a stack in pairs."""
    squares = np.matmul(rows[..., None, :], rows[..., :, None])
    return np.asarray(squares.reshape(len(rows), -1).sum(axis=1))


def _running(squares: Array) -> Array:
    """Return running sums along the last axis, in two levels if there are many, never decreasing."""
    count = squares.shape[-1]
    if count <= _RUNNING:
        return squares.cumsum(axis=-1)
    step = math.isqrt(count - 1) + 1
    padded = np.zeros((*squares.shape[:-1], step * step))
    padded[..., :count] = squares
    sums = padded.reshape(*squares.shape[:-1], step, step).cumsum(axis=-1)
    sums[..., 1:, :] += sums[..., :-1, -1].cumsum(axis=-1)[..., None]
    return sums.reshape(padded.shape)[..., :count]
