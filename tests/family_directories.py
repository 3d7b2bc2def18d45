"""Directories of adapters of every family, as tests write, change and read them."""

import json

import pytest
from families import KINDS
from family_targets import base_of, normal
from safetensors.numpy import load_file, save_file

import lowrank_blocks as lb

P = lb.peft
SHAPES = [(12, 12), (8, 24), (24, 8), (9, 7), (10, 13)]
NAMES = "layers.0.query.weight", "layers.1.mlp.up.weight"
KINDS_IN_FILES = [kind for kind in KINDS if not kind.make(12, 12).unwritten]
MADE = {kind.name: kind.make(12, 12) for kind in KINDS_IN_FILES}
CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"


def cases():
    return pytest.mark.parametrize(
        ("kind", "shape"),
        [
            pytest.param(
                kind,
                shape,
                id=f"{kind.name}-{shape[0]}x{shape[1]}",
                marks=() if shape == (12, 12) else pytest.mark.exhaustive,
            )
            for kind in KINDS_IN_FILES
            for shape in SHAPES
            if kind.fits(*shape)
        ],
    )


def checkpoints(m, n):
    updates = {name: normal(m, n, seed) for seed, name in enumerate(NAMES)}
    base = {name: base_of(dW) for name, dW in updates.items()}
    return base, {name: W + updates[name] for name, W in base.items()}


def written(folder, family, m=12, n=12):
    """Write an adapter of a family; return the base and the dense updates."""
    base, new = checkpoints(m, n)
    fits = {name: family.nearest(new[name] - W, base=W) for name, W in base.items()}
    P.write(folder, fits, dtype="float64")
    return base, {name: fit.to_dense() for name, fit in fits.items()}


def as_lora(folder, out, base, m=12, n=12):
    """Convert to LoRA of full rank; return the products of the factors in its file."""
    made = lb.convert(folder, out, P.LoRA(min(m, n)), base=base, dtype="float64")
    assert made.failed == {}
    stored = load_file(out / TENSORS)
    keys = {name: f"base_model.model.{name.removesuffix('weight')}lora_" for name, *_ in made.table.rows}
    return {name: stored[key + "B.weight"] @ stored[key + "A.weight"] for name, key in keys.items()}


def edited(folder, **fields):
    """Change fields of a configuration; those that are an Ellipsis are taken away."""
    config = json.loads((folder / CONFIG).read_text()) | fields
    (folder / CONFIG).write_text(json.dumps({k: v for k, v in config.items() if v is not ...}))


def with_tensors(folder, change):
    tensors = load_file(folder / TENSORS)
    change(tensors)
    save_file(tensors, folder / TENSORS)
