"""A journal of finished work in the output folder, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.lib.format import read_array, write_array
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.float64] | NDArray[np.int64]]

FOLDER = ".lowrank-blocks-journal"
SUFFIX = ".entry"

_DIGEST = hashlib.sha256().digest_size


class Journal:
    """Arrays by key, one file each. A file is written aside and renamed, so that none is ever half written.

    A file holds a SHA-256 of what follows: the names, then every array as in an .npy file. An .npz file takes
    longer to write.

    Parameters
    ----------
    folder : Path
        The output folder, made if missing; the journal is a folder in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER

    def read(self, key: str) -> dict[str, NDArray[np.float64]] | None:
        """Return what was written under a key; None if nothing was, or it is damaged."""
        try:
            content = self._path(key).read_bytes()
            if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
                return None
            stored = io.BytesIO(content[_DIGEST:])
            names = read_array(stored, allow_pickle=False).tolist()
            return {name: read_array(stored, allow_pickle=False) for name in names}
        except (OSError, ValueError):
            return None

    def write(self, key: str, arrays: Arrays) -> None:
        """Keep arrays under a key."""
        self.folder.mkdir(parents=True, exist_ok=True)
        packed = io.BytesIO()
        for array in (np.array(list(arrays), dtype=np.str_), *arrays.values()):
            write_array(packed, array, allow_pickle=False)
        path, content = self._path(key), packed.getbuffer()
        aside = path.with_suffix(f".{os.getpid()}.part")
        try:
            with aside.open("wb") as file:
                file.write(hashlib.sha256(content).digest())
                file.write(content)
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the journal: the results that it leads to are written."""
        with contextlib.suppress(OSError):
            shutil.rmtree(self.folder)

    def _path(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()}{SUFFIX}"
