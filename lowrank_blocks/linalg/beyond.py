"""Bounds on the eigenvalues of a Gram matrix on the complement of its leading vectors, by Cholesky.

A matrix ``t I - H`` has a Cholesky factorisation only if no eigenvalue of H exceeds t.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.bounds import eigen_sum, residual_rounding, root
from lowrank_blocks.linalg.energies import UNIT
from lowrank_blocks.linalg.gram import gram, residual_in
from lowrank_blocks.linalg.lapack import is_positive_definite, subtract_from_product
from lowrank_blocks.linalg.projection import Projection

Array = NDArray[np.float64]

_FACTORISATION = 16.0  # error of a Cholesky factorisation, in units of root * the unit of rounding * its norm


def unit(dtype: Any) -> float:
    """Return the unit of rounding of float64 or float32."""
    return float(np.finfo(dtype).epsneg)


def beyond_deflated(
    matrix: NDArray[Any], vectors: NDArray[Any], values: Array, ceiling: float, shape: tuple[int, int]
) -> float:
    """Bound the eigenvalues on the complement of vectors U with values M, by ``G - U M U^T``.

    Parameters
    ----------
    matrix : (k, k) array
        The Gram matrix G of a block, both halves, in any precision; it loses the lower one.
    vectors, values : (k, r) and (r,) arrays
        Of the precision of the matrix, and of float64.
    ceiling : float
        What the eigenvalues are compared with.
    shape : (int, int)
        Shape of the block, smaller side first.

    Returns
    -------
    float
        The ceiling and what rounding adds; infinite where there is no factorisation.
    """
    diagonal, trace = matrix.diagonal().copy(), float(matrix.trace(dtype=np.float64))
    subtract_from_product(vectors * np.sqrt(np.maximum(values, 0.0)).astype(matrix.dtype), matrix)
    proved = _none_above(ceiling, matrix)
    np.fill_diagonal(matrix, diagonal)
    if not proved:
        return math.inf
    return ceiling + deflation_rounding(values, trace, ceiling, shape, matrix.dtype)


def deflation_rounding(
    values: Array, trace: float, ceiling: float, shape: tuple[int, int], dtype: Any
) -> float:
    """Return what `beyond_deflated` adds to a ceiling."""
    rounding = 2 * _of_gram(values, trace, shape)  # of G, and of its deflation
    return (rounding + _factorisation(ceiling, shape)) * unit(dtype) / UNIT


def next_rounding(values: Array, trace: float, shape: tuple[int, int], dtype: Any) -> float:
    """Bound what rounding adds to an eigenvalue of a Gram matrix whose largest come first."""
    return _of_gram(values, trace, shape) * unit(dtype) / UNIT


def beyond_rest(
    rows: Array, part: Projection, error: float, norm: float, ceiling: float, dtype: Any
) -> float:
    """Bound the eigenvalues on the complement of the basis of a part, by the Gram matrix of what it leaves.

    That has no large eigenvalues, and so little rounding that single precision mostly suffices.

    Parameters
    ----------
    rows : (k, l) array
        A block, smaller side first.
    part : Projection
        Its projection on some columns.
    error, norm : float
        Frobenius norms of what it leaves, and of the block.
    ceiling : float
        What the eigenvalues are compared with.
    dtype : dtype
        Precision of the Gram matrix: float32 or float64.

    Returns
    -------
    float
        The ceiling and what rounding adds; infinite where there is no factorisation.
    """
    exponent = math.frexp(ceiling)[1] // 2
    limit = math.ldexp(ceiling, -2 * exponent)
    left = residual_in(rows, part.basis, part.values[:, None] * part.rows, exponent, dtype)
    matrix = gram(left)
    np.negative(matrix, out=matrix)
    if not _none_above(limit, matrix, upper=True):
        return math.inf
    energy = math.ldexp(error, -exponent) ** 2
    shape = rows.shape[0], rows.shape[1]
    rounding = _of_gram(np.array([limit]), energy, shape) + _factorisation(limit, shape)
    largest = math.ldexp(math.sqrt(limit + rounding * unit(dtype) / UNIT), exponent)
    moved = unit(dtype) * error + residual_rounding(0.0, norm, len(part.values))
    return float((largest + moved) ** 2)


def rest_rounding(ceiling: float, shape: tuple[int, int], dtype: Any) -> float:
    """Return about what `beyond_rest` adds to a ceiling."""
    return 2 * _factorisation(ceiling, shape) * unit(dtype) / UNIT


def _none_above(ceiling: float, negative: NDArray[Any], *, upper: bool = False) -> bool:
    """Whether no eigenvalue of a matrix exceeds the ceiling; one half of its negative is given, and lost."""
    negative.flat[:: len(negative) + 1] += negative.dtype.type(ceiling)
    return is_positive_definite(negative, upper=upper)


def _factorisation(ceiling: float, shape: tuple[int, int]) -> float:
    return _FACTORISATION * root(shape) * UNIT * ceiling


def _of_gram(values: Array, trace: float, shape: tuple[int, int]) -> float:
    return float(eigen_sum(np.sqrt(np.maximum(values[:1], 0.0)), trace, shape, 1)[0])
