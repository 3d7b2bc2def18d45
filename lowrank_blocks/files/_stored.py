"""A matrix in a file that is known by its header, and read when it is asked for."""

from __future__ import annotations

import contextlib
import math
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from lowrank_blocks._escaping import printable
from lowrank_blocks._validation import Matrix, as_matrix
from lowrank_blocks.files._headers import Header, first_line

_FORMULA = ("=", "+", "-", "@")


@dataclass(frozen=True)
class StoredMatrix:
    """An array of numbers in a .npy file or in a member of an archive.

    Attributes
    ----------
    path : Path
        The file.
    header : Header
        Shape and type.
    member : zipfile.ZipInfo or None
        Where in an archive.
    """

    path: Path
    header: Header
    member: zipfile.ZipInfo | None = None

    @property
    def name(self) -> str:
        """The path, or ``path[key]`` in an archive, printable; no spreadsheet takes it for a formula."""
        path = f"./{self.path}" if str(self.path).startswith(_FORMULA) else str(self.path)
        return printable(path if self.member is None else f"{path}[{self.key}]")

    @property
    def key(self) -> str | None:
        """The name of the array in its archive."""
        return None if self.member is None else key_of(self.member)

    @property
    def stem(self) -> str:
        """The name without its folder, to name other files after it."""
        return self.path.stem if self.key is None else f"{self.path.stem}-{self.key}"

    @property
    def stored(self) -> int:
        """Bytes in the file or in the member, header included."""
        return self.path.stat().st_size if self.member is None else self.member.file_size

    @property
    def memory(self) -> int:
        """Bytes that `read` needs: the array, and float64 in its place if it holds whole numbers."""
        dtype, entries = self.header.dtype, math.prod(self.header.shape)
        return entries * (dtype.itemsize + (8 if dtype.kind in "biu" else 0))

    def read(self) -> Matrix:
        """Return the matrix.

        Raises
        ------
        ValueError
            If the data is damaged, too large for this machine, or not finite.
        """
        return as_matrix(self.array(), self.name)

    def array(self) -> Matrix:
        """Return the array, of any dimension, as it is stored.

        Raises
        ------
        ValueError
            If the data is damaged, or too large for this machine.
        """
        with intact(self.name), self.path.open("rb") as file, self._opened(file) as stream:
            array: Matrix = npy.read_array(stream, allow_pickle=False)
        if (array.shape, array.dtype) != (self.header.shape, self.header.dtype):
            raise ValueError(f"{self.name} must not change while it is read.")
        return array

    @contextlib.contextmanager
    def _opened(self, file: IO[bytes]) -> Iterator[IO[bytes]]:
        if self.member is None:
            yield file
        else:
            with zipfile.ZipFile(file) as archive, archive.open(self.member) as stream:
                yield stream

    def require_readable(self, limit: int) -> None:
        """Decide by the header alone.

        Raises
        ------
        ValueError
            If the matrix is empty, not of real numbers, cut short, or needs more memory than `limit`.
        """
        dtype, shape = self.header.dtype, self.header.shape
        kind, wanted = ("vector", "vector") if len(shape) == 1 else ("matrix", "2-D matrix")
        if 0 in shape:
            raise ValueError(f"{self.name} must be a nonempty {wanted}, got shape {shape}.")
        _require_real(self.name, dtype, shape)
        if self.stored < self.header.size:
            raise ValueError(damaged(self.name, f"it holds {self.stored} bytes of {self.header.size}."))
        if self.memory > limit:
            raise ValueError(
                f"{self.name} must need at most {gibibytes(limit)} of memory to be read, got "
                f"{gibibytes(self.memory)} for a {'×'.join(map(str, shape))} {kind} of {dtype.name}; "
                f"--memory {math.ceil(self.memory / 2**30)}G reads it."
            )


def key_of(member: zipfile.ZipInfo) -> str:
    """Return the name under which numpy knows a member of an archive."""
    return member.filename.removesuffix(".npy")


def damaged(name: str, reason: str) -> str:
    """Return what is said of a file whose bytes are not what they must be."""
    return f"{name} must be an intact .npy or .npz file of numbers: {reason}"


@contextlib.contextmanager
def intact(name: str) -> Iterator[None]:
    """Turn whatever damaged bytes raise in numpy and zipfile into a ValueError that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of headers written by Python 2, which are read
            yield
    except MemoryError:
        raise ValueError(f"{name} must fit into memory, got more than there is.") from None
    except Exception as error:
        raise ValueError(damaged(name, first_line(error))) from None


def gibibytes(count: int) -> str:
    """Return bytes in words, in three digits."""
    return f"{count / 2**30:.3g} GiB"


def _require_real(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    try:
        as_matrix(np.zeros((1, 1), dtype), name)
    except TypeError:
        saved = (
            " (numpy stores bfloat16 like this; save matrix.astype('float32'))" if dtype.kind == "V" else ""
        )
        raise ValueError(
            f"{name} must be real numbers of at most 64 bits, got dtype {dtype}, shape {shape}{saved}."
        ) from None
