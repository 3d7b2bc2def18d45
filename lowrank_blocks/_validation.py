"""Checks of arrays and counts from outside, made once."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[Any]
Shape = tuple[int, int]

_HUGE = 1 << 53
_SLAB = 1 << 19  # entries checked at a time
_FLOATS = {"float16", "bfloat16", "float32", "float64"}
_COMMON = {np.dtype(np.float32), np.dtype(np.float64)}  # recognised without their names, which are slow


def as_matrix(value: ArrayLike, name: str = "dW") -> Matrix:
    """Return `value` as a finite, real, nonempty 2-D float array, or say why it is none.

    Float16, bfloat16, float32 and float64 arrays come back as they are, without a copy, if the bytes
    of their numbers are in this machine's order; else as a copy that is. Integers and booleans
    become float64. PyTorch tensors come from any device, parameters too.
    """
    _require_one(value, name)
    matrix = _as_numeric(value, name)
    if matrix.ndim != 2 or matrix.size == 0:
        fix = "; call once for each: for dW in matrices" if matrix.ndim == 3 else ""
        raise ValueError(f"{name} must be a nonempty 2-D matrix, got shape {matrix.shape}{fix}.")
    _require_finite(matrix, name)
    return matrix


def as_operand(value: ArrayLike, name: str = "x") -> Matrix:
    """Return `value` as a real float array of any shape, or say why it is none."""
    return _as_numeric(value, name)


def is_narrow(dtype: np.dtype[Any]) -> bool:
    """Whether a checked matrix of this dtype has float32 factors: all floats of fewer than 64 bits."""
    return dtype.itemsize < 8


def as_count(value: object, name: str, *, least: int = 0) -> int:
    """Return `value` as a Python int that is at least 0, or at least 1, or say why it is none."""
    rule = "a positive integer" if least else "a non-negative integer"
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be {rule}, got the bool {value}.")
    try:
        count = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be {rule}, got {value!r}.") from None
    if count < least:
        raise ValueError(f"{name} must be {rule}, got {count}.")
    return count


def as_counts(values: object, name: str) -> NDArray[np.int64]:
    """Return a sequence of non-negative integers as an int64 array, naming the first bad entry."""
    if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, np.ndarray)):
        raise TypeError(f"{name} must be a sequence of non-negative integers, got {values!r}.")
    counts = [as_count(v, f"{name}[{i}]") for i, v in enumerate(values)]
    for i, count in enumerate(counts):
        if count >= _HUGE:
            raise ValueError(f"{name} must be below 2**53, got {name}[{i}] = {count}.")
    return np.array(counts, dtype=np.int64)


def as_shape(value: object, name: str = "shape") -> Shape:
    """Return `value` as a pair of positive ints."""
    shape = getattr(value, "shape", ())
    if isinstance(shape, tuple) and len(shape) == 2:
        raise TypeError(
            f"{name} must be a pair of positive integers, got a matrix of shape {tuple(shape)}; "
            "write dW.shape in place of dW."
        )
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)) or len(value) != 2:
        raise TypeError(f"{name} must be a pair of positive integers such as dW.shape, got {value!r}.")
    rows, cols = (as_count(v, f"{name}[{i}]") for i, v in enumerate(value))
    if rows == 0 or cols == 0:
        raise ValueError(f"{name} must be a pair of positive integers, got {(rows, cols)}.")
    return rows, cols


def as_real(value: object, name: str, rule: str = "a finite number that is not negative") -> float:
    """Return `value` as a finite float that is at least 0."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be {rule}, got {value!r}.")
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if not 0 <= number < np.inf:
        raise ValueError(f"{name} must be {rule}, got {number}.")
    return number


def _require_finite(matrix: Matrix, name: str) -> None:
    """Refuse NaN and infinity, looking for the first at some rows at a time to save memory."""
    if matrix.dtype in _COMMON and _is_finite(matrix):
        return
    step = max(1, _SLAB // matrix.shape[1])
    for start in range(0, len(matrix), step):
        finite = np.isfinite(matrix[start : start + step])
        if not finite.all():
            i, j = (int(k) for k in np.unravel_index(np.argmin(finite), finite.shape))
            i += start
            raise ValueError(f"{name} must be finite, got {name}[{i}, {j}] = {matrix[i, j]}.")


def _is_finite(matrix: Matrix) -> bool:
    """Whether all entries are finite, without an array of flags."""
    rows = matrix if matrix.flags.c_contiguous else matrix.T
    if rows.flags.c_contiguous and np.isfinite(np.vdot(rows, rows)):
        return True
    return bool(np.isfinite(matrix.max()) and np.isfinite(matrix.min()))  # both are NaN if any entry is


def _require_one(value: object, name: str) -> None:
    """Refuse several matrices where one belongs."""
    kind = type(value).__name__
    if isinstance(value, Mapping):
        raise TypeError(
            f"{name} must be one matrix, got a {kind} of {len(value)}; "
            "call once for each: for name, dW in matrices.items()."
        )
    if isinstance(value, (list, tuple)) and any(getattr(part, "ndim", 1) > 1 for part in value):
        raise TypeError(
            f"{name} must be one matrix, got a {kind} of {len(value)} matrices; "
            "call once for each: for dW in matrices."
        )


def _as_numeric(value: ArrayLike, name: str) -> Matrix:
    if hasattr(value, "toarray"):
        raise TypeError(f"{name} must be dense, got a {type(value).__name__}; call .toarray() on it first.")
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must not be masked, got a masked array; call .filled(...) on it first.")
    try:
        array = _from_tensor(value, name) if hasattr(value, "detach") else np.asarray(value)
    except ValueError:
        raise ValueError(
            f"{name} must be a rectangular array of numbers, got rows of different lengths."
        ) from None
    if array.dtype.kind in "biu":
        return array.astype(np.float64)
    if array.dtype not in _COMMON and array.dtype.name not in _FLOATS:
        kind = "" if array.ndim else f", a {type(value).__name__}"
        raise TypeError(
            f"{name} must be real numbers of at most 64 bits, "
            f"got dtype {array.dtype} (shape {array.shape}{kind})."
        )
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _from_tensor(value: Any, name: str) -> Matrix:
    """Return a PyTorch tensor as an array; bfloat16, which numpy lacks, is widened to float32."""
    try:
        tensor = value.detach().cpu()
        return np.asarray(tensor.float() if str(tensor.dtype).endswith("bfloat16") else tensor)
    except (RuntimeError, TypeError) as error:
        raise TypeError(
            f"{name} must be a dense tensor of real numbers of at least 16 bits, got dtype {value.dtype} "
            f"({str(error).splitlines()[0]}); call .float(), or .to_dense() if it is sparse, on it first."
        ) from None
