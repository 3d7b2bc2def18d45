"""Tensors of .npz archives and of folders of .npy files."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, final

import numpy as np
from numpy.lib import format as npy

from lowrank_blocks.checkpoints.tensors import Array, Checkpoint, CheckpointError, TensorInfo


@final
class NpzCheckpoint(Checkpoint):
    """Arrays of a .npz archive, by key."""

    def __init__(self, path: Path) -> None:
        self.path, self.config = path, {}
        self.tensors: dict[str, TensorInfo] = {}
        try:
            with zipfile.ZipFile(path) as archive:
                for member in archive.namelist():
                    if member.endswith(".npy"):
                        with archive.open(member) as stream:
                            self._add(member, _header(stream, path)[0])
        except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
            raise CheckpointError(f"{path} must be an intact .npz archive: {error}.") from None

    def _add(self, member: str, info: TensorInfo) -> None:
        name = member.removesuffix(".npy")
        if name in self.tensors:
            raise CheckpointError(f"{self.path}: array {name!r} must be stored once, got it twice.")
        self.tensors[name] = info

    def read(self, name: str) -> Array:
        """Return one array; the others are not read."""
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                return np.asarray(archive[name])
        except (zipfile.BadZipFile, OSError, EOFError, ValueError) as error:
            raise CheckpointError(f"{self.path}: array {name!r} must be intact: {error}.") from None


@final
class NpyFolder(Checkpoint):
    """The .npy files of a folder, by their names."""

    def __init__(self, path: Path) -> None:
        self.path, self.config = path, {}
        self.tensors: dict[str, TensorInfo] = {}
        for file in sorted(path.glob("*.npy")):
            try:
                with file.open("rb") as stream:
                    self.tensors[file.stem], end = _header(stream, file)
            except (OSError, EOFError, ValueError) as error:
                raise CheckpointError(f"{file} must be an intact .npy file: {error}.") from None
            size = file.stat().st_size
            if size < end:
                raise CheckpointError(
                    f"{file} must have the {end} bytes that its header asks for, got {size}."
                )

    def read(self, name: str) -> Array:
        """Return one array, mapped into memory."""
        return np.asarray(np.load(self.tensors[name].file, mmap_mode="r", allow_pickle=False))


def _header(stream: IO[bytes], file: Path) -> tuple[TensorInfo, int]:
    """Read the header of an array, and return where the array ends."""
    version = npy.read_magic(stream)
    reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = reader(stream)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects, which are refused because loading them can run any code")
    return TensorInfo(shape, dtype.name, file), stream.tell() + math.prod(shape) * dtype.itemsize
