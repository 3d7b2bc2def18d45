"""Some eigenvectors of a symmetric matrix, without holding the interpreter.

scipy's own wrappers keep Python's lock while LAPACK works, so that Python threads wait for one
another. scipy also publishes the address of every LAPACK routine for Cython; called through `ctypes`,
which lets go of the lock, two threads take half the time of one.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_ARGUMENTS = 21  # of dsyevr, all pointers
_PER_ROW = 64  # numbers of work space a row; LAPACK asks for 26 and is fastest from 38 on


def top_eigenpairs(matrix: Array, count: int) -> tuple[Array, Array]:
    """Return the `count` largest eigenvalues of a (k, k) matrix and their vectors, descending; in place.

    Parameters
    ----------
    matrix : (k, k) array
        Symmetric, in C's order; its lower half is read, and overwritten.
    count : int
        From 1 to k.

    Raises
    ------
    numpy.linalg.LinAlgError
        If LAPACK's relatively robust representations fail.
    """
    side = len(matrix)
    values, vectors = np.empty(side), np.empty((count, side))  # rows are LAPACK's columns
    support, found = np.empty(2 * count, dtype=np.intc), ctypes.c_int()
    work, more = np.empty(_PER_ROW * side), np.empty(10 * side, dtype=np.intc)
    n, zero, status = ctypes.c_int(side), ctypes.c_double(0.0), ctypes.c_int()
    first, long, short = (ctypes.c_int(c) for c in (side - count + 1, len(work), len(more)))
    _dsyevr()(
        *(b"V", b"I", b"U", _at(n), matrix.ctypes.data, _at(n), _at(zero), _at(zero), _at(first), _at(n)),
        *(_at(zero), _at(found), values.ctypes.data, vectors.ctypes.data, _at(n), support.ctypes.data),
        *(work.ctypes.data, _at(long), more.ctypes.data, _at(short), _at(status)),
    )
    if status.value != 0 or found.value != count:
        raise np.linalg.LinAlgError("dsyevr did not find all eigenvectors")
    return values[count - 1 :: -1], vectors[::-1].T


def _at(value: Any) -> Any:
    return ctypes.byref(value)


@cache
def _dsyevr() -> Any:
    from scipy.linalg import cython_lapack

    capsule = cython_lapack.__pyx_capi__["dsyevr"]
    name, pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * _ARGUMENTS)
    return prototype(pointer(capsule, name(capsule)))
