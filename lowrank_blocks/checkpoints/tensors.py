"""What a checkpoint is: named tensors whose shapes are known before any of them is read."""

from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lowrank_blocks._validation import as_operand as as_floats

Array = NDArray[Any]


class CheckpointError(ValueError):
    """A checkpoint that cannot be read: the message names the file, the tensor and the rule."""


@dataclass(frozen=True)
class TensorInfo:
    """What the header of a file says of a tensor.

    Attributes
    ----------
    shape : tuple of int
        Its shape.
    dtype : str
        Its type, as numpy or ml_dtypes name it.
    file : Path
        The file that holds it.
    """

    shape: tuple[int, ...]
    dtype: str
    file: Path


class Checkpoint(ABC):
    """Tensors by name. Shapes come from headers; a tensor is read when it is asked for.

    Attributes
    ----------
    path : Path
        The file or folder.
    tensors : dict of str to TensorInfo
        All tensors, in the order of the file.
    config : dict
        The contents of ``config.json`` beside the weights; empty if there is none.
    """

    path: Path
    tensors: Mapping[str, TensorInfo]
    config: Mapping[str, Any]

    @abstractmethod
    def read(self, name: str) -> Array:
        """Return a tensor in the type that the file stores."""

    def only(self, names: Iterable[str]) -> Self:
        """Return the same checkpoint with some of its tensors, cheap to send to another process."""
        part = copy.copy(self)
        part.tensors = {name: self.tensors[name] for name in names}
        return part

    def identity(self, name: str) -> str:
        """Return what changes when the file of a tensor does: its place, size and time."""
        file = self.tensors[name].file
        status = file.stat()
        return f"{file.resolve()} {status.st_size} {status.st_mtime_ns} {name}"


class ArraysInMemory(Checkpoint):
    """A checkpoint that is a dict of arrays, or of tensors of PyTorch."""

    def __init__(self, arrays: Mapping[str, ArrayLike]) -> None:
        self.path, self.config = Path("arrays in memory"), {}
        self._arrays = {name: as_floats(value, f"tensor {name!r}") for name, value in arrays.items()}
        self.tensors = {
            name: TensorInfo(array.shape, array.dtype.name, self.path) for name, array in self._arrays.items()
        }

    def read(self, name: str) -> Array:
        """Return an array as it was given."""
        return self._arrays[name]

    def only(self, names: Iterable[str]) -> Self:
        """Return the same with some of its arrays."""
        part = super().only(names)
        part._arrays = {name: self._arrays[name] for name in part.tensors}
        return part

    def identity(self, name: str) -> str:
        """Return a hash of an array."""
        array = np.ascontiguousarray(self._arrays[name])
        return f"{hashlib.sha256(array.tobytes()).hexdigest()} {array.dtype} {array.shape} {name}"


def widened(array: Array, *, copy: bool = True) -> Array:
    """Return a tensor in float64 if it is that, else in float32, with native byte order.

    Exact for float16, bfloat16 and float8; integers become float64. Without `copy` one that is wide already
    is returned as it is, which may be a map of the file.
    """
    kind = array.dtype
    if kind.kind in "biu":
        return array.astype(np.float64)
    wide = np.float64 if kind == np.dtype(np.float64).newbyteorder(kind.byteorder) else np.float32
    return np.asarray(array).astype(wide, copy=copy)
