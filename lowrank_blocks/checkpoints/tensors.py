"""What a checkpoint is: named tensors whose shapes are known before any of them is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def widened(array: Array) -> Array:
    """Return a tensor in float64 if it is that, else in float32, with native byte order.

    Exact for float16, bfloat16 and float8; integers become float64.
    """
    kind = array.dtype
    if kind.kind in "biu":
        return array.astype(np.float64)
    wide = np.float64 if kind == np.dtype(np.float64).newbyteorder(kind.byteorder) else np.float32
    return array.astype(wide)
