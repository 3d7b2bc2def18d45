"""All that the package asks of LAPACK and BLAS, but for products of matrices.

numpy has the common factorisations. For the others, scipy's wrappers keep Python's lock while LAPACK
works, so that Python threads wait for one another. scipy also publishes the address of every routine for
Cython; called through `ctypes`, which lets go of the lock, two threads take half the time of one.

An address is used only if the signature published with it is literally the one expected, as scipy may
be built with integers of 64 bits, and each array is checked before. Otherwise the wrappers are called.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.threads import one_blas_thread

Array = NDArray[np.float64]
Arguments = bytes | int | float | tuple[NDArray[Any], int]

_WORK = 64  # numbers of work space a row; the blocked routines are fastest from 38 on
_BLAS = ("dsyrk",)
_SIGNATURES = {  # c: char, d: double, i: int; the last one of LAPACK's is the status
    "dormqr": "cciiididdidii",
    "dormtr": "ccciididdidii",
    "dpotrf": "cidii",
    "dstein": "iddidiididiii",
    "dsterf": "iddi",
    "dsyrk": "cciiddiddi",
    "dsytrd": "cididdddii",
}


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
    (count, side), length, work = rows.shape, turned.shape[1], _room(_WORK * turned.shape[1])
    matrix = (own, count * side), side, (factors, count)
    ends = (turned, side * length), length, work, work[1]
    status = _call("dormqr", b"R", b"N", length, side, count, *matrix, *ends)
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
    found, work = [_room(side), _room(side - 1), _room(side - 1)], _room(_WORK * side)
    # C's upper half is Fortran's lower.
    status = _call("dsytrd", b"L", side, (matrix, side * side), side, *found, work, work[1])
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
    status = _call("dsterf", side, (values, side), (rest, side - 1))
    if status is None:
        values, status = _wrappers().dsterf(diagonal, _some(off_diagonal))
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
    work = _room(5 * side), _room(side, np.intc), _room(count, np.intc)
    results = (vectors, count * side), side, *work
    status = _call("dstein", side, *matrix, count, *((array, side) for array in given), *results)
    if status is None:
        found, status = _wrappers().dstein(diagonal, _some(off_diagonal), values, owners, splits)
        vectors = found.T
    _must_succeed("dstein", status)
    return vectors


def turn_back(vectors: Array, matrix: Array, factors: Array) -> None:
    """Turn eigenvectors of the tridiagonal form, as rows, into those of the matrix, in place.

    The matrix holds the reflectors, as `tridiagonal_form` leaves them.
    """
    (count, side), work = vectors.shape, _room(_WORK * vectors.shape[1])
    reduced = (matrix, side * side), side, (factors, side - 1)
    ends = (vectors, count * side), side, work, work[1]
    status = _call("dormtr", b"L", b"L", b"N", side, count, *reduced, *ends)
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
    if _call("dsyrk", b"U", b"T", side, count, *product, -1.0, (matrix, side * side), side) is None:
        from scipy.linalg import blas

        matrix.T[...] = blas.dsyrk(1.0, columns.T, trans=1, beta=-1.0, c=matrix.T, overwrite_c=1)


def is_positive_definite(matrix: Array) -> bool:
    """Whether a symmetric matrix in C's order has a Cholesky factor, which takes its lower half."""
    side = len(matrix)
    status = _call("dpotrf", b"U", side, (matrix, side * side), side)
    if status is None:
        _, status = _wrappers().dpotrf(matrix.T, lower=0, clean=0, overwrite_a=1)
    _must_succeed("dpotrf", min(status, 0))
    return status == 0


def _wrappers() -> Any:
    from scipy.linalg import lapack

    return lapack


def _room(length: int, dtype: Any = np.float64) -> tuple[NDArray[Any], int]:
    """Return an uninitialised array for `_call`."""
    return np.empty(length, dtype), length


def _some(off_diagonal: Array) -> Array:
    return off_diagonal if len(off_diagonal) else np.zeros(1)  # the wrappers take no empty one


def _must_succeed(name: str, status: int) -> None:
    if status != 0:
        raise np.linalg.LinAlgError(f"{name} failed with status {status}")


def _call(name: str, *arguments: Arguments) -> int | None:
    """Call a routine by its address, and return its status; None if it has no address to be called by.

    Parameters
    ----------
    name : str
        A key of `_SIGNATURES`.
    *arguments : bytes, int, float or (array, int)
        All but the status. Arrays, which may be written to, come with the length that is used of them.
    """
    routine = _published(name)
    if routine is None:
        return None
    status = ctypes.c_int()
    ends = [] if name in _BLAS else [ctypes.byref(status)]
    kinds = _SIGNATURES[name][: len(arguments)]
    passed = [_passed(name, kind, a) for kind, a in zip(kinds, arguments, strict=True)]
    routine(*passed, *ends)
    return status.value


def _passed(name: str, kind: str, argument: Arguments) -> Any:
    """Return what ctypes takes for an argument of a kind, once it is sure to be one."""
    if isinstance(argument, tuple):
        array, length = argument
        dtype = {"d": np.float64, "i": np.intc}[kind]
        if array.dtype != dtype or not array.flags.carray or array.size < length:
            raise TypeError(
                f"{name} needs a contiguous writable array of {length} numbers of {np.dtype(dtype)}, "
                f"got shape {array.shape} and strides {array.strides} of {array.dtype}."
            )
        return array.ctypes.data
    if kind == "c" and isinstance(argument, bytes):
        return argument
    if kind == "d" and isinstance(argument, float):
        return ctypes.byref(ctypes.c_double(argument))
    if kind == "i" and isinstance(argument, int) and argument == ctypes.c_int(argument).value:
        return ctypes.byref(ctypes.c_int(argument))
    raise TypeError(f"{name} takes no {argument!r} for an argument of kind {kind!r}.")


@cache
def _published(name: str) -> Callable[..., None] | None:
    """Return a routine by the address that scipy publishes; None if its signature is not the one expected."""
    from scipy.linalg import cython_blas, cython_lapack

    module = cython_blas if name in _BLAS else cython_lapack
    capsule = getattr(module, "__pyx_capi__", {}).get(name)
    api = getattr(ctypes, "pythonapi", None)
    if capsule is None or api is None:
        return None
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    written = api.PyCapsule_GetName(capsule)
    if written != _signature(name, module.__name__):
        return None
    pointer = api.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(_SIGNATURES[name]))
    return prototype(pointer(capsule, written))


def _signature(name: str, module: str) -> bytes:
    """Return how Cython writes the signature of a routine of a module with 32-bit integers."""
    mangled = "".join(f"{len(part)}{part}_" for part in module.split("."))
    kinds = {"c": "char *", "d": f"__pyx_t_{mangled}d *", "i": "int *"}
    return f"void ({', '.join(kinds[kind] for kind in _SIGNATURES[name])})".encode()
