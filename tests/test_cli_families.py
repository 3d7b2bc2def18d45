"""The commands that write adapters of families: ``convert``, and ``extract --family``."""

import numpy as np
import pytest
from command import refused, run
from test_family_extraction import checkpoints

import lowrank_blocks as lb

P = lb.peft


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
        f"\nleft out\n{made.left_out.to_text()}"
    )
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (files / "a" / name).read_bytes() == (files / "b" / name).read_bytes()


def test_extract_has_the_same_families(files, capsys):
    given = ["--base", files / "base.npz", "--tuned", files / "tuned.npz", "--family", "gralora:4x2"]

    printed = []
    for command in ("convert", "extract"):
        assert run(command, *given, "--out", files / command) == 0
        printed.append(capsys.readouterr().out)

    assert printed[0] == printed[1]
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (files / "convert" / name).read_bytes() == (files / "extract" / name).read_bytes()


@pytest.mark.parametrize(
    "option",
    [
        ["--rank", "4"],
        ["--budget", "4"],
        ["--ranks", "plan"],
        ["--structure", "global"],
        ["--blocks", "2"],
        ["--format", "lora"],
        ["--save-rest"],
        ["--workers", "2"],
        ["--dask", "here"],
        ["--dry-run"],
        ["--adapter", "lora"],
        ["--row-weights", "w.npz"],
        ["--col-weights", "w.npz"],
    ],
    ids=" ".join,
)
def test_extract_refuses_what_a_family_has_no_use_for(option, files, capsys):
    given = ["--base", files / "base.npz", "--tuned", files / "tuned.npz", "--family", "gralora:4x2"]

    assert f"{option[0]} must not be given with --family" in refused(
        capsys, "extract", *given, *option, "--out", files / "new"
    )
    assert "--base and --tuned must both be given" in refused(
        capsys, "extract", "--family", "oft:4", "--out", files / "new"
    )


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
        (["lora", "--family", "lora:1", "--fan-in-fan-out", "no"], "--fan-in-fan-out must come with --base"),
        (["lora", "--family", "oft:4"], "base must be given for OFT"),
    ],
)
def test_command_refuses(arguments, message, files, capsys, monkeypatch):
    monkeypatch.chdir(files)

    assert message in refused(capsys, "convert", *arguments, "--out", "new")
