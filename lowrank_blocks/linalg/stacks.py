"""LAPACK on stacks of matrices: by numpy, or by the addresses of routines.

numpy keeps the interpreter's lock while it computes few values, so that threads wait for one another.
Routines called by address release it. A call for each matrix costs microseconds, and so pays for large ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg import addresses
from lowrank_blocks.linalg.addresses import WORK, Arguments, each, empty, must_succeed, precision
from lowrank_blocks.linalg.lapack import eigenpairs, room
from lowrank_blocks.linalg.threads import one_blas_thread

Array = NDArray[np.float64]

ADDRESS_FROM = 96  # smaller sides from this on: singular values and eigenvalues by address
_RELEASED = 500  # numpy keeps the lock for calls that return no more values


def least_together(side: int) -> int:
    """Return how many matrices of a smaller side must be solved together so that threads run beside."""
    return 1 if _by_address("dgesdd", side) else _RELEASED // side + 1


def _by_address(name: str, side: int) -> bool:
    return side >= ADDRESS_FROM and addresses.published(name) is not None


def lapack_values(stack: Array) -> Array:
    """Return the singular values, descending, of a block or a stack of blocks."""
    try:
        side = min(stack.shape[-2:])
        if _by_address("dgesdd", side) and stack[..., 0, 0].size * side <= _RELEASED:
            return _values(stack)
        return np.asarray(np.linalg.svd(stack, compute_uv=False))
    except np.linalg.LinAlgError:
        values = [_surer_svd(block, compute_uv=False) for block in stack.reshape(-1, *stack.shape[-2:])]
        return np.reshape(values, (*stack.shape[:-2], -1))


def _values(stack: Array) -> Array:
    """Return the singular values of blocks, of a copy of each."""
    side, length = stack.shape[-2:]
    blocks = np.array(stack, order="C").reshape(-1, side, length)
    many, least = len(blocks), min(side, length)
    values, vectors = np.empty((many, least)), empty(1)
    work = empty(max(side, length) + 10 * least + WORK * (side + length))
    given = length, side, (blocks, side * length), length, (values, least), vectors, 1, vectors, 1
    status = each("dgesdd", many, b"N", *given, work, work[1], empty(8 * least, np.intc))
    must_succeed("dgesdd", status)
    return values.reshape(*stack.shape[:-2], least)


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
    """Return the eigenvalues, ascending, of symmetric (n, k, k) matrices in C's order.

    Both halves are given, and may be overwritten.
    """
    if _by_address("dsytrd", stack.shape[-1]):
        return _Tridiagonals(stack).values
    return np.asarray(np.linalg.eigvalsh(stack), np.float64)


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
    return reduced(stack).leading(count)


def reduced(stack: Array) -> _Tridiagonals | _Diagonals:
    """Return all eigenvalues of such matrices, ascending, which may be asked for some `leading` pairs."""
    return (_Diagonals if addresses.published(f"{precision(stack)}sytrd") is None else _Tridiagonals)(stack)


class _Diagonals:
    """All eigenvalues and eigenvectors, by numpy."""

    def __init__(self, stack: Array) -> None:
        self.values, self._vectors = eigenpairs(stack, upper=True)

    def leading(self, count: int) -> tuple[Array, Array]:
        """Return the largest eigenvalues, descending, with their vectors as columns."""
        return self.values[:, : -count - 1 : -1], self._vectors[:, :, : -count - 1 : -1]


class _Tridiagonals:
    """Symmetric (n, k, k) matrices, reduced to three diagonals in place, with all eigenvalues, ascending."""

    def __init__(self, stack: Array) -> None:
        many, side, _ = stack.shape
        self._matrices, self._precision = stack, precision(stack)
        self._diagonal, self._off_diagonal, self._factors, self.values, rest = np.empty(
            (5, many, side), stack.dtype
        )
        form = (self._diagonal, side), (self._off_diagonal, side), (self._factors, side)
        work = self._empty(WORK * side)
        self._solve("sytrd", b"L", side, (stack, side * side), side, *form, work, work[1])
        self.values[...], rest[...] = self._diagonal, self._off_diagonal
        self._solve("sterf", side, (self.values, side), (rest, side))

    def leading(self, count: int) -> tuple[Array, Array]:
        """Return the largest eigenvalues, descending, with their vectors as columns."""
        many, side, _ = self._matrices.shape
        vectors, work = np.empty((many, count, side), self._matrices.dtype), self._empty(WORK * side)
        wanted = np.ascontiguousarray(self.values[:, side - count :])
        form = (self._diagonal, side), (self._off_diagonal, side)
        one_part = (np.ones(side, np.intc), side), (np.full(side, side, np.intc), side)
        found, places = ((vectors, count * side), side), (empty(side, np.intc), empty(side, np.intc))
        self._solve("stein", side, *form, count, (wanted, count), *one_part, *found, work, *places)
        reflectors = (self._matrices, side * side), side, (self._factors, side)
        ends = *found, work, room(count, side)
        self._solve("ormtr", b"L", b"L", b"N", side, count, *reflectors, *ends)
        return wanted[:, ::-1], vectors[:, ::-1].mT

    def _solve(self, name: str, *arguments: Arguments) -> None:
        name = self._precision + name
        must_succeed(name, each(name, len(self._matrices), *arguments))

    def _empty(self, length: int) -> tuple[NDArray[Any], int]:
        return empty(length, self._matrices.dtype)
