"""A journal of finished work in the output folder, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.float64] | NDArray[np.int64]]

NAME = ".lowrank-blocks.journal"

_FIELDS = struct.Struct("<32sQ32s")  # SHA-256 of the key; length of the content, and its SHA-256
_HEADER = _FIELDS.size + 32  # and the SHA-256 of these three


class _Place(NamedTuple):
    """Where the content of an entry is."""

    start: int
    length: int
    digest: bytes


class Journal:
    """Arrays by key in one file, entry after entry. A file for each takes longer to write and to remove.

    The content of an entry is a line of JSON, with the name, type and shape of every array, and their bytes.
    It is read faster than .npy files are. An entry that was not written to its end is overwritten by the next
    one. For one run at a time.

    Parameters
    ----------
    folder : Path
        The output folder, made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._places, self._end = _entries(self.path)

    def __len__(self) -> int:
        return len(self._places)

    def read(self, key: str) -> dict[str, NDArray[np.float64]] | None:
        """Return what was written under a key; None if nothing was, or it is damaged."""
        place = self._places.get(_digest(key.encode()))
        if place is None:
            return None
        try:
            with self.path.open("rb") as file:
                file.seek(place.start)
                content = file.read(place.length)
            if _digest(content) != place.digest:  # also where another run has written since
                return None
            return dict(_arrays(content))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, key: str, arrays: Arrays) -> None:
        """Keep arrays under a key."""
        entry = io.BytesIO()
        entry.seek(_HEADER)
        stored = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        kinds = [(name, array.dtype.str, array.shape) for name, array in stored.items()]
        entry.write(json.dumps(kinds).encode() + b"\n")
        for array in stored.values():
            entry.write(array.tobytes())
        whole, own = entry.getbuffer(), _digest(key.encode())
        content = whole[_HEADER:]
        place = _Place(self._end + _HEADER, len(content), _digest(content))
        fields = _FIELDS.pack(own, place.length, place.digest)
        whole[:_HEADER] = fields + _digest(fields)
        if self._end == 0:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("r+b" if self._end else "wb") as file:
            file.seek(self._end)
            file.write(whole)
            file.truncate()
        self._places[own], self._end = place, self._end + len(whole)

    def close(self) -> None:
        """Remove the journal: the results that it leads to are written."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self._places, self._end = {}, 0


def _arrays(content: bytes) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the arrays that the content of an entry holds, by name; a view would hold all of it."""
    end = content.index(b"\n") + 1
    for name, kind, shape in json.loads(content[:end]):
        array = np.frombuffer(content, np.dtype(kind), math.prod(shape), end)
        yield name, array.reshape(shape).copy()
        end += array.nbytes


def _entries(path: Path) -> tuple[dict[bytes, _Place], int]:
    """Return where the entries of a file are, by the digests of their keys, and where the last one ends."""
    found: dict[bytes, _Place] = {}
    end = 0
    with contextlib.suppress(OSError), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        while len(header := file.read(_HEADER)) == _HEADER:
            fields = header[: _FIELDS.size]
            own, length, digest = _FIELDS.unpack(fields)
            start = end + _HEADER
            if header[_FIELDS.size :] != _digest(fields) or start + length > size:
                break
            found[own], end = _Place(start, length, digest), file.seek(start + length)
    return found, end


def _digest(content: bytes | memoryview) -> bytes:
    return hashlib.sha256(content).digest()
