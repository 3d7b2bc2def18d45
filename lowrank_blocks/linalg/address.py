"""Routines of LAPACK called by their address, without holding the interpreter.

scipy's own wrappers keep Python's lock while LAPACK works, so that Python threads wait for one
another. scipy also publishes the address of every LAPACK routine for Cython; called through `ctypes`,
which lets go of the lock, two threads take half the time of one.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np

WORK = 64  # numbers of work space a row; the blocked routines are fastest from 38 on


def call(name: str, *arguments: Any) -> None:
    """Call a routine of LAPACK by its address; its last argument, the status, is added here.

    Parameters
    ----------
    name : str
        Of a routine whose arguments are pointers, the last one to the status.
    *arguments : array, bytes, int or float
        Arrays are passed by their address and may be written to, so they must be contiguous.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the status is not 0.
    """
    status = ctypes.c_int()
    passed = [_passed(argument) for argument in arguments]
    _routine(name, len(passed) + 1)(*passed, ctypes.byref(status))
    if status.value != 0:
        raise np.linalg.LinAlgError(f"{name} failed with status {status.value}")


def _passed(argument: Any) -> Any:
    if isinstance(argument, np.ndarray):
        return argument.ctypes.data
    if isinstance(argument, bytes):
        return argument
    return ctypes.byref((ctypes.c_double if isinstance(argument, float) else ctypes.c_int)(argument))


@cache
def _routine(name: str, count: int) -> Any:
    from scipy.linalg import cython_lapack

    capsule = cython_lapack.__pyx_capi__[name]
    name_of, pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * count)
    return prototype(pointer(capsule, name_of(capsule)))
