"""The files of an adapter directory."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

from lowrank_blocks._validation import Matrix
from lowrank_blocks._version import __version__
from lowrank_blocks.adapters.card import model_card
from lowrank_blocks.adapters.naming import target_pattern
from lowrank_blocks.adapters.plan import Plan
from lowrank_blocks.adapters.rest import Rest
from lowrank_blocks.adapters.written import CARD, CONFIG, RECORD, TENSORS, WrittenAdapter
from lowrank_blocks.solver.approximation import Approximation


def configuration(
    made: Plan,
    held: Mapping[str, tuple[Approximation, int]],
    rest: Rest,
    base_model: str | None,
    *,
    conv1d: bool,
) -> dict[str, Any]:
    """Return the contents of ``adapter_config.json``.

    Parameters
    ----------
    made : Plan
        The kind of adapter.
    held : dict of str to (Approximation, int)
        By module, what it holds, and its r.
    rest : Rest
        Whole tensors.
    base_model : str or None
        Name of the base.
    conv1d : bool
        Whether weights are stored as (in, out).
    """
    only = "gralora_only" if made.family.name == "gralora" else "lora_only"
    return made.family.config(held) | {
        "base_model_name_or_path": base_model,
        "bias": only if rest.bias == "only" else rest.bias,
        "fan_in_fan_out": conv1d,
        "inference_mode": True,
        "modules_to_save": list(rest.modules) or None,
        "target_modules": target_pattern(held),
        "task_type": None,
    }


def contents(
    written: WrittenAdapter,
    config: Mapping[str, Any],
    tensors: Mapping[str, Matrix],
    base_model: str | None,
    metadata: Any,
) -> dict[str, str | bytes]:
    """Return the contents of all files by name, the configuration last."""
    versions = {"lowrank_blocks": __version__, "numpy": np.__version__, "python": platform.python_version()}
    record = written.to_record() | {"base_model": base_model, "metadata": metadata, "versions": versions}
    return {
        TENSORS: as_safetensors(tensors),
        RECORD: as_json(record),
        CARD: model_card(written, base_model, __version__),
        CONFIG: as_json(config),
    }


def as_json(value: Any) -> str:
    """Return plain values as JSON whose keys are sorted."""
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"


def as_safetensors(tensors: Mapping[str, Matrix]) -> bytes:
    """Return the contents of a .safetensors file."""
    try:
        from safetensors.numpy import save
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "writing adapters needs safetensors: pip install 'lowrank_blocks[adapters]'"
        ) from None
    return bytes(save(dict(sorted(tensors.items())), metadata={"format": "pt"}))
