"""``compare`` and ``extract`` on checkpoints: files, exit codes, resumption, workers."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from command import run
from safetensors.numpy import load_file, save_file

import lowrank_blocks as lb
from lowrank_blocks.checkpoints.updates import iter_updates
from lowrank_blocks.models.journal import FOLDER
from lowrank_blocks.models.rest import left_out

REPORTS = ["report.csv", "report.html", "report.json", "report.md"]
ADAPTER = ["README.md", "adapter_config.json", "adapter_model.safetensors", "lowrank_blocks.json"]


def write_pair(folder, count=4, side=16, **odd):
    """Write a base and a fine-tuned checkpoint; `odd` are tensors (base, tuned) besides."""
    rng = np.random.default_rng(0)
    base, tuned = {}, {}
    for k in range(count):
        name = f"layers.{k}.query.weight"
        base[name] = rng.standard_normal((side, side)).astype(np.float32)
        change = rng.standard_normal((side, 3)) @ rng.standard_normal((3, side)) + rng.standard_normal(
            (side, side)
        )
        tuned[name] = base[name] + change.astype(np.float32)
    for name, (before, after) in odd.items():
        base[name.replace("__", ".")], tuned[name.replace("__", ".")] = before, after
    for name, tensors in (("base", base), ("tuned", tuned)):
        save_file(tensors, folder / f"{name}.safetensors")
    return ["--base", str(folder / "base.safetensors"), "--tuned", str(folder / "tuned.safetensors")]


@pytest.fixture
def pair(tmp_path):
    bias = np.zeros(16, np.float32), np.ones(16, np.float32)
    return write_pair(tmp_path, layers__0__query__bias=bias)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_compare_writes_what_the_library_finds(pair, tmp_path, capsys):
    out = tmp_path / "report"
    assert run("compare", *pair, "--rank", "2", "--blocks", "2", "--out", str(out)) == 0
    structures = [lb.Global(), lb.DiagonalLocal(2), lb.Localized(2)]
    found = lb.compare_checkpoints(pair[1], pair[3], structures, rank=2)
    assert sorted(contents(out)) == REPORTS
    assert (out / "report.json").read_text() == found.to_json()
    assert (out / "report.csv").read_text() == found.to_csv()
    assert (out / "report.md").read_text() == found.to_markdown()
    assert capsys.readouterr().out == found.to_text()
    assert "layers.3.query.weight" in (out / "report.html").read_text()


@pytest.mark.parametrize("structure", ["global", "localized", "stripes", "column-stripes", "diagonal"])
def test_extract_writes_an_adapter(pair, tmp_path, capsys, structure):
    out = tmp_path / "adapter"
    options = ["--structure", structure, "--blocks", "2", "--ranks", "uniform", "--rank", "2"]
    assert run("extract", *pair, *options, "--out", str(out)) == 0
    assert sorted(contents(out)) == ADAPTER
    record = json.loads((out / "lowrank_blocks.json").read_text())
    text = capsys.readouterr().out
    assert "layers.0.query.bias  not 2-D: shape (16,)" in text
    assert f"--structure {structure}" in json.dumps(record)
    assert len(load_file(out / "adapter_model.safetensors")) == 8


def test_extracted_factors_are_the_best(pair, tmp_path):
    out = tmp_path / "adapter"
    assert run("extract", *pair, "--rank", "3", "--ranks", "uniform", "--out", str(out)) == 0
    tensors = load_file(out / "adapter_model.safetensors")
    base, tuned = load_file(pair[1]), load_file(pair[3])
    for k in range(4):
        stem = f"base_model.model.layers.{k}.query"
        product = tensors[f"{stem}.lora_B.weight"].astype(float) @ tensors[f"{stem}.lora_A.weight"]
        name = f"layers.{k}.query.weight"
        u, s, vt = np.linalg.svd(tuned[name].astype(float) - base[name])
        assert product == pytest.approx((u[:, :3] * s[:3]) @ vt[:3], abs=1e-5)


def test_extract_says_what_is_lost(pair, tmp_path):
    made = lb.extract(pair[1], pair[3], tmp_path / "adapter", structure=lb.Global(), rank=2)
    base, tuned = load_file(pair[1]), load_file(pair[3])
    norms = {name: float(np.linalg.norm(tuned[name].astype(float) - base[name])) for name in base}
    held = sum(norm**2 for name, norm in norms.items() if name.endswith("weight"))
    assert made.left_out.norms == {"layers.0.query.bias": pytest.approx(4.0)}
    assert made.left_out.share_held == pytest.approx(held / (held + 16))
    assert made.relative_error == pytest.approx(made.plan.relative_error, rel=1e-6)
    assert made.relative_error <= made.bound <= made.relative_error + 1e-6


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_norms_of_what_is_left_out_hold_at_every_scale(scale):
    changes = np.linspace(-1, 2, 70_000) * scale
    base = {"q.weight": np.zeros((2, 2)), "q.bias": np.zeros(70_000), "k.bias": np.zeros(2)}
    tuned = {"q.weight": scale * np.eye(2), "q.bias": changes, "k.bias": np.array([np.nan, 1.0])}
    lost = left_out(iter_updates(base, tuned), {"q.bias": "not 2-D", "k.bias": "not 2-D"}, scale, {})
    assert lost.norms["q.bias"] == pytest.approx(np.linalg.norm(changes / scale) * scale, rel=1e-12)
    assert lost.norms["k.bias"] is None


def test_a_plan_is_extracted_as_it_is(pair, tmp_path):
    structures = [lb.Global(), lb.DiagonalLocal(2)]
    plan = lb.plan(pair[1], pair[3], structures, rank=2)
    given = lb.extract(pair[1], pair[3], tmp_path / "given", plan=plan)
    made = lb.extract(pair[1], pair[3], tmp_path / "made", structure=structures, rank=2)
    assert contents(tmp_path / "given") == contents(tmp_path / "made")
    assert given.relative_error == made.relative_error == pytest.approx(plan.relative_error, rel=1e-6)


def test_matrices_that_a_plan_lacks_are_listed(pair, tmp_path):
    plan = lb.plan(pair[1], pair[3], [lb.Global()], rank=2, include="layers.[01]")
    made = lb.extract(pair[1], pair[3], tmp_path / "adapter", plan=plan)
    assert made.left_out.reasons["layers.3.query.weight"] == "not included"
    assert made.left_out.norms["layers.3.query.weight"] > 0
    assert 0.2 < made.left_out.share_held < 0.8


def test_save_rest_brings_biases_along(pair, tmp_path):
    assert run("extract", *pair, "--save-rest", "--rank", "1", "--out", str(tmp_path / "a")) == 0
    tensors = load_file(tmp_path / "a" / "adapter_model.safetensors")
    (key,) = (key for key in tensors if "bias" in key)
    assert tensors[key].tolist() == [1.0] * 16


@pytest.mark.parametrize("ranks", ["uniform", "adaptive", "plan"])
def test_an_adapter_is_made_smaller(pair, tmp_path, ranks):
    large, small = tmp_path / "large", tmp_path / "small"
    assert run("extract", *pair, "--rank", "6", "--ranks", "uniform", "--out", str(large)) == 0
    options = ["--blocks", "2", "--rank", "2", "--ranks", ranks]
    assert run("extract", "--adapter", str(large), *options, "--out", str(small)) == 0
    before, after = (load_file(folder / "adapter_model.safetensors") for folder in (large, small))
    left = norm = optimum = 0.0
    for k in range(4):
        stem = f"base_model.model.layers.{k}.query"
        old, new = (
            t[f"{stem}.lora_B.weight"].astype(float) @ t[f"{stem}.lora_A.weight"] for t in (before, after)
        )
        left, norm = left + np.sum((old - new) ** 2), norm + np.sum(old**2)
        optimum += np.sum(np.linalg.svd(old, compute_uv=False)[2:] ** 2)  # rank 2 everywhere
    assert sum(array.size for array in after.values()) <= 4 * 2 * 32 or ranks == "plan"
    if ranks == "uniform":
        assert left == pytest.approx(optimum, rel=1e-5)
    else:
        assert left <= optimum * (1 + 1e-6)


def test_options_of_checkpoints_do_not_go_with_an_adapter(tmp_path, capsys):
    for option in (["--base", "x", "--tuned", "y"], ["--include", "a"], ["--save-rest"], ["--workers", "2"]):
        line = refused(capsys, "extract", "--adapter", "a", *option, "--out", str(tmp_path / "out"))
        assert "--adapter" in line


@pytest.mark.parametrize("command", ["compare", "extract"])
def test_dry_run_writes_nothing(pair, tmp_path, capsys, command):
    out = tmp_path / "out"
    assert run(command, *pair, "--rank", "2", "--out", str(out), "--dry-run") == 0
    text = capsys.readouterr().out
    assert "rank 2 everywhere stores 256 numbers, 25.00% of the entries" in text
    assert run(command, *pair, "--budget", "140", "--out", str(out), "--dry-run") == 0
    assert "within the budget of 140 rank 1 everywhere stores 128 numbers" in capsys.readouterr().out
    assert not out.exists()


@pytest.mark.parametrize("command", ["compare", "extract"])
def test_nan_in_one_tensor_leaves_that_one_out(tmp_path, capsys, command):
    bad = np.full((16, 16), np.nan, np.float32)
    pair = write_pair(tmp_path, bad__weight=(np.zeros((16, 16), np.float32), bad))
    assert run(command, *pair, "--blocks", "2", "--rank", "1", "--out", str(tmp_path / "out")) == 1
    assert "bad.weight is left out: the update of bad.weight must be finite" in capsys.readouterr().err
    assert (
        "layers.0.query.weight"
        in (tmp_path / "out" / {"compare": "report.csv"}.get(command, "README.md")).read_text()
    )


def refused(capsys, *arguments):
    """Run a command that must fail, and return the one line that says why."""
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--base", "x"], "--base and --tuned must both be given"),
        (["--base", "x", "--tuned", "y"], "x must be a checkpoint, got nothing there"),
        (["--include", "a"], "--include must come with --base and --tuned, got neither"),
        (["--dry-run"], "--dry-run must come with --base and --tuned"),
        (["--workers", "2"], "--workers must come with --base and --tuned"),
        (["--fan-in-fan-out", "yes"], "--fan-in-fan-out must come with --base and --tuned"),
    ],
)
def test_compare_names_the_option_that_is_wrong(capsys, options, error):
    assert error in refused(capsys, "compare", *options)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--include", "("], "include must be a regular expression, got '('"),
        (["--include", "nothing"], "must have a matrix in common, got none"),
        (["--structure", "localized", "--blocks", "17"], "structures must hold one that fits"),
        (["--workers", "2", "--dask", "x:1"], "--workers and --dask must not be given together"),
        (["--format", "bdlora", "--structure", "diagonal"], "bdlora"),
        (["--rank", "0", "--ranks", "uniform"], "rank"),
    ],
)
def test_extract_names_what_is_wrong_and_leaves_nothing(pair, tmp_path, capsys, options, error):
    out = tmp_path / "out"
    assert error in refused(capsys, "extract", *pair, "--out", str(out), *options)
    assert not out.exists() or set(contents_of_journal(out)) == {FOLDER}


def damages(path):
    """Yield damaged contents of a file: truncated at every tenth, a flipped byte, wrong lengths."""
    whole = path.read_bytes()
    for k in range(10):
        yield f"{k} tenths", whole[: len(whole) * k // 10]
    yield "flipped", whole[:20] + bytes([whole[20] ^ 0x80]) + whole[21:]
    yield "absurd length", (1 << 62).to_bytes(8, "little") + whole[8:]
    yield "more than there is", whole[:-4]


@pytest.mark.parametrize("command", ["compare", "extract"])
@pytest.mark.parametrize("side", ["base", "tuned"])
def test_damaged_files_are_named_and_nothing_is_left(pair, tmp_path, capsys, command, side):
    path = tmp_path / f"{side}.safetensors"
    for what, content in damages(path):
        path.write_bytes(content)
        line = refused(capsys, command, *pair, "--out", str(tmp_path / "out"))
        assert f"{side}.safetensors" in line, what
        assert sorted(os.listdir(tmp_path)) == ["base.safetensors", "tuned.safetensors"]


def test_an_adapter_given_as_a_checkpoint_is_named(pair, tmp_path, capsys):
    assert run("extract", *pair, "--rank", "1", "--out", str(tmp_path / "adapter")) == 0
    capsys.readouterr()
    line = refused(capsys, "compare", "--base", str(tmp_path / "adapter"), "--tuned", pair[3])
    assert "is an adapter directory" in line
    assert "--adapter" in line


def contents_of_journal(out):
    return [path.name for path in out.iterdir()]


def test_an_unwritable_folder_is_named_before_the_work(pair, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for command in ("compare", "extract"):
        assert "file" in refused(capsys, command, *pair, "--out", str(tmp_path / "file" / "out"))


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "command", [["compare", "--blocks", "2"], ["extract", "--ranks", "plan"], ["extract"]]
)
def test_reports_do_not_depend_on_the_workers(pair, tmp_path, command):
    name, *options = command
    for out, more in (("alone", []), ("together", ["--workers", "2"])):
        assert run(name, *pair, *options, "--rank", "2", *more, "--out", str(tmp_path / out)) == 0
    assert contents(tmp_path / "alone") == contents(tmp_path / "together")


@pytest.mark.exhaustive
@pytest.mark.parametrize("command", [["compare", "--blocks", "2"], ["extract"]])
def test_a_killed_run_goes_on_where_it_stopped(tmp_path, command):
    name, *options = command
    pair = write_pair(tmp_path, count=30, side=96)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(name, *pair, *options, "--rank", "2", "--out", str(whole)) == 0
    arguments = [name, *pair, *options, "--rank", "2", "--out", str(killed)]
    process = subprocess.Popen(
        [sys.executable, "-m", "lowrank_blocks", *arguments], stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if len(list(killed.glob(f"{FOLDER}/*.npz"))) > 3:
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    finished = {path: path.stat().st_mtime_ns for path in killed.glob(f"{FOLDER}/*.npz")}
    assert process.returncode == -signal.SIGKILL
    assert len(finished) > 3
    assert run(*arguments) == 0
    assert contents(killed) == contents(whole)


def test_names_with_path_tricks_are_only_names(tmp_path, capsys):
    odd = {"../../escape.weight": (np.zeros((4, 4), np.float32), np.eye(4, dtype=np.float32))}
    pair = write_pair(
        tmp_path, count=1, **{"<script>alert(1)</script>.weight": odd["../../escape.weight"], **odd}
    )
    before = sorted(os.listdir(tmp_path.parent))
    assert run("compare", *pair, "--blocks", "2", "--rank", "1", "--out", str(tmp_path / "out")) == 0
    assert sorted(os.listdir(tmp_path.parent)) == before
    assert "<script>alert" not in (tmp_path / "out" / "report.html").read_text()
    markdown = (tmp_path / "out" / "report.md").read_text()
    assert markdown.count("<script>alert") == markdown.count("\\<script>alert") > 0
