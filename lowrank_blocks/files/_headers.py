"""What the header of a .npy array says, read without its data."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

MAGIC = npy.MAGIC_PREFIX
_MOST = 1 << 14  # bytes; numpy refuses headers above 10,000 characters


@dataclass(frozen=True)
class Header:
    """Shape, type and place of an array in a stream.

    Attributes
    ----------
    shape : tuple of int
        As stored, of any number of axes.
    dtype : numpy.dtype
        As stored, of any kind.
    offset : int
        Bytes before the data.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int

    @property
    def size(self) -> int:
        """Bytes of the whole array, unless it holds objects, whose pickles are of any length."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def read_header(stream: IO[bytes]) -> Header | None:
    """Read the header at the start of a stream, and at most 16 KiB; None if there is no array.

    Raises
    ------
    ValueError
        If the header is damaged.
    """
    head = io.BytesIO(stream.read(_MOST))
    if not head.getvalue().startswith(MAGIC):
        return None
    try:
        shape, dtype = _parsed(head)
    except (Exception, MemoryError) as error:  # damaged bytes make numpy and ast raise almost anything
        raise ValueError(f"its header cannot be read: {first_line(error)}") from None
    if any(length < 0 for length in shape):
        raise ValueError(f"its header has the shape {shape}.")
    return Header(tuple(map(int, shape)), dtype, head.tell())


def first_line(error: BaseException) -> str:
    """Return what an error says, on one line and not at length."""
    return (str(error) or type(error).__name__).splitlines()[0][:200]


def _parsed(head: io.BytesIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(head)
    if version not in {(1, 0), (2, 0), (3, 0)}:
        raise ValueError(f"version {version} of the .npy format is not known")
    # Version 3 is version 2 with UTF-8 in the names of fields, and arrays with fields hold no matrix.
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(head)
    return shape, dtype
