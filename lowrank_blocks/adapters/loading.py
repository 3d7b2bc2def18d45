"""Adapters in: LoRA directories that PEFT or `write_adapter` has written."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lowrank_blocks.adapters.adapter import Adapter
from lowrank_blocks.adapters.naming import PREFIX
from lowrank_blocks.adapters.written import CONFIG, TENSORS
from lowrank_blocks.checkpoints.safetensors import SafetensorsCheckpoint
from lowrank_blocks.checkpoints.tensors import CheckpointError

# Variants of LoRA whose update is not B A, or not of the weights that the base has.
_VARIANTS = (
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "alora_invocation_tokens",
    "arrow_config",
    "layer_replication",
    "lora_bias",
    "kasa_config",
    "target_parameters",
    "trainable_token_indices",
)
PLAIN_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")  # that leave the base as it is
_ENDS = {
    "lora_A.weight": ("lora_A.weight", "lora_B.weight"),
    "lora_embedding_A": ("lora_embedding_A", "lora_embedding_B"),
}
_DEFAULT = 8  # PEFT's r and alpha where the configuration has none
_FACTOR = re.compile(r"\.lora_")


def load_adapter(path: str | os.PathLike[str]) -> Adapter:
    """Read a LoRA adapter that PEFT or `write_adapter` has written.

    Parameters
    ----------
    path : path
        A directory with ``adapter_config.json`` and ``adapter_model.safetensors``.

    Returns
    -------
    Adapter
        Its factors by the names of the weights, scales included: ``alpha / r``, or ``alpha / sqrt(r)`` for
        rsLoRA, and what the patterns of the configuration say of single modules.

    Raises
    ------
    CheckpointError
        If a file is missing or damaged, or the adapter is no plain LoRA, such as DoRA; the message names the
        file and the reason.
    ModuleNotFoundError
        If an extra is missing; the message gives the line that installs it.

    Examples
    --------
    >>> import numpy as np, tempfile, lowrank_blocks as lb
    >>> best = lb.approximate(np.diag([4.0, 3.0, 0.0]), lb.Global(), rank=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = lb.write_adapter(folder, {"query.weight": best})
    ...     b, a = lb.load_adapter(folder).read("query.weight")
    >>> (b @ a).round(6) + 0
    array([[4., 0., 0.],
           [0., 0., 0.],
           [0., 0., 0.]])
    """
    folder = Path(path)
    config = _plain(folder / CONFIG)
    file, tensors = read_tensors(folder), folder / TENSORS
    keys, whole = _sorted_keys(file, tensors)
    shapes = {name: _shape(file, name, pair, tensors) for name, pair in keys.items()}
    names = tuple(keys)
    ranks = {name: file.tensors[pair[0]].shape[0] for name, pair in keys.items()}
    return Adapter(
        path=folder,
        config=config,
        names=names,
        shapes=shapes,
        ranks=ranks,
        scales={name: _scale(config, name, rank, folder / CONFIG) for name, rank in ranks.items()},
        flipped=names if config.get("fan_in_fan_out") else (),
        embeddings=tuple(name for name in names if keys[name][0].endswith("lora_embedding_A")),
        whole=tuple(whole),
        _file=file,
        _keys=keys,
        _whole_keys=whole,
    )


def read_tensors(folder: Path) -> SafetensorsCheckpoint:
    """Return the tensors of an adapter directory, of which headers are read."""
    if not (folder / TENSORS).is_file():
        raise CheckpointError(f"{folder} must hold {TENSORS}, got none.")
    return SafetensorsCheckpoint(folder, [folder / TENSORS])


def read_config(file: Path) -> dict[str, Any]:
    """Return the configuration of an adapter."""
    if not file.is_file():
        raise CheckpointError(f"{file.parent} must be an adapter directory, got no {file.name} there.")
    try:
        config = json.loads(file.read_bytes())
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise CheckpointError(f"{file} must be a JSON object.")
    return config


def _plain(file: Path) -> dict[str, Any]:
    """Return the configuration, if it is that of an adapter whose update is B A."""
    config = read_config(file)
    kind = config.get("peft_type")
    if kind != "LORA":
        raise CheckpointError(
            f"{file} must have the peft_type 'LORA', got {kind!r}, whose update is not one B A."
        )
    used = next((name for name in _VARIANTS if config.get(name)), None)
    if used:
        raise CheckpointError(
            f"{file} must be of plain LoRA, got {used}, with which the update is not B A alone."
        )
    start = config.get("init_lora_weights", True)
    if start not in PLAIN_STARTS:
        raise CheckpointError(
            f"{file} must be for the weights of the base, got init_lora_weights={start!r}, which changes "
            "them; convert it first, by path_initial_model_for_weight_conversion of PEFT's save_pretrained."
        )
    return config


def _sorted_keys(
    file: SafetensorsCheckpoint, where: Path
) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """Return the keys of the factors, and of the whole tensors, by the names of the weights."""
    factors: dict[str, tuple[str, str]] = {}
    whole: dict[str, str] = {}
    used: set[str] = set()
    for key in sorted(file.tensors):
        if not key.startswith(PREFIX):
            raise CheckpointError(f"{where}: tensor {key!r} must be named {PREFIX}..., as PEFT does.")
        for end, pair in _ENDS.items():
            if key.endswith("." + end):
                module = key.removeprefix(PREFIX).removesuffix("." + end)
                both = f"{PREFIX}{module}.{pair[0]}", f"{PREFIX}{module}.{pair[1]}"
                if both[1] not in file.tensors:
                    raise CheckpointError(
                        f"{where}: tensor {key!r} must have a partner {both[1]!r}, got none."
                    )
                factors[module + ".weight"] = both
                used |= set(both)
    for key in sorted(set(file.tensors) - used):
        if _FACTOR.search(key):
            raise CheckpointError(
                f"{where}: tensor {key!r} must belong to a pair of plain LoRA, got none for it."
            )
        whole[whole_name(key)] = key
    if not factors:
        raise CheckpointError(f"{where} must hold factors of LoRA, got none.")
    return factors, whole


def whole_name(key: str) -> str:
    """Return the name in the base model of a tensor that is stored whole."""
    return key.removeprefix(PREFIX).replace(".base_layer.", ".")


def _shape(file: SafetensorsCheckpoint, name: str, pair: tuple[str, str], where: Path) -> tuple[int, int]:
    """Return the shape of an update, if its factors fit each other."""
    first, second = (file.tensors[key].shape for key in pair)
    if len(first) != 2 or len(second) != 2 or first[0] != second[1] or 0 in (*first, *second):
        raise CheckpointError(
            f"{where}: factors of {name!r} must be (r, n) and (m, r) matrices, got shapes {first} and "
            f"{second}."
        )
    side, other = second[0], first[1]
    return (other, side) if pair[0].endswith("lora_embedding_A") else (side, other)


def _scale(config: Mapping[str, Any], name: str, rank: int, file: Path) -> float:
    """Return what the product of the factors of a weight is multiplied by."""
    module = name.removesuffix(".weight")
    said = of_pattern(config, "rank_pattern", module, config.get("r", _DEFAULT), file)
    alpha = of_pattern(config, "alpha_pattern", module, config.get("lora_alpha", _DEFAULT), file)
    if said != rank:
        raise CheckpointError(f"{file} must give {name!r} the rank of its factors, {rank}, got {said!r}.")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise CheckpointError(f"{file} must give {name!r} a finite alpha, got {alpha!r}.")
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def of_pattern(config: Mapping[str, Any], pattern: str, module: str, default: Any, file: Path) -> Any:
    """Return what a pattern of the configuration says of a module, by PEFT's rule."""
    entries = config.get(pattern) or {}
    if not isinstance(entries, dict):
        raise CheckpointError(f"{file}: {pattern} must be an object, got {entries!r}.")
    try:
        found = (value for key, value in entries.items() if re.match(rf"(.*\.)?({key})$", module))
        return next(found, default)
    except re.error as error:
        raise CheckpointError(f"{file}: {pattern} must have regular expressions as keys: {error}.") from None
