"""A journal of finished work in the output folder, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.float64] | NDArray[np.int64]]

FOLDER = ".lowrank-blocks-journal"


class Journal:
    """Arrays by key, one file each. A file is written aside and renamed, so that none is ever half written.

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
            with self._path(key).open("rb") as file, np.load(file, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            return None

    def write(self, key: str, arrays: Arrays) -> None:
        """Keep arrays under a key."""
        self.folder.mkdir(parents=True, exist_ok=True)
        packed = io.BytesIO()
        np.savez(packed, **arrays)  # type: ignore[arg-type]
        path = self._path(key)
        aside = path.with_suffix(f".{os.getpid()}.part")
        try:
            aside.write_bytes(packed.getbuffer())
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the journal: the results that it leads to are written."""
        with contextlib.suppress(OSError):
            shutil.rmtree(self.folder)

    def _path(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()}.npz"
