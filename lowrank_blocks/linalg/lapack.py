"""LAPACK and BLAS on one matrix at a time, except products of matrices; `stacks` has stacks of them.

numpy has the common factorisations. Other routines are called by the addresses that scipy publishes
(`addresses`), and by scipy's wrappers where these do not fit; `reflections` has QR factorisations.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.addresses import WORK, call, empty, must_succeed, precision, wrappers

Array = NDArray[np.float64]

_ALMOST = 0.5  # how far columns may be from orthonormal to be made so
_CLOSE = 2.0**-17  # ... so that a third of its third power is rounding
_FEW = 32  # vectors up to which reflectors are applied faster one by one: dormtr does so if space is short


def eigenpairs(stack: Array, *, upper: bool = False) -> tuple[Array, Array]:
    """Return the eigenvalues, ascending, and eigenvectors of symmetric matrices, from one half."""
    values, vectors = np.linalg.eigh(stack, UPLO="U" if upper else "L")
    return values, vectors


def solved(stack: Array, right: Array) -> Array:
    """Return the solutions X of ``stack @ X = right``."""
    return np.asarray(np.linalg.solve(stack, right))


def determinants(stack: Array) -> Array:
    """Return the determinants of square matrices."""
    return np.asarray(np.linalg.det(stack))


def orthonormal_columns(matrix: Array) -> Array:
    """Return an orthonormal basis of the columns of a tall matrix of full rank."""
    return np.linalg.qr(matrix)[0]


def orthonormal_again(columns: Array) -> Array:
    """Return the orthonormal columns nearest to (k, r) columns that are orthonormal to single precision.

    By a series for the inverse root of their Gram matrix, whose error is of third order:
    Björck & Bowie, doi 10.1137/0708036.
    """
    identity = np.eye(columns.shape[1])
    while True:
        lacking = identity - columns.T @ columns
        size = np.linalg.norm(lacking)
        if not size < _ALMOST:
            raise np.linalg.LinAlgError(f"columns must be nearly orthonormal, but lack {size:.2g} of that")
        columns = ((identity + lacking / 2 + 0.375 * (lacking @ lacking)) @ columns.T).T
        if size <= _CLOSE:
            return columns


def triangular_factors(stack: Array) -> Array:
    """Return the triangular factors R of the QR factorisations of tall matrices."""
    return np.asarray(np.linalg.qr(stack, mode="r"))


def triangular_form(stack: Array) -> tuple[Array, Array]:
    """Return the QR factorisations of tall matrices, thin."""
    basis, triangle = np.linalg.qr(stack)
    return basis, triangle


def tridiagonal_form(matrix: Array) -> tuple[Array, Array, Array]:
    """Reduce a symmetric (k, k) matrix in C's order to three diagonals.

    Its upper half is read, and taken for the reflectors; the lower half is left.

    Returns
    -------
    diagonal, off_diagonal, factors : (k,), (k - 1,) and (k - 1,) arrays
        The last belongs to the reflectors.
    """
    side = len(matrix)
    found, work = [empty(side), empty(side - 1), empty(side - 1)], empty(WORK * side)
    # C's upper half is Fortran's lower.
    status = call("dsytrd", b"L", side, (matrix, side * side), side, *found, work, work[1])
    diagonal, off_diagonal, factors = (array for array, _ in found)
    if status is None:
        reduced, diagonal, off_diagonal, factors, status = wrappers().dsytrd(
            matrix.T, lower=1, lwork=work[1], overwrite_a=1
        )
        matrix.T[...] = reduced
    must_succeed("dsytrd", status)
    return diagonal, off_diagonal, factors


def tridiagonal_values(diagonal: Array, off_diagonal: Array) -> Array:
    """Return the eigenvalues, ascending, of a symmetric tridiagonal matrix."""
    values, rest, side = diagonal.copy(), off_diagonal.copy(), len(diagonal)
    status = call("dsterf", side, (values, side), (rest, side - 1))
    if status is None:
        values, status = wrappers().dsterf(diagonal, _nonempty(off_diagonal))
    must_succeed("dsterf", status)
    return values


def inverse_iteration(
    diagonal: Array, off_diagonal: Array, values: Array, parts: NDArray[np.intp], ends: NDArray[np.intp]
) -> Array:
    """Return eigenvectors of a symmetric tridiagonal matrix as rows, for some of its eigenvalues.

    Parameters
    ----------
    diagonal, off_diagonal : (k,) and (k - 1,) arrays
        The matrix.
    values : (r,) array
        Eigenvalues: part by part, ascending in each.
    parts : (r,) array of int
        The part that has each, from 0 on.
    ends : (n,) array of int
        Where the parts that the matrix falls into end; the last is k.
    """
    side, count = len(diagonal), len(values)
    wanted, vectors = np.zeros(side), np.empty((count, side))
    owners, splits = np.ones(side, np.intc), np.full(side, side, np.intc)
    wanted[:count], owners[:count], splits[: len(ends)] = values, parts + 1, ends
    matrix, given = ((diagonal, side), (off_diagonal, side - 1)), (wanted, owners, splits)
    work = empty(5 * side), empty(side, np.intc), empty(count, np.intc)
    results = (vectors, count * side), side, *work
    status = call("dstein", side, *matrix, count, *((array, side) for array in given), *results)
    if status is None:
        found, status = wrappers().dstein(diagonal, _nonempty(off_diagonal), values, owners, splits)
        vectors = found.T
    must_succeed("dstein", status)
    return vectors


def turn_back(vectors: Array, matrix: Array, factors: Array) -> None:
    """Turn eigenvectors of the tridiagonal form, as rows, into those of the matrix, in place.

    The matrix holds the reflectors, as `tridiagonal_form` leaves them.
    """
    (count, side), work = vectors.shape, empty(WORK * vectors.shape[1])
    reduced = (matrix, side * side), side, (factors, side - 1)
    ends = (vectors, count * side), side, work, room(count, side)
    status = call("dormtr", b"L", b"L", b"N", side, count, *reduced, *ends)
    if status is None and side == 1:
        return
    if status is None:  # the reflectors leave the first entry as it is
        rest = matrix.T[1:, :-1], factors, vectors.T[1:], work[1]
        vectors.T[1:], _, status = wrappers().dormqr(b"L", b"N", *rest)
    must_succeed("dormtr", status)


def subtract_from_product(columns: NDArray[Any], matrix: NDArray[Any], *, upper: bool = False) -> None:
    """Replace one half of a symmetric matrix in C's order by ``columns @ columns.T`` less itself.

    Both are of one precision, float64 or float32.
    """
    columns, (side, count) = np.ascontiguousarray(columns), columns.shape
    name, product = precision(matrix) + "syrk", (1.0, (columns, side * count), count)
    half = b"L" if upper else b"U"  # in Fortran's order
    if call(name, half, b"T", side, count, *product, -1.0, (matrix, side * side), side) is None:
        from scipy.linalg import blas

        syrk = getattr(blas, name)
        matrix.T[...] = syrk(1.0, columns.T, trans=1, lower=upper, beta=-1.0, c=matrix.T, overwrite_c=1)


def is_positive_definite(matrix: NDArray[Any], *, upper: bool = False) -> bool:
    """Whether a symmetric matrix in C's order has a Cholesky factor, which takes the half that is read."""
    side, name = len(matrix), precision(matrix) + "potrf"
    status = call(name, b"L" if upper else b"U", side, (matrix, side * side), side)  # in Fortran's order
    if status is None:
        _, status = getattr(wrappers(), name)(matrix.T, lower=int(upper), clean=0, overwrite_a=1)
    must_succeed(name, min(status, 0))
    # OpenBLAS goes on where a pivot is not a number, or infinite.
    return status == 0 and bool(np.isfinite(matrix.diagonal()).all())


def room(count: int, side: int) -> int:
    """Return the length of the work space of dormtr."""
    return count if count <= _FEW else WORK * side


def _nonempty(off_diagonal: Array) -> Array:
    return off_diagonal if len(off_diagonal) else np.zeros(1)  # the wrappers take no empty one
