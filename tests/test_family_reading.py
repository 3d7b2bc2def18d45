"""Adapters of every family read back: a file adds what the fit said, by the formulas of PEFT."""

import json

import numpy as np
import pytest
from family_directories import (
    CONFIG,
    KINDS_IN_FILES,
    MADE,
    NAMES,
    TENSORS,
    as_lora,
    cases,
    checkpoints,
    edited,
    with_tensors,
    written,
)
from family_targets import normal, size
from peft_formulas import tuned
from safetensors.numpy import load_file

import lowrank_blocks as lb
from lowrank_blocks.peft.family import Readable, TellsShape
from lowrank_blocks.peft.registry import FAMILIES

P = lb.peft


@cases()
def test_extraction_and_conversion_to_lora_keep_the_update(tmp_path, kind, shape):
    base, new = checkpoints(*shape)
    family = kind.make(*shape)

    lb.extract_family(base, new, tmp_path / "a", family, dtype="float64")
    found = as_lora(tmp_path / "a", tmp_path / "b", base, *shape)

    for name, W in base.items():
        dW = new[name] - W
        want = family.nearest(dW, base=W).to_dense()
        assert np.linalg.norm(found[name] - want) <= 1e-12 * size(W, dW)


@pytest.mark.parametrize("kind", KINDS_IN_FILES, ids=lambda kind: kind.name)
def test_the_base_is_asked_for_where_it_is_needed(tmp_path, kind):
    shape = (8, 24) if kind.fits(8, 24) else (12, 12)
    family = kind.make(*shape)
    base, updates = written(tmp_path / "a", family, *shape)

    if isinstance(family, TellsShape) or family.packed:
        found = as_lora(tmp_path / "a", tmp_path / "b", None, *shape)
        for weight, want in updates.items():
            assert np.linalg.norm(found[weight] - want) <= 1e-12 * size(base[weight], want)
    else:
        name = type(family).__name__
        with pytest.raises(ValueError, match=f"base must be given for {name} in .*a, whose"):
            lb.convert(tmp_path / "a", tmp_path / "b", P.LoRA(1))
        assert not (tmp_path / "b").exists()


def test_every_family_with_a_file_is_read_or_packed():
    for family in FAMILIES:
        assert issubclass(family, Readable) != (family.packed or bool(family.unwritten)), family


SCALED = {  # what is changed in the file, and the family whose file it is
    "lora": {"lora_alpha": 7.5},
    "rslora": {"lora_alpha": 16},
    "dora": {"lora_alpha": 5},
    "bdlora A": {"lora_alpha": 1},
    "kasa": {"lora_alpha": 9},
    "adalora": {"lora_alpha": 32},
    "gralora 2": {"alpha": 64},
    "deft": {"alpha": 6},
    "loha": {"alpha": 8},
    "lokr": {"alpha": 4},
    "fourierft": {"scaling": 150.0},
    "waveft": {"scaling": 25.0},
    "randlora": {"randlora_alpha": 640},
}


def test_all_families_with_a_scale_are_scaled_here():
    kinds = {type(MADE[name]) for name in SCALED}
    assert kinds == {f for f in FAMILIES if issubclass(f, Readable) and f.reading.scale}


@pytest.mark.parametrize("name", SCALED)
def test_scales_are_those_of_the_formulas(tmp_path, name):
    base, _ = written(tmp_path / "a", MADE[name])
    edited(tmp_path / "a", **SCALED[name])
    config, stored = json.loads((tmp_path / "a" / CONFIG).read_text()), load_file(tmp_path / "a" / TENSORS)

    found = as_lora(tmp_path / "a", tmp_path / "b", base)

    for weight, W in base.items():
        prefix = f"base_model.model.{weight.removesuffix('weight')}"
        want = tuned({key.removeprefix(prefix): t for key, t in stored.items()}, config, W) - W
        assert np.linalg.norm(found[weight] - want) <= 1e-12 * size(W, want)


@pytest.mark.parametrize("kind", ["lora", "gralora", "bdlora"])
def test_what_write_adapter_writes_is_read(tmp_path, kind):
    structure = {"lora": lb.Global(), "gralora": lb.Localized(2), "bdlora": lb.Localized(1, 2)}[kind]
    best = {name: lb.approximate(normal(12, 12, k), structure, rank=2 + k) for k, name in enumerate(NAMES)}
    lb.write_adapter(tmp_path / "a", best, format=kind)

    found = as_lora(tmp_path / "a", tmp_path / "b", None)

    for name, approximation in best.items():
        assert np.abs(found[name] - approximation.to_dense()).max() <= 1e-6


def test_patterns_speak_of_single_modules(tmp_path):
    fits = {name: P.LoRA(2).nearest(normal(12, 12, k)) for k, name in enumerate(NAMES)}
    P.write(tmp_path / "a", fits, dtype="float64")
    edited(tmp_path / "a", r=5, lora_alpha=10, rank_pattern={"query": 2, "up": 2}, alpha_pattern={"up": 6})

    found = as_lora(tmp_path / "a", tmp_path / "b", None)

    for name, times in zip(NAMES, (5, 3), strict=True):
        np.testing.assert_allclose(found[name], times * fits[name].to_dense(), rtol=0, atol=1e-11)


def test_ranks_above_the_shape_are_read(tmp_path):
    """PEFT makes them of a rank for all layers, where one is small."""
    written(tmp_path / "a", P.LoRA(3), 3, 12)
    rng = np.random.default_rng(0)

    def grow(tensors):
        for key in tensors:
            tensors[key] = rng.standard_normal((5, 12) if "lora_A" in key else (3, 5))

    with_tensors(tmp_path / "a", grow)
    edited(tmp_path / "a", r=5, lora_alpha=5)
    stored = load_file(tmp_path / "a" / TENSORS)

    found = as_lora(tmp_path / "a", tmp_path / "b", None, 3, 12)

    key = "base_model.model.layers.0.query.lora_"
    want = stored[key + "B.weight"] @ stored[key + "A.weight"]
    np.testing.assert_allclose(found[NAMES[0]], want, rtol=0, atol=1e-12 * np.linalg.norm(want))


def test_ia3_tells_columns_by_the_end_of_a_path(tmp_path):
    base, new = checkpoints(12, 9)
    fits = {
        name: P.IA3(axis).nearest(new[name] - base[name], base=base[name])
        for name, axis in zip(NAMES, ("rows", "columns"), strict=True)
    }
    folders = tmp_path / "rows", tmp_path / "columns"
    for folder, (name, fit) in zip(folders, fits.items(), strict=True):
        P.write(folder, {name: fit}, dtype="float64")
    columns = load_file(folders[1] / TENSORS)
    with_tensors(folders[0], lambda tensors: tensors.update(columns))
    edited(folders[0], feedforward_modules=["mlp.up"], target_modules=["query", "up"])

    found = as_lora(folders[0], tmp_path / "b", base, 12, 9)

    for name, fit in fits.items():
        np.testing.assert_allclose(found[name], fit.to_dense(), rtol=0, atol=1e-11)


def test_whole_tensors_are_left_out_by_name(tmp_path):
    written(tmp_path / "a", P.LoRA(2))
    whole = {
        "base_model.model.norm.weight": np.ones(3),
        "base_model.model.layers.0.query.base_layer.bias": np.ones(12),
    }
    with_tensors(tmp_path / "a", lambda tensors: tensors.update(whole))
    edited(tmp_path / "a", modules_to_save=["norm"], bias="lora_only")

    made = lb.convert(tmp_path / "a", tmp_path / "b", P.LoRA(2))

    assert made.left_out.rows == (
        ("layers.0.query.bias", "stored whole"),
        ("norm.weight", "stored whole"),
    )


def test_modules_share_the_largest_projections_and_take_parts_of_them(tmp_path):
    base, _ = written(tmp_path / "a", P.VeRA(5))
    found = as_lora(tmp_path / "a", tmp_path / "b", base)

    def grow(tensors):
        for end, pad in (("A", ((0, 0), (0, 4))), ("B", ((0, 3), (0, 0)))):
            key = f"base_model.vera_{end}"
            tensors[key] = np.pad(tensors[key], pad, constant_values=9)

    with_tensors(tmp_path / "a", grow)

    again = as_lora(tmp_path / "a", tmp_path / "c", base)
    for name in NAMES:
        assert np.array_equal(found[name], again[name])
