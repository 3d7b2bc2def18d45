"""Adapters of any family from two checkpoints, and from a LoRA."""

import json

import ml_dtypes
import numpy as np
import pytest
from peft_formulas import tuned
from safetensors.numpy import load_file, save_file

import lowrank_blocks as lb

P = lb.peft
FAMILIES = [
    P.LoRA(3),
    P.GraLoRA(4, k=2),
    P.OFT(4),
    P.C3A(4),
    P.MiSS(4),
    P.IA3("columns"),
    P.LoHa(2),
    P.SHiRA(2),
]


def checkpoints():
    rng = np.random.default_rng(0)
    base = {f"layers.{k}.query.weight": rng.standard_normal((12, 12)) for k in range(2)}
    base |= {"layers.0.query.bias": rng.standard_normal(12)}
    return base, {name: W + 0.1 * rng.standard_normal(W.shape) for name, W in base.items()}


def read(folder, name, W):
    """Return the weight that a directory makes of W, by the formulas of PEFT."""
    config = json.loads((folder / "adapter_config.json").read_text())
    stored = load_file(folder / "adapter_model.safetensors")
    prefix = f"base_model.model.{name.removesuffix('.weight')}."
    tensors = {key.removeprefix(prefix): t for key, t in stored.items() if key.startswith(prefix)}
    wide = {key: t if t.dtype.kind == "i" else t.astype(np.float64) for key, t in tensors.items()}
    return tuned(wide, config, W)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_extraction(tmp_path, family, dtype):
    base, new = checkpoints()

    made = lb.extract_family(base, new, tmp_path, family, dtype=dtype)

    names = [name for name in base if name.endswith("weight")]
    assert [row[0] for row in made.table.rows] == names
    errors, norms = [], []
    for name, row in zip(names, made.table.rows, strict=True):
        dW = new[name] - base[name]
        fit = family.nearest(dW, base=base[name])
        left = np.linalg.norm(new[name] - read(tmp_path, name, base[name]))
        assert row[1:3] == (fit.n_parameters, fit.relative_error)
        assert row[3] == pytest.approx(left / np.linalg.norm(dW), rel=1e-9)
        assert row[4] == fit.guarantee.value
        errors.append(left)
        norms.append(np.linalg.norm(dW))
    assert made.stored == pytest.approx(np.hypot(*errors) / np.hypot(*norms), rel=1e-9)
    assert made.stored == pytest.approx(made.relative_error, rel=1e-3)
    assert made.failed == {}
    assert repr(made).startswith(f"FamilyExtraction({family!r} in ")
    assert "layers.0.query.weight" in str(made)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_conversion_of_a_lora(tmp_path, family):
    base, new = checkpoints()
    names = [name for name in base if name.endswith("weight")]
    loras = {name: P.LoRA(3).nearest(new[name] - base[name]) for name in names}
    P.write(tmp_path / "lora", loras)
    base_given = base if family.needs_base else None

    made = lb.convert(tmp_path / "lora", tmp_path / "other", family, base=base_given, dtype="float64")

    for row, name in zip(made.table.rows, names, strict=True):
        b, a = lb.load_adapter(tmp_path / "lora").read(name)
        assert row[2] == family.nearest(b @ a, base=base[name]).relative_error
        got = read(tmp_path / "other", name, base[name]) - base[name]
        assert np.linalg.norm(b @ a - got) == pytest.approx(row[3] * np.linalg.norm(b @ a), abs=1e-12)
    if family == P.LoRA(3):
        assert made.relative_error <= 1e-12


@pytest.mark.parametrize("family", [P.OFT(4), P.GraLoRA(4, k=2)], ids=repr)
def test_extract_takes_families(tmp_path, family):
    base, new = checkpoints()
    given = {"dtype": "float64", "base_model": "a model", "include": "layers.0"}

    made = lb.extract(base, new, tmp_path / "a", structure=family, **given)

    same = lb.extract_family(base, new, tmp_path / "b", family, **given)
    assert (made.table, made.relative_error) == (same.table, same.relative_error)
    assert [row[0] for row in made.table.rows] == ["layers.0.query.weight"]
    assert dict(made.left_out.rows) == {
        "layers.0.query.bias": "not 2-D: shape (12,)",
        "layers.1.query.weight": "not included",
    }
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    "given",
    [
        {"rank": 4},
        {"budget": 0},
        {"ranks": "uniform"},
        {"format": "lora"},
        {"save_rest": True},
        {"plan": 1},
        {"row_weights": {}},
        {"col_weights": {}},
        {"executor": 1},
        {"command": "a"},
    ],
    ids=str,
)
def test_what_a_family_has_no_use_for_is_refused(tmp_path, given):
    (name,) = given
    with pytest.raises(TypeError, match=f"{name} must not come with a family"):
        lb.extract(*checkpoints(), tmp_path / "out", structure=P.OFT(4), **given)
    assert not (tmp_path / "out").exists()


def test_embeddings_are_left_out(tmp_path):
    base, new = checkpoints()
    base["embed_tokens.weight"], new["embed_tokens.weight"] = np.eye(9), 2 * np.eye(9)

    made = lb.extract_family(base, new, tmp_path, P.LoRA(2))

    assert ("embed_tokens.weight", "embedding") in made.left_out.rows
    assert len(made.table.rows) == 2


@pytest.mark.parametrize("family", [P.LoRA(3), P.GraLoRA(4, k=2), P.HiRA(2), P.IA3("rows")], ids=repr)
def test_weights_stored_as_in_and_out(tmp_path, family):
    """The same as for the transposed weights, but for the field that says so; and back without a loss."""
    rng = np.random.default_rng(0)
    W, dW = rng.standard_normal((12, 8)), rng.standard_normal((12, 8))
    want, turned = family.nearest(dW, base=W).to_dense(), {"q.weight": W.T.copy()}

    lb.extract_family({"q.weight": W}, {"q.weight": W + dW}, tmp_path / "a", family, dtype="float64")
    lb.extract_family(
        turned, {"q.weight": (W + dW).T}, tmp_path / "b", family, dtype="float64", fan_in_fan_out=True
    )
    lb.convert(tmp_path / "b", tmp_path / "c", P.LoRA(8), base=turned, dtype="float64")

    configs = [json.loads((tmp_path / x / "adapter_config.json").read_text()) for x in "abc"]
    assert configs[1] == configs[0] | {"fan_in_fan_out": True}
    assert configs[2]["fan_in_fan_out"] is True
    for folder in "abc":
        found = read(tmp_path / folder, "q.weight", W) - W
        np.testing.assert_allclose(found, want, rtol=0, atol=1e-12 * np.linalg.norm(W))


def test_the_base_of_a_quantized_checkpoint_has_its_scales(tmp_path):
    stored = np.random.default_rng(0).integers(-8, 8, (12, 8)).astype(ml_dtypes.float8_e4m3fn)
    scale, W = np.float32([[0.25]]), stored.astype(np.float64) / 4
    files = tmp_path / "base.safetensors", tmp_path / "tuned.safetensors"
    save_file({"q.weight": stored, "q.weight_scale": scale}, files[0])
    save_file({"q.weight": stored, "q.weight_scale": 2 * scale}, files[1])

    made = lb.extract_family(*files, tmp_path, P.IA3("rows"))

    assert made.relative_error <= 1e-12
    np.testing.assert_allclose(read(tmp_path, "q.weight", W), 2 * W)


def test_families_that_are_not_for_such_weights_are_refused(tmp_path):
    base, new = checkpoints()
    with pytest.raises(
        ValueError, match=r"family must fit a matrix, got OFT.*'layers.0.query.weight' must be stored"
    ):
        lb.extract_family(base, new, tmp_path / "a", P.OFT(4), fan_in_fan_out=True)
    fits = {"q.weight": P.MiSS(2).nearest(np.eye(4))}
    with pytest.raises(ValueError, match=r"'q.weight' must be stored with output features first for MiSS"):
        P.write(tmp_path / "a", fits, flipped=["q.weight"])
    P.write(tmp_path / "a", fits, flipped=["other.weight"])


def test_a_matrix_that_the_family_does_not_fit_is_named(tmp_path):
    base, new = checkpoints()
    base["odd.weight"], new["odd.weight"] = np.eye(9), 2 * np.eye(9)

    made = lb.extract_family(base, new, tmp_path, P.GraLoRA(4, k=2))

    assert list(made.failed) == ["odd.weight"]
    assert "k must divide the rows" in made.failed["odd.weight"]
    assert len(made.table.rows) == 2


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("LoRA", "family must be a family with its setting such as lb.peft.LoRA"),
        (P.LoRA(13), "family must fit a matrix, got LoRA"),
        (P.PSOFT(2), "must have a format that PEFT loads"),
    ],
)
def test_bad_families(tmp_path, family, message):
    with pytest.raises((TypeError, ValueError), match=message):
        lb.extract_family(*checkpoints(), tmp_path / "out", family)
    assert not (tmp_path / "out").exists()


def test_bad_input(tmp_path):
    fit = P.LoRA(1).nearest(np.eye(4))
    P.write(tmp_path, {"q.weight": fit})

    with pytest.raises(ValueError, match="base must be given for OFT"):
        lb.convert(tmp_path, tmp_path / "out", P.OFT(2))
    with pytest.raises(ValueError, match="dtype must be one of"):
        lb.convert(tmp_path, tmp_path / "out", P.LoRA(1), dtype="int8")
