"""Bounds on the eigenvalues of a Gram matrix on the complement of its leading vectors.

Norms give one at almost no cost, where the spectrum decays fast. Elsewhere a Cholesky factorisation does:
a matrix ``t I - H`` has one only if no eigenvalue of H exceeds t.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.bounds import largest_rounding, residual_rounding, root
from lowrank_blocks.linalg.energies import UNIT, energy
from lowrank_blocks.linalg.gram import gram, residual_in
from lowrank_blocks.linalg.krylov import Ritz
from lowrank_blocks.linalg.lapack import eigenpairs, is_positive_definite, subtract_from_product
from lowrank_blocks.linalg.projection import Projection
from lowrank_blocks.linalg.questions import Leading, Question
from lowrank_blocks.linalg.sources import Source, unit
from lowrank_blocks.linalg.stacks import eigenvalues

Array = NDArray[np.float64]

_CANCELLATION = 64.0  # error of a difference of squared norms, in units of root * rounding * the largest
_SKEW = 16.0  # how far from orthonormal a basis may be, in units of root * rounding
_FACTORISATION = 16.0  # error of a Cholesky factorisation, in units of root * the unit of rounding * its norm


def bound_beyond(source: Source, ritz: Ritz, question: Question, made: Leading) -> float:
    """Bound the eigenvalues beyond Ritz vectors by the cheapest proof; infinite if none may do.

    Parameters
    ----------
    source : Source
        The block as Lanczos had it.
    ritz : Ritz
        What Lanczos found.
    question : Question
        The block in double precision.
    made : Leading
        Its projection on the Ritz vectors.
    """
    shape, own = source.shape, source.rows.dtype
    choices = list(product(dict.fromkeys((np.dtype(np.float32), own)), ritz.ceilings))
    if not ritz.by_rows and not source.single:
        rounding = next_rounding(ritz.values, source.energy, shape, own)
        found = beyond_by_norms(source.gram, *ritz.space, len(ritz.values), ritz.width, ritz.ceilings[0])
        if ritz.suffices(found, rounding):
            return found + rounding
    for dtype, ceiling in () if ritz.by_rows else choices:
        if ritz.suffices(ceiling, deflation_rounding(ritz.values, source.energy, ceiling, shape, own, dtype)):
            found = beyond_deflated(source.gram, ritz.vectors, ritz.values, ceiling, shape, dtype)
            return float(source.squares(found))
    for dtype, ceiling in choices:
        if ritz.suffices(ceiling, rest_rounding(ceiling, shape, dtype)):
            limit = float(source.squares(ceiling))
            return beyond_rest(question.block, made.part, made.error, question.norm, limit, dtype)
    return math.inf


def beyond_by_norms(matrix: Array, basis: Array, images: Array, rank: int, width: int, least: float) -> float:
    """Bound the eigenvalues on the complement of leading Ritz vectors by what a Krylov space leaves.

    In the basis of the other Ritz vectors, and of what is outside the Krylov space, G is
    ``[[T, E^T], [E, H]]``. Only the last block of the space is coupled to the outside: with C, which
    holds the coordinates of the Ritz vectors in that block, ``E^T E <= ||E||^2 C^T C``. The norms of E
    and H follow from those of G and of its images. No eigenvalue exceeds any ``t > ||H||`` for which
    ``T + E^T E / (t - ||H||) <= t``. All of this holds for an orthonormal basis only.

    Parameters
    ----------
    matrix : (k, k) array
        The Gram matrix G, both halves, in double precision.
    basis, images : (k, d) arrays
        Of the Krylov space, and their products with G.
    rank, width : int
        Number of leading Ritz vectors, and of columns of the last block.
    least : float
        The bound is not below it.
    """
    rounding, total = math.sqrt(len(images)) * UNIT, energy(matrix)
    projected = basis.T @ images
    inside, reached, slack = energy(projected), energy(images), _CANCELLATION * rounding * total
    outside = math.sqrt(max(total - 2 * reached + inside, 0.0) + slack)
    if outside >= least or np.linalg.norm(basis.T @ basis - np.eye(len(projected))) > _SKEW * rounding:
        return math.inf
    values, rotation = eigenpairs(projected)
    last = rotation[-width:, :-rank]
    coupled = (max(reached - inside, 0.0) + slack) / (least - outside) * (last.T @ last)
    bound = float(eigenvalues((np.diag(values[:-rank]) + coupled)[None])[0, -1])
    return max(least, bound + _CANCELLATION * rounding * float(values[-1]))


def beyond_deflated(
    matrix: NDArray[Any],
    vectors: NDArray[Any],
    values: Array,
    ceiling: float,
    shape: tuple[int, int],
    dtype: Any,
) -> float:
    """Bound the eigenvalues on the complement of vectors U with values M, by ``G - U M U^T``.

    Parameters
    ----------
    matrix : (k, k) array
        The Gram matrix G of a block, both halves, in any precision. It loses the lower one, or in single
        precision the upper one, of which the factorisation is faster.
    vectors, values : (k, r) and (r,) arrays
        Of the precision of the matrix, and of float64.
    ceiling : float
        What the eigenvalues are compared with.
    shape : (int, int)
        Shape of the block, smaller side first.
    dtype : dtype
        Precision of the factorisation: that of the matrix, or float32.

    Returns
    -------
    float
        The ceiling and what rounding adds; infinite where there is no factorisation.
    """
    diagonal = _diagonal(matrix).copy()
    trace = float(diagonal.sum(dtype=np.float64))
    upper = matrix.dtype == np.float32
    columns = vectors * np.sqrt(np.maximum(values, 0.0)).astype(matrix.dtype)
    subtract_from_product(columns, matrix, upper=upper)
    if dtype == matrix.dtype:
        proved = _none_above(ceiling, matrix, upper=upper)
    else:
        scale = 2.0 ** -math.frexp(ceiling)[1]
        narrow = np.empty(matrix.shape, dtype)
        np.multiply(matrix, scale, out=narrow, casting="same_kind")
        proved = _none_above(ceiling * scale, narrow)
    _diagonal(matrix)[...] = diagonal
    rounding = deflation_rounding(values, trace, ceiling, shape, matrix.dtype, dtype)
    return ceiling + rounding if proved else math.inf


def deflation_rounding(
    values: Array, trace: float, ceiling: float, shape: tuple[int, int], own: Any, dtype: Any
) -> float:
    """Return what `beyond_deflated` adds to a ceiling, for a Gram matrix of a precision of its own."""
    deflated = 2 * _of_gram(values, trace, shape)  # of G, and of its deflation
    factorised = 2 * _factorisation(ceiling, shape)  # of the matrix if it is rounded, and of its factor
    return (deflated * unit(own) + factorised * unit(dtype)) / UNIT


def next_rounding(values: Array, trace: float, shape: tuple[int, int], dtype: Any) -> float:
    """Bound what rounding adds to an eigenvalue of a Gram matrix whose largest come first."""
    return _of_gram(values, trace, shape) * unit(dtype) / UNIT


def beyond_rest(
    rows: NDArray[Any], part: Projection, error: float, norm: float, ceiling: float, dtype: Any
) -> float:
    """Bound the eigenvalues on the complement of the basis of a part, by the Gram matrix of what it leaves.

    That has no large eigenvalues, and so little rounding that single precision mostly suffices.

    Parameters
    ----------
    rows : (k, l) array
        A block of float64 or float32, smaller side first.
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
    shape = rows.shape[0], rows.shape[1]
    trace = math.ldexp(error, -exponent) ** 2
    rounding = _of_gram(np.array([limit]), trace, shape) + _factorisation(limit, shape)
    largest = math.ldexp(math.sqrt(limit + rounding * unit(dtype) / UNIT), exponent)
    moved = unit(dtype) * error + residual_rounding(0.0, norm, len(part.values))
    return float((largest + moved) ** 2)


def rest_rounding(ceiling: float, shape: tuple[int, int], dtype: Any) -> float:
    """Return about what `beyond_rest` adds to a ceiling."""
    return 2 * _factorisation(ceiling, shape) * unit(dtype) / UNIT


def _none_above(ceiling: float, negative: NDArray[Any], *, upper: bool = False) -> bool:
    """Whether no eigenvalue of a matrix exceeds the ceiling; one half of its negative is given, and lost."""
    _diagonal(negative)[...] += negative.dtype.type(ceiling)
    return is_positive_definite(negative, upper=upper)


def _diagonal(matrix: NDArray[Any]) -> NDArray[Any]:
    """Return the diagonal of a square matrix in C's order as a view."""
    return matrix.reshape(-1)[:: len(matrix) + 1]


def _factorisation(ceiling: float, shape: tuple[int, int]) -> float:
    return _FACTORISATION * root(shape) * UNIT * ceiling


def _of_gram(values: Array, trace: float, shape: tuple[int, int]) -> float:
    return largest_rounding(max(float(values[0]), 0.0), trace, shape)
