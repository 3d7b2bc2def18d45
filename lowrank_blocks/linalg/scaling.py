"""Exact scaling by powers of two, so that squares neither overflow nor vanish."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._validation import Matrix, is_narrow
from lowrank_blocks.linalg.sequences import BlockSequence

_HIDDEN = 2.0**-500  # more than a norm loses to squares that underflow
_SAFE_EXPONENT = 200  # fourth powers and their sums neither overflow nor vanish below 2**200


def common_exponent(matrix: Matrix) -> int:
    """Return the even power of two to divide a matrix by before its entries may be squared.

    It is 0 for all entries of ordinary size, so that spectra are in the units of the matrix. No float
    of fewer than 64 bits is out of the ordinary.
    """
    if is_narrow(matrix.dtype):
        return 0
    return safe_exponent(max(float(matrix.max()), -float(matrix.min())))


def safe_exponent(largest: float) -> int:
    """Return the power of two of `common_exponent` for the largest absolute entry."""
    exponent = math.frexp(largest)[1]
    return 0 if abs(exponent) <= _SAFE_EXPONENT else 2 * (exponent // 2)


def _safe_exponents(largest: NDArray[np.float64]) -> NDArray[np.intc]:
    """Return `safe_exponent` of every entry."""
    exponents = np.frexp(largest)[1]
    exponents[np.abs(exponents) <= _SAFE_EXPONENT] = 0
    return 2 * (exponents // 2)


def scaled(block: Matrix, exponent: int) -> NDArray[np.float64]:
    """Return ``block / 2**exponent`` in float64; exact but for entries that underflow."""
    wide = block.astype(np.float64, copy=False)
    return wide if exponent == 0 else np.ldexp(wide, -exponent)


def stacked(blocks: BlockSequence, chosen: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.intc]]:
    """Stack blocks of one shape, smaller side first; each is divided by its power of two, if extreme."""
    p, q = blocks.shapes[chosen[0]]
    if len(chosen) == 1:
        block = blocks[int(chosen[0])]
        exponent = common_exponent(block)
        return scaled(block if p <= q else block.T, exponent)[None], np.array([exponent])
    stack = blocks.stacked(chosen)
    exponents = _safe_exponents(np.maximum(stack.max(axis=(1, 2)), -stack.min(axis=(1, 2))))
    return np.ldexp(stack, -exponents[:, None, None]) if exponents.any() else stack, exponents


def raised(bounds: Any, shift: Any) -> Any:
    """Return ``bounds * 2**shift`` plus what underflow can hide; 0 stays 0.

    The results are in units in which the largest entry of all blocks is at least ``2**-201``.
    """
    return np.where(bounds, np.ldexp(bounds, shift) + _HIDDEN, 0.0)
