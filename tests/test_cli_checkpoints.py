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
from pairs import contents, write_pair
from safetensors.numpy import load_file

import lowrank_blocks as lb
from lowrank_blocks.checkpoints.updates import iter_updates
from lowrank_blocks.models.journal import Journal
from lowrank_blocks.models.rest import left_out

REPORTS = ["report.csv", "report.html", "report.json", "report.md"]
ADAPTER = ["README.md", "adapter_config.json", "adapter_model.safetensors", "lowrank_blocks.json"]


@pytest.fixture
def pair(tmp_path):
    bias = np.zeros(16, np.float32), np.ones(16, np.float32)
    return write_pair(tmp_path, layers__0__query__bias=bias)


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


@pytest.mark.parametrize("command", ["compare", "extract"])
def test_dry_run_writes_nothing(pair, tmp_path, capsys, command):
    out = tmp_path / "out"
    assert run(command, *pair, "--rank", "2", "--out", str(out), "--dry-run") == 0
    text = capsys.readouterr().out
    assert "rank 2 everywhere stores 256 numbers, 25.00% of the entries" in text
    assert run(command, *pair, "--budget", "140", "--out", str(out), "--dry-run") == 0
    assert "within the budget of 140 rank 1 everywhere stores 128 numbers" in capsys.readouterr().out
    assert not out.exists()


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
        if len(Journal(killed)) > 3:
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert len(Journal(killed)) > 3
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
