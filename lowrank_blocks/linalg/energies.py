"""Sums of squares, in the order that is fast or exact."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def tail_energy(spectra: Array) -> Array:
    """Squared error left by every truncation of a spectrum, or of each row of several.

    Entry ``r`` is ``sum(spectrum[r:] ** 2)`` for ``r = 0, ..., k``; the last is exactly 0.
    Summed from the smallest value up: ``total - kept`` would cancel.
    """
    tail = np.zeros((*spectra.shape[:-1], spectra.shape[-1] + 1))
    tail[..., :-1] = np.cumsum(np.square(spectra)[..., ::-1], axis=-1)[..., ::-1]
    return tail


def energy(matrix: Array) -> float:
    """Return the sum of the squares of all entries, in whatever order they are."""
    if by_columns(matrix):
        matrix = matrix.T
    return float(np.einsum("ij,ij->i", matrix, matrix).sum())


def by_columns(rows: Array) -> bool:
    """Whether a block lies in memory column by column."""
    return rows.strides[0] < rows.strides[1]
