"""Which kind of checkpoint a path is."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import ArrayLike

from lowrank_blocks.checkpoints.archives import NpyFolder, NpzCheckpoint
from lowrank_blocks.checkpoints.pickles import TorchCheckpoint
from lowrank_blocks.checkpoints.safetensors import SafetensorsCheckpoint, shards
from lowrank_blocks.checkpoints.tensors import ArraysInMemory, Checkpoint, CheckpointError

Source: TypeAlias = str | os.PathLike[str] | Mapping[str, ArrayLike]

_READABLE = ".safetensors, .npz, .bin, .pt, .pth, a model directory, an index of shards or a folder of .npy"


def open_checkpoint(path: Source) -> Checkpoint:
    """Read the headers of a checkpoint; tensors are read when they are asked for.

    Parameters
    ----------
    path : path or dict of str to array_like
        A .safetensors file, the index of several, a model directory, a .npz archive, a folder of
        .npy files, or a .bin, .pt or .pth file, for which torch must be installed. A dict of arrays, or
        of PyTorch's tensors, may be given in place of a file.

    Raises
    ------
    CheckpointError
        If there is none, or it is damaged; the message names the file and the rule.
    ModuleNotFoundError
        If an extra is missing; the message gives the line that installs it.
    """
    if isinstance(path, Mapping):
        return ArraysInMemory(path)
    place = Path(path)
    if not place.exists():
        raise CheckpointError(f"{place} must be a checkpoint, got nothing there.")
    if place.is_dir():
        return _folder(place)
    if not stat.S_ISREG(place.stat().st_mode):
        raise CheckpointError(f"{place} must be a regular file or a folder.")
    config = _config(place.parent)
    if place.name.endswith(".safetensors.index.json"):
        return SafetensorsCheckpoint(place, shards(place), config)
    match place.suffix:
        case ".safetensors":
            return SafetensorsCheckpoint(place, [place], config)
        case ".npz":
            return NpzCheckpoint(place)
        case ".bin" | ".pt" | ".pth":
            return TorchCheckpoint(place, [place], config)
    raise CheckpointError(f"{place} must be one of {_READABLE}.")


def _folder(folder: Path) -> Checkpoint:
    if (folder / "adapter_config.json").exists():
        raise CheckpointError(
            f"{folder} is an adapter directory, not a checkpoint; read it with lb.load_adapter, "
            "or with --adapter on the command line."
        )
    config = _config(folder)
    for name in ("model.safetensors.index.json", "diffusion_pytorch_model.safetensors.index.json"):
        if (folder / name).is_file():
            return SafetensorsCheckpoint(folder, shards(folder / name), config)
    found = sorted(folder.glob("*.safetensors"))
    if found:
        return SafetensorsCheckpoint(folder, found, config)
    index = folder / "pytorch_model.bin.index.json"
    found = shards(index) if index.is_file() else sorted(folder.glob("pytorch_model*.bin"))
    if found:
        return TorchCheckpoint(folder, found, config)
    if any(folder.glob("*.npy")):
        return NpyFolder(folder)
    raise CheckpointError(f"{folder} must be one of {_READABLE}, got a folder with none of them.")


def _config(folder: Path) -> dict[str, Any]:
    file = folder / "config.json"
    if not file.is_file():
        return {}
    try:
        config = json.loads(file.read_bytes())
    except ValueError:
        raise CheckpointError(f"{file} must be a JSON object.") from None
    return config if isinstance(config, dict) else {}
