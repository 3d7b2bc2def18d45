"""All calls of LAPACK and BLAS in the package, except products of matrices.

numpy has the common factorisations. Other routines are called by the addresses that scipy publishes
(`addresses`), and by scipy's wrappers where these do not fit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg import addresses
from lowrank_blocks.linalg.addresses import Arguments, call, each
from lowrank_blocks.linalg.threads import one_blas_thread

Array = NDArray[np.float64]

_WORK = 64  # numbers of work space a row; the blocked routines are fastest from 38 on
_FEW = 32  # vectors up to which reflectors are applied faster one by one: dormtr does so if space is short


def lapack_values(stack: Array) -> Array:
    """Return the singular values, descending, of a block or a stack of blocks."""
    try:
        return np.asarray(np.linalg.svd(stack, compute_uv=False))
    except np.linalg.LinAlgError:
        values = [_surer_svd(block, compute_uv=False) for block in stack.reshape(-1, *stack.shape[-2:])]
        return np.reshape(values, (*stack.shape[:-2], -1))


def lapack_svd(stack: Array) -> tuple[Array, Array, Array]:
    """Return U, the singular values and V^T, thin, of a block or a stack of blocks."""
    try:
        u, s, vt = np.linalg.svd(stack, full_matrices=False)
    except np.linalg.LinAlgError:
        found = [_surer_svd(block, full_matrices=False) for block in stack.reshape(-1, *stack.shape[-2:])]
        u, s, vt = (
            np.reshape(parts, (*stack.shape[:-2], *parts[0].shape)) for parts in zip(*found, strict=True)
        )
    return u, s, vt


def _surer_svd(block: Array, **wanted: bool) -> Any:
    """Call the slower driver, for blocks on which the fast one does not converge."""
    from scipy.linalg import svd

    with one_blas_thread(with_scipy=True):
        return svd(block, lapack_driver="gesvd", check_finite=False, **wanted)


def eigenvalues(stack: Array) -> Array:
    """Return the eigenvalues, ascending, of symmetric matrices, from their lower halves."""
    return np.asarray(np.linalg.eigvalsh(stack), np.float64)


def eigenpairs(stack: Array, *, upper: bool = False) -> tuple[Array, Array]:
    """Return the eigenvalues, ascending, and eigenvectors of symmetric matrices, from one half."""
    values, vectors = np.linalg.eigh(stack, UPLO="U" if upper else "L")
    return values, vectors


def leading_eigenpairs(stack: Array, count: int) -> tuple[Array, Array]:
    """Return the largest eigenvalues, descending, and eigenvectors of small symmetric matrices.

    LAPACK does not promise that inverse iteration finds the vectors of equal values: they are to be checked.

    Parameters
    ----------
    stack : (n, k, k) array
        Of float64 or float32, in C's order, overwritten. Upper halves are read.
    count : int
        From 1 to k.

    Returns
    -------
    values, vectors : (n, count) and (n, k, count) arrays
        In the precision of the matrices.
    """
    (many, side, _), kind = stack.shape, stack.dtype
    precision = "s" if kind == np.float32 else "d"
    if addresses.published(f"{precision}sytrd") is None:
        values, vectors = eigenpairs(stack, upper=True)
        return values[:, : -count - 1 : -1], vectors[:, :, : -count - 1 : -1]

    def solve(name: str, *arguments: Arguments) -> None:
        _must_succeed(name, each(precision + name, many, *arguments))

    diagonal, off_diagonal, factors, values, rest = np.empty((5, many, side), kind)
    vectors, work = np.empty((many, count, side), kind), _empty(_WORK * side, kind)
    matrices = stack, side * side
    form = (diagonal, side), (off_diagonal, side), (factors, side)
    solve("sytrd", b"L", side, matrices, side, *form, work, work[1])
    values[...], rest[...] = diagonal, off_diagonal
    solve("sterf", side, (values, side), (rest, side))
    wanted = np.ascontiguousarray(values[:, side - count :])
    one_part = (np.ones(side, np.intc), side), (np.full(side, side, np.intc), side)
    found, places = ((vectors, count * side), side), (_empty(side, np.intc), _empty(side, np.intc))
    solve("stein", side, *form[:2], count, (wanted, count), *one_part, *found, work, *places)
    solve("ormtr", b"L", b"L", b"N", side, count, matrices, side, form[2], *found, work, _room(count, side))
    return wanted[:, ::-1], vectors[:, ::-1].mT


def solved(stack: Array, right: Array) -> Array:
    """Return the solutions X of ``stack @ X = right``."""
    return np.asarray(np.linalg.solve(stack, right))


def determinants(stack: Array) -> Array:
    """Return the determinants of square matrices."""
    return np.asarray(np.linalg.det(stack))


def orthonormal_columns(matrix: Array) -> Array:
    """Return an orthonormal basis of the columns of a tall matrix of full rank."""
    return np.linalg.qr(matrix)[0]


def triangular_factors(stack: Array) -> Array:
    """Return the triangular factors R of the QR factorisations of tall matrices."""
    return np.asarray(np.linalg.qr(stack, mode="r"))


def triangular_form(stack: Array) -> tuple[Array, Array]:
    """Return the QR factorisations of tall matrices, thin."""
    basis, triangle = np.linalg.qr(stack)
    return basis, triangle


def reflectors(columns: Array) -> tuple[Array, Array]:
    """Return reflectors that turn (k, r) orthonormal columns onto the axes, as rows, and their factors."""
    rows, factors = np.linalg.qr(columns, mode="raw")
    return np.ascontiguousarray(rows), factors


def reflected(block: Array, rows: Array, factors: Array) -> Array:
    """Return ``Q.T @ block``, where Q is the product of the reflectors; no argument is changed."""
    turned, own = block.copy(order="C"), rows.copy()  # LAPACK writes on the reflectors while it works
    (count, side), length, work = rows.shape, turned.shape[1], _empty(_WORK * turned.shape[1])
    matrix = (own, count * side), side, (factors, count)
    ends = (turned, side * length), length, work, work[1]
    status = call("dormqr", b"R", b"N", length, side, count, *matrix, *ends)
    if status is None:
        rest = own.T, factors, turned.T, work[1]
        found, _, status = _wrappers().dormqr(b"R", b"N", *rest, overwrite_c=1)
        turned = found.T
    _must_succeed("dormqr", status)
    return turned


def tridiagonal_form(matrix: Array) -> tuple[Array, Array, Array]:
    """Reduce a symmetric (k, k) matrix in C's order to three diagonals.

    Its upper half is read, and taken for the reflectors; the lower half is left.

    Returns
    -------
    diagonal, off_diagonal, factors : (k,), (k - 1,) and (k - 1,) arrays
        The last belongs to the reflectors.
    """
    side = len(matrix)
    found, work = [_empty(side), _empty(side - 1), _empty(side - 1)], _empty(_WORK * side)
    # C's upper half is Fortran's lower.
    status = call("dsytrd", b"L", side, (matrix, side * side), side, *found, work, work[1])
    diagonal, off_diagonal, factors = (array for array, _ in found)
    if status is None:
        reduced, diagonal, off_diagonal, factors, status = _wrappers().dsytrd(
            matrix.T, lower=1, lwork=work[1], overwrite_a=1
        )
        matrix.T[...] = reduced
    _must_succeed("dsytrd", status)
    return diagonal, off_diagonal, factors


def tridiagonal_values(diagonal: Array, off_diagonal: Array) -> Array:
    """Return the eigenvalues, ascending, of a symmetric tridiagonal matrix."""
    values, rest, side = diagonal.copy(), off_diagonal.copy(), len(diagonal)
    status = call("dsterf", side, (values, side), (rest, side - 1))
    if status is None:
        values, status = _wrappers().dsterf(diagonal, _nonempty(off_diagonal))
    _must_succeed("dsterf", status)
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
    work = _empty(5 * side), _empty(side, np.intc), _empty(count, np.intc)
    results = (vectors, count * side), side, *work
    status = call("dstein", side, *matrix, count, *((array, side) for array in given), *results)
    if status is None:
        found, status = _wrappers().dstein(diagonal, _nonempty(off_diagonal), values, owners, splits)
        vectors = found.T
    _must_succeed("dstein", status)
    return vectors


def turn_back(vectors: Array, matrix: Array, factors: Array) -> None:
    """Turn eigenvectors of the tridiagonal form, as rows, into those of the matrix, in place.

    The matrix holds the reflectors, as `tridiagonal_form` leaves them.
    """
    (count, side), work = vectors.shape, _empty(_WORK * vectors.shape[1])
    reduced = (matrix, side * side), side, (factors, side - 1)
    ends = (vectors, count * side), side, work, _room(count, side)
    status = call("dormtr", b"L", b"L", b"N", side, count, *reduced, *ends)
    if status is None and side == 1:
        return
    if status is None:  # the reflectors leave the first entry as it is
        rest = matrix.T[1:, :-1], factors, vectors.T[1:], work[1]
        vectors.T[1:], _, status = _wrappers().dormqr(b"L", b"N", *rest)
    _must_succeed("dormtr", status)


def subtract_from_product(columns: Array, matrix: Array) -> None:
    """Replace the lower half of a symmetric matrix in C's order by ``columns @ columns.T`` less itself."""
    columns, (side, count) = np.ascontiguousarray(columns), columns.shape
    product = 1.0, (columns, side * count), count
    if call("dsyrk", b"U", b"T", side, count, *product, -1.0, (matrix, side * side), side) is None:
        from scipy.linalg import blas

        matrix.T[...] = blas.dsyrk(1.0, columns.T, trans=1, beta=-1.0, c=matrix.T, overwrite_c=1)


def is_positive_definite(matrix: Array) -> bool:
    """Whether a symmetric matrix in C's order has a Cholesky factor, which takes its lower half."""
    side = len(matrix)
    status = call("dpotrf", b"U", side, (matrix, side * side), side)
    if status is None:
        _, status = _wrappers().dpotrf(matrix.T, lower=0, clean=0, overwrite_a=1)
    _must_succeed("dpotrf", min(status, 0))
    return status == 0


def _wrappers() -> Any:
    from scipy.linalg import lapack

    return lapack


def _empty(length: int, dtype: Any = np.float64) -> tuple[NDArray[Any], int]:
    """Return an uninitialised array for `call`."""
    return np.empty(length, dtype), length


def _room(count: int, side: int) -> int:
    """Return the length of the work space of dormtr."""
    return count if count <= _FEW else _WORK * side


def _nonempty(off_diagonal: Array) -> Array:
    return off_diagonal if len(off_diagonal) else np.zeros(1)  # the wrappers take no empty one


def _must_succeed(name: str, status: int | None) -> None:
    if status != 0:
        raise np.linalg.LinAlgError(f"{name} failed with status {status}")
