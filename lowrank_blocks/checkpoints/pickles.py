"""Tensors of PyTorch's .bin and .pt files, by torch's loader that runs no code."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self, final

import numpy as np

from lowrank_blocks.checkpoints.safetensors import numpy_type
from lowrank_blocks.checkpoints.tensors import Array, Checkpoint, CheckpointError, TensorInfo


@final
class TorchCheckpoint(Checkpoint):
    """A state dict saved by torch, mapped into memory; anything but tensors is refused.

    Another process gets the places of the files, and maps them itself.
    """

    def __init__(self, path: Path, files: list[Path], config: Mapping[str, Any] | None = None) -> None:
        self.path, self.config = path, config or {}
        self.tensors: dict[str, TensorInfo] = {}
        self._states: dict[Path, dict[str, Any]] = {}
        for file in files:
            for name, value in self._state(file).items():
                dtype = str(value.dtype).removeprefix("torch.")
                self.tensors[name] = TensorInfo(tuple(value.shape), dtype, file)

    def read(self, name: str) -> Array:
        """Return a tensor in the type that the file stores."""
        import torch

        info = self.tensors[name]
        value, dtype = self._state(info.file)[name].contiguous(), info.dtype
        if dtype.startswith(("bfloat16", "float8")):
            raw = value.view(torch.int16 if dtype == "bfloat16" else torch.uint8).numpy()
            return np.asarray(raw.view(numpy_type(dtype, f"{self.path}: tensor {name!r}")))
        return np.asarray(value.numpy())

    def only(self, names: Iterable[str]) -> Self:
        """Return the same with some of its tensors; in this process the files stay mapped."""
        part = super().only(names)
        part._states = self._states
        return part

    def _state(self, file: Path) -> dict[str, Any]:
        if file not in self._states:
            self._states[file] = _state(file)
        return self._states[file]

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_states": {}}


def _state(file: Path) -> dict[str, Any]:
    try:
        import torch
    except ModuleNotFoundError:
        raise ModuleNotFoundError(f"reading {file.name} needs PyTorch: pip install torch") from None
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, ValueError, EOFError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{file} must be a state dict of tensors that loads without running code: {reason}"
        ) from None
    if not isinstance(loaded, dict) or not all(isinstance(v, torch.Tensor) for v in loaded.values()):
        raise CheckpointError(f"{file} must be a state dict of tensors, got a {type(loaded).__name__}.")
    return loaded
