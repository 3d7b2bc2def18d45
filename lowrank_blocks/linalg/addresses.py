"""Routines of LAPACK and BLAS, called by the addresses that scipy publishes for Cython.

scipy's own wrappers keep Python's lock while LAPACK works, so that Python threads wait for one another.
A call through `ctypes` releases the lock: two threads take half the time of one.

An address is used only if the signature published with it is literally the one expected, as scipy may
be built with integers of 64 bits. Each array is checked before the call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arguments = bytes | int | float | tuple[NDArray[Any], int]

SIGNATURES = {  # c: char, d: double, s: single, i: int; the last one of LAPACK's is the status
    "dgeqrf": "iididdii",
    "dgesdd": "ciididdididiii",
    "dorgqr": "iiididdii",
    "dormqr": "cciiididdidii",
    "dormtr": "ccciididdidii",
    "dpotrf": "cidii",
    "dstein": "iddidiididiii",
    "dsterf": "iddi",
    "dsyrk": "cciiddiddi",
    "dsytrd": "cididdddii",
}
_BOTH = "dgeqrf", "dorgqr", "dormtr", "dpotrf", "dstein", "dsterf", "dsyrk", "dsytrd"  # in single, too
SIGNATURES |= {f"s{name[1:]}": SIGNATURES[name].replace("d", "s") for name in _BOTH}
_BLAS = ("dsyrk", "ssyrk")
_INTEGERS = 1 << (8 * ctypes.sizeof(ctypes.c_int) - 1)
WORK = 64  # numbers of work space a row; the blocked routines are fastest from 38 on
_REALS = {"d": ctypes.c_double, "s": ctypes.c_float}
_NUMBERS = {"d": np.dtype(np.float64), "s": np.dtype(np.float32), "i": np.dtype(np.intc)}


def call(name: str, *arguments: Arguments) -> int | None:
    """Call a routine by its address, and return its status; None if no address fits.

    Parameters
    ----------
    name : str
        A key of `SIGNATURES`.
    *arguments : bytes, int, float or (array, int)
        All but the status. Arrays, which may be written to, come with the length that is used of them.
    """
    routine = published(name)
    if routine is None:
        return None
    status = ctypes.c_int()
    ends = [] if name in _BLAS else [ctypes.byref(status)]
    kinds = SIGNATURES[name][: len(arguments)]
    passed = [_passed(name, kind, a) for kind, a in zip(kinds, arguments, strict=True)]
    routine(*passed, *ends)
    return status.value


def each(name: str, count: int, *arguments: Arguments) -> int | None:
    """Call a routine for every item of stacks, and return the first status that is not 0.

    Parameters are those of `prepared`.
    """
    if count == 1:  # nothing to prepare for others
        return call(name, *arguments)
    run = prepared(name, count, *arguments)
    return None if run is None else next(filter(None, map(run, range(count))), 0)


def prepared(name: str, count: int, *arguments: Arguments) -> Callable[[int], int] | None:
    """Return calls of a routine with arguments that are checked once; None if no address fits.

    Parameters
    ----------
    name : str
        A key of `SIGNATURES`, of LAPACK.
    count : int
        Number of items.
    *arguments : bytes, int, float or (array, int)
        As for `call`. Arrays of two or more axes are stacks of items of the length given.

    Returns
    -------
    callable
        Takes the index of an item, and returns the status; for one thread at a time.
    """
    routine = published(name)
    if routine is None:
        return None
    passed = [_passed(name, kind, a) for kind, a in zip(SIGNATURES[name][:-1], arguments, strict=True)]
    moving = []
    for place, argument in enumerate(arguments):
        if type(argument) is tuple and argument[0].ndim > 1:
            array, length = argument
            if array.size != count * length:
                raise TypeError(f"{name} needs {count} items of {length} numbers, got shape {array.shape}.")
            moving.append((place, passed[place], length * array.itemsize))
    status = ctypes.c_int()
    passed.append(ctypes.byref(status))

    def run(item: int, _kept: object = arguments) -> int:  # the arrays must outlive their addresses
        if not 0 <= item < count:
            raise IndexError(f"{name} has items 0 to {count - 1}, got {item}.")
        for place, start, step in moving:
            passed[place] = start + item * step
        routine(*passed)
        return status.value

    return run


def _passed(name: str, kind: str, argument: Arguments) -> Any:
    """Return an argument as ctypes takes it, or refuse one that is not of the kind."""
    if kind == "i" and type(argument) is int and (pointer := _integer(argument)):
        return pointer
    if type(argument) is tuple:
        array, length = argument
        dtype = _NUMBERS[kind]
        if array.dtype != dtype or not array.flags.carray or array.size < length:
            raise TypeError(
                f"{name} needs a contiguous writable array of {length} numbers of {dtype}, "
                f"got shape {array.shape} and strides {array.strides} of {array.dtype}."
            )
        return _address(array)
    if kind == "c" and isinstance(argument, bytes):
        return argument
    if kind in _REALS and isinstance(argument, float):
        return ctypes.byref(_REALS[kind](argument))
    raise TypeError(f"{name} takes no {argument!r} for an argument of kind {kind!r}.")


@lru_cache(maxsize=1 << 12)
def _integer(number: int) -> Any:
    """Return a pointer to an integer, which no routine changes; None if it does not fit."""
    return ctypes.byref(ctypes.c_int(number)) if -_INTEGERS <= number < _INTEGERS else None


def _address(array: Any) -> int:
    """Return ``array.ctypes.data`` of a writable array, which makes three Python objects on its way."""
    return ctypes.addressof(ctypes.c_char.from_buffer(array)) if array.size else int(array.ctypes.data)


def empty(length: int, dtype: Any = np.float64) -> tuple[NDArray[Any], int]:
    """Return an uninitialised array for `call`."""
    return np.empty(length, dtype), length


def precision(array: NDArray[Any]) -> str:
    """Return the letter with which the names of routines for an array begin."""
    return "s" if array.dtype == np.float32 else "d"


def wrappers() -> Any:
    """Return scipy's wrappers of LAPACK, which stand in where no address fits."""
    from scipy.linalg import lapack

    return lapack


def must_succeed(name: str, status: int | None) -> None:
    """Raise an error unless a routine has returned 0."""
    if status != 0:
        raise np.linalg.LinAlgError(f"{name} failed with status {status}")


@cache
def published(name: str) -> Callable[..., None] | None:
    """Return a routine by its published address; None if the signature is not the one expected."""
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
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(SIGNATURES[name]))
    return prototype(pointer(capsule, written))


def _signature(name: str, module: str) -> bytes:
    """Return how Cython writes the signature of a routine of a module with 32-bit integers."""
    mangled = "".join(f"{len(part)}{part}_" for part in module.split("."))
    kinds = {"c": "char *", "i": "int *"} | {real: f"__pyx_t_{mangled}{real} *" for real in "ds"}
    return f"void ({', '.join(kinds[kind] for kind in SIGNATURES[name])})".encode()
