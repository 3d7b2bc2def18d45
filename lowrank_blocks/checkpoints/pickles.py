"""Tensors of PyTorch's .bin and .pt files, by torch's loader that runs no code."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np

from lowrank_blocks.checkpoints.safetensors import numpy_type
from lowrank_blocks.checkpoints.tensors import Array, Checkpoint, CheckpointError, TensorInfo


@final
class TorchCheckpoint(Checkpoint):
    """A state dict saved by torch, mapped into memory; anything but tensors is refused."""

    def __init__(self, path: Path, files: list[Path], config: Mapping[str, Any] | None = None) -> None:
        self.path, self.config = path, config or {}
        self.tensors: dict[str, TensorInfo] = {}
        self._values: dict[str, Any] = {}
        for file in files:
            for name, value in _state(file).items():
                dtype = str(value.dtype).removeprefix("torch.")
                self.tensors[name] = TensorInfo(tuple(value.shape), dtype, file)
                self._values[name] = value

    def read(self, name: str) -> Array:
        """Return a tensor in the type that the file stores."""
        import torch

        value, dtype = self._values[name].contiguous(), self.tensors[name].dtype
        if dtype.startswith(("bfloat16", "float8")):
            raw = value.view(torch.int16 if dtype == "bfloat16" else torch.uint8).numpy()
            return np.asarray(raw.view(numpy_type(dtype, f"{self.path}: tensor {name!r}")))
        return np.asarray(value.numpy())


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
