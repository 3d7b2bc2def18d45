"""Tensors of .safetensors files: one file, several shards, or a model directory."""

from __future__ import annotations

import json
import math
import mmap
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self, final

import numpy as np

from lowrank_blocks.checkpoints.tensors import Array, Checkpoint, CheckpointError, TensorInfo

_TYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}


@final
class SafetensorsCheckpoint(Checkpoint):
    """Tensors of some .safetensors files, mapped into memory and copied when they are read.

    Parameters
    ----------
    path : Path
        The file or folder that was asked for.
    files : sequence of Path
        The shards.
    config : dict, optional
        The contents of ``config.json``.
    """

    def __init__(self, path: Path, files: list[Path], config: Mapping[str, Any] | None = None) -> None:
        self.path, self.config = path, config or {}
        self.tensors: dict[str, TensorInfo] = {}
        self._offsets: dict[str, int] = {}
        for file in files:
            self._add(file)

    def _add(self, file: Path) -> None:
        start, header = _header(file)
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            if name in self.tensors:
                raise CheckpointError(f"{file}: tensor {name!r} must be stored once, got it in "
                                      f"{self.tensors[name].file.name}, too.")  # fmt: skip
            dtype = _TYPES.get(entry["dtype"], entry["dtype"])
            self.tensors[name] = TensorInfo(tuple(entry["shape"]), dtype, file)
            self._offsets[name] = start + entry["data_offsets"][0]

    def read(self, name: str) -> Array:
        """Return a tensor in the type that the file stores, as a read-only map of the file."""
        info = self.tensors[name]
        dtype = numpy_type(info.dtype, f"{info.file}: tensor {name!r}")
        if 0 in info.shape:
            return np.zeros(info.shape, dtype)
        with info.file.open("rb") as file:  # numpy's memmap takes longer to make
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        stored = np.frombuffer(mapped, dtype, math.prod(info.shape), self._offsets[name])
        return stored.reshape(info.shape)

    def only(self, names: Iterable[str]) -> Self:
        """Return the same with some of its tensors, and their places only."""
        part = super().only(names)
        part._offsets = {name: self._offsets[name] for name in part.tensors}
        return part


def numpy_type(name: str, where: str) -> np.dtype[Any]:
    """Return the dtype of a name, those of ml_dtypes included."""
    if name.startswith(("bfloat16", "float8")):
        try:
            import ml_dtypes
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                f"{where} is {name}, which needs ml_dtypes: pip install 'lowrank_blocks[checkpoints]'"
            ) from None
        kind: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return kind
    try:
        return np.dtype(name)
    except TypeError:
        raise CheckpointError(f"{where} must be of a known type, got {name}.") from None


def _header(file: Path) -> tuple[int, dict[str, Any]]:
    """Return where the data begin, and the header; the safetensors library has checked it first."""
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "reading .safetensors needs safetensors: pip install 'lowrank_blocks[checkpoints]'"
        ) from None
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        text = stream.read(length) if length <= 100_000_000 else b""
    _refuse_duplicates(file, text)
    try:
        with safe_open(file, framework="np"):
            pass
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file} must be an intact .safetensors file: {error}.") from None
    return 8 + length, json.loads(text)


def _refuse_duplicates(file: Path, text: bytes) -> None:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in items]
        for name in names:
            if names.count(name) > 1:
                raise CheckpointError(f"{file}: tensor {name!r} must be stored once, got it twice.")
        return dict(items)

    try:
        json.loads(text, object_pairs_hook=pairs)
    except CheckpointError:
        raise
    except ValueError:  # what is no JSON is for safe_open to refuse
        return


def shards(index: Path) -> list[Path]:
    """Return the files that an index names; all must be in its folder."""
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError):
        raise CheckpointError(f"{index} must be a JSON object with a weight_map.") from None
    files = []
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise CheckpointError(f"{index} must name files beside it, got {name!r}.")
        if not (index.parent / name).is_file():
            raise CheckpointError(f"{index} must name files that exist, got {name!r}, which is missing.")
        files.append(index.parent / name)
    return files
