"""Factors in float32: how singular values are split so that roundings do not add up, and what they cost."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.energies import UNIT

Array = NDArray[np.float64]
Single = NDArray[np.float32]
Rounded = tuple[Single, Single, Array]

_APART = math.sqrt(2) * 2.0**-24  # of the norm: the most that two unrelated roundings move a product
_SPLITS = 2.0 ** (np.array(sorted(range(-8, 8), key=abs)) / 16)  # docs/theory/certified-spectra.md


def in_single(b: Array, a: Array) -> Rounded:
    """Round the factors of a stack of blocks to float32.

    Where an even split of the singular values would round both factors alike, another split is taken. It
    differs from the even one by at most a factor of ``sqrt(2)``.

    Parameters
    ----------
    b, a : (n, p, r) and (n, r, q) arrays
        The columns of b and the rows of a are orthogonal; column l of b is as long as row l of a.

    Returns
    -------
    b, a : arrays of float32
        The rounded factors.
    moved : (n,) array
        Bound on how far rounding has moved the product of each block; at most ``1.504 * 2**-24`` of its norm.
    """
    single_b, single_a, moved, norm = _rounded(b, a)
    alike = moved > _APART * norm
    if alike.any():
        splits = _splits(b[alike], a[alike])
        other = _rounded(b[alike] * splits[:, None], a[alike] / splits[:, :, None])
        single_b[alike], single_a[alike], moved[alike], _ = other
    return single_b, single_a, moved


def _splits(b: Array, a: Array) -> Array:
    """Return for every singular value the factor to move from a to b so that both roundings cost least."""
    chosen, least = np.ones(b.shape[::2]), np.full(b.shape[::2], np.inf)
    for split in _SPLITS.tolist():
        left, right = split * b, a / split
        cost = np.square(_length(left - left.astype(np.float32), -2) * _length(right, -1))
        cost += np.square(_length(left, -2) * _length(right - right.astype(np.float32), -1))
        chosen[cost < least] = split
        least = np.minimum(cost, least)
    return chosen


def _rounded(b: Array, a: Array) -> tuple[Single, Single, Array, Array]:
    """Round factors, and bound the norm of ``b @ a - single_b @ single_a`` without forming it.

    That is a product of two thin matrices; its squared norm is the inner product of their Gram matrices,
    whose diagonals hold the lengths of all columns and rows. The norm of ``b @ a`` comes last.
    """
    single_b, single_a, rank = b.astype(np.float32), a.astype(np.float32), b.shape[-1]
    left, right = np.empty((*b.shape[:-1], 2 * rank)), np.empty((len(a), 2 * rank, a.shape[-1]))
    np.subtract(b, single_b, out=left[..., :rank])
    np.subtract(a, single_a, out=right[:, rank:])
    left[..., rank:], right[:, :rank] = single_b, a
    of_left, of_right = np.matmul(left.mT, left), np.matmul(right, right.mT)
    square = (of_left * of_right).sum(axis=(-2, -1))
    columns, rows = (np.sqrt(np.diagonal(gram, axis1=-2, axis2=-1)) for gram in (of_left, of_right))
    terms = left.shape[-2] + right.shape[-1] + left.shape[-1] ** 2
    slack = terms * UNIT * np.square((columns * rows).sum(axis=-1))  # rounding of `square`
    sizes = columns[..., rank:] * rows[..., :rank]  # of every column with its row, to single precision
    moved = np.sqrt(np.maximum(square, 0.0) + slack) + 4 * UNIT * sizes.sum(axis=-1)  # rounding of the splits
    return single_b, single_a, moved, _length(sizes, -1)


def _length(array: Array, axis: int) -> Array:
    return np.asarray(np.sqrt(np.square(array).sum(axis=axis)))
