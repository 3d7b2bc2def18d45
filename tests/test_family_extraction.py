"""Adapters of any family from two checkpoints, and from a LoRA."""

import json

import numpy as np
import pytest
from command import refused, run
from peft_formulas import tuned
from safetensors.numpy import load_file

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


# The command.


@pytest.fixture
def files(tmp_path):
    base, new = checkpoints()
    np.savez(tmp_path / "base.npz", **base)
    np.savez(tmp_path / "tuned.npz", **new)
    names = [name for name in base if name.endswith("weight")]
    P.write(tmp_path / "lora", {name: P.LoRA(3).nearest(new[name] - base[name]) for name in names})
    return tmp_path


def test_command_on_checkpoints(files, capsys):
    base, new = files / "base.npz", files / "tuned.npz"

    assert run("convert", "--base", base, "--tuned", new, "--family", "oft:4", "--out", files / "a") == 0

    out = capsys.readouterr().out
    made = lb.extract_family(base, new, files / "b", P.OFT(4))
    assert out == (
        f"{made.table.to_text()}relative error {made.relative_error:.4g}, as stored {made.stored:.4g}\n"
    )
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (files / "a" / name).read_bytes() == (files / "b" / name).read_bytes()


def test_command_on_an_adapter(files, capsys):
    assert (
        run("convert", files / "lora", "--family", "GraLoRA:4x2", "--dtype", "float64", "--out", files / "a")
        == 0
    )

    out = capsys.readouterr().out
    made = lb.convert(files / "lora", files / "b", P.GraLoRA(4, k=2), dtype="float64")
    assert out.startswith(made.table.to_text())


def test_command_names_what_does_not_fit(files, capsys):
    base, new = checkpoints()
    np.savez(files / "base.npz", **base, odd=np.eye(9))
    np.savez(files / "tuned.npz", **new, odd=2 * np.eye(9))
    arguments = ["--base", files / "base.npz", "--tuned", files / "tuned.npz", "--out", files / "a"]

    assert run("convert", *arguments, "--family", "c3a:4") == 1
    assert "odd is left out: b must divide the rows" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lora", "--family", "nothing"], "must be one of"),
        (["lora", "--family", "lora:a"], "must have numbers such as 8 or 8x2 after the colon, got 'lora:a'"),
        (["lora", "--family", "lora:0"], "r must be a positive integer, got 0"),
        (["lora", "--family", "lora:1x2x3"], "write lb.peft.LoRA"),
        (["--family", "lora:1"], "exactly one of ADAPTER and --tuned must be given"),
        (["--family", "lora:1", "--tuned", "tuned.npz"], "--base and --tuned must both be given"),
        (["lora", "--family", "lora:1", "--include", "q"], "--include must come with --base and --tuned"),
        (["lora", "--family", "oft:4"], "base must be given for OFT"),
    ],
)
def test_command_refuses(arguments, message, files, capsys, monkeypatch):
    monkeypatch.chdir(files)

    assert message in refused(capsys, "convert", *arguments, "--out", "new")
