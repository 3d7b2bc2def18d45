"""Singular values and leading factors of blocks. The only module that calls LAPACK."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._validation import Matrix

Spectrum = NDArray[np.float64]
Factors = tuple[Matrix, Matrix]

_SAFE_EXPONENT = 256  # squares and their sums neither overflow nor vanish below 2**256


def common_exponent(matrix: Matrix) -> int:
    """Return the even power of two to divide a matrix by before its entries may be squared.

    It is 0 for all entries of ordinary size, so that spectra are in the units of the matrix.
    """
    largest = max(abs(float(matrix.max())), abs(float(matrix.min())))
    exponent = int(np.frexp(largest)[1])
    return 0 if abs(exponent) <= _SAFE_EXPONENT else 2 * (exponent // 2)


def scaled(block: Matrix, exponent: int) -> NDArray[np.float64]:
    """Return ``block / 2**exponent`` in float64; exact but for entries that underflow."""
    wide = block.astype(np.float64, copy=False)
    return wide if exponent == 0 else np.ldexp(wide, -exponent)


def singular_values(blocks: Sequence[Matrix], exponent: int = 0) -> list[Spectrum]:
    """Return the singular values of every block divided by ``2**exponent``, descending."""
    return [_values(scaled(block, exponent)) for block in blocks]


def _values(block: NDArray[np.float64]) -> Spectrum:
    return np.asarray(np.linalg.svd(block, compute_uv=False), dtype=np.float64)


def leading_factors(block: Matrix, rank: int, exponent: int = 0) -> Factors:
    """Return B, (p, rank), and A, (rank, q), whose product is the best approximation of a block.

    The singular values are split evenly: columns of B and rows of A are orthogonal and of
    norm ``sqrt(sigma)``.
    """
    if rank == 0:
        return np.zeros((block.shape[0], 0)), np.zeros((0, block.shape[1]))
    u, s, vt = np.linalg.svd(scaled(block, exponent), full_matrices=False)
    root = np.ldexp(np.sqrt(s[:rank]), exponent // 2)
    return u[:, :rank] * root, root[:, None] * vt[:rank]


def tail_energy(spectrum: Spectrum) -> Spectrum:
    """Squared error left by every truncation of a spectrum.

    Entry ``r`` is ``sum(spectrum[r:] ** 2)`` for ``r = 0, ..., k``; the last is exactly 0.
    Summed from the smallest value up: ``total - kept`` would cancel.
    """
    tail = np.zeros(len(spectrum) + 1)
    tail[:-1] = np.cumsum(np.square(spectrum)[::-1])[::-1]
    return tail


def orthonormal_columns(matrix: Matrix) -> NDArray[np.float64]:
    """Return an orthonormal basis of the columns of a tall matrix of full rank."""
    return np.linalg.qr(matrix)[0]
