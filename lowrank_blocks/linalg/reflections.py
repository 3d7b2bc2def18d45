"""QR factorisations by reflections, in either precision, of few long rows.

numpy keeps Python's lock meanwhile, so threads that split dominant values off would wait for each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.addresses import WORK, call, empty, must_succeed, precision, prepared, wrappers

Array = NDArray[np.float64]


class Reflections:
    """Reflections that turn the span of (r, k) long rows onto the axes, of one item of a stack at a time.

    What LAPACK is called with is prepared once, which takes longer than a call with few rows.
    For one thread at a time.

    Parameters
    ----------
    stack : (n, r, k) array
        Of float64 or float32, in C's order.

    Attributes
    ----------
    factors : (r,) array
        Of the last reflections.
    """

    def __init__(self, stack: NDArray[Any]) -> None:
        items, count, side = stack.shape
        self._stack, self.factors = stack, np.empty(count, stack.dtype)
        work = empty(WORK * count, stack.dtype)
        ends = (stack, count * side), side, (self.factors, count), work, work[1]
        letter = precision(stack)
        self._names = f"{letter}geqrf", f"{letter}orgqr"
        self._reflect = prepared(self._names[0], items, side, count, *ends)
        self._expand = prepared(self._names[1], items, side, count, count, *ends)

    def reflect(self, item: int) -> None:
        """Replace the rows of an item by the reflectors that turn their span onto the axes."""
        if self._reflect:
            status = self._reflect(item)
        else:
            columns = self._stack[item].T
            columns[...], self.factors[...], _, status = getattr(wrappers(), self._names[0])(columns)
        must_succeed(self._names[0], status)

    def orthonormalise(self, item: int) -> None:
        """Replace the rows of an item by an orthonormal basis of their span."""
        self.reflect(item)
        if self._expand:
            status = self._expand(item)
        else:
            columns = self._stack[item].T
            columns[...], _, status = getattr(wrappers(), self._names[1])(columns, self.factors)
        must_succeed(self._names[1], status)


def spanned(columns: NDArray[Any]) -> NDArray[Any]:
    """Return an orthonormal basis of (k, r) tall columns in their precision."""
    rows = columns.T.copy()
    Reflections(rows[None]).orthonormalise(0)
    return rows.T


def reflectors(columns: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return reflectors, as rows, that turn the span of (k, r) columns onto the axes, and their factors."""
    rows = columns.T.copy()
    made = Reflections(rows[None])
    made.reflect(0)
    return rows, made.factors


def reflected(block: Array, rows: Array, factors: Array) -> Array:
    """Return ``Q.T @ block``, where Q is the product of the reflectors; no argument is changed."""
    turned, own = block.copy(order="C"), rows.copy()  # LAPACK writes on the reflectors while it works
    (count, side), length, work = rows.shape, turned.shape[1], empty(WORK * turned.shape[1])
    matrix = (own, count * side), side, (factors, count)
    ends = (turned, side * length), length, work, work[1]
    status = call("dormqr", b"R", b"N", length, side, count, *matrix, *ends)
    if status is None:
        rest = own.T, factors, turned.T, work[1]
        found, _, status = wrappers().dormqr(b"R", b"N", *rest, overwrite_c=1)
        turned = found.T
    must_succeed("dormqr", status)
    return turned
