"""``--row-weights`` and ``--col-weights``: the same answers as in Python, and one line for every bad file."""

import json
import os

import numpy as np
import pytest
from command import refused, run
from pairs import contents, interrupt, write_pair
from safetensors.numpy import save_file
from weighted_models import moment

import lowrank_blocks as lb

NAMES = [f"layers.{k}.query.weight" for k in range(4)]
W = np.random.default_rng(0).standard_normal((9, 7))
ROWS, COLS = np.linspace(0.5, 3, 9), moment(7)


@pytest.fixture
def matrix(tmp_path):
    np.save(tmp_path / "dW.npy", W)
    return tmp_path / "dW.npy"


@pytest.mark.parametrize("form", ["text", "markdown", "csv", "json"])
def test_one_matrix_is_compared_as_in_python(matrix, tmp_path, capsys, form):
    np.save(tmp_path / "rows.npy", ROWS.astype(np.float32))
    np.save(tmp_path / "cols.npy", COLS)
    options = ["--row-weights", tmp_path / "rows.npy", "--col-weights", tmp_path / "cols.npy"]
    structures = ["--structure", "global", "--structure", "stripes:3"]
    assert run("compare", matrix, *options, *structures, "--rank", 2, "--format", form) == 0

    weights = {"row_weights": ROWS.astype(np.float32), "col_weights": COLS}
    found = lb.compare(W, [lb.Global(), lb.Localized(3, 1)], rank=2, **weights)
    assert capsys.readouterr().out == getattr(lb.Report({str(matrix): found}), f"to_{form}")()


def test_the_best_partition_is_that_of_the_weights(matrix, tmp_path, capsys):
    np.save(tmp_path / "rows.npy", ROWS)
    assert run("compare", matrix, "--row-weights", tmp_path / "rows.npy", "--best", "--blocks", 3) == 0
    text = capsys.readouterr().out
    assert "9×7 matrix of weighted norm" in text
    assert f"{lb.best_partition(W, rank=8, row_weights=ROWS).relative_error:.4g}" in text


def weights_of(tmp_path, kind):
    """Write weights of two of four matrices, and return what they are and the options for the file."""
    rows = {NAMES[0]: np.linspace(1, 5, 16), NAMES[2]: np.linspace(5, 1, 16).astype(np.float32)}
    cols = {NAMES[2]: moment(16)}
    options = []
    for axis, side in (("row", rows), ("col", cols)):
        path = tmp_path / f"{axis}.{kind}"
        np.savez(path, **side) if kind == "npz" else save_file(side, path)
        options += [f"--{axis}-weights", path]
    return {"row_weights": rows, "col_weights": cols}, options


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_checkpoints_are_compared_as_in_python(tmp_path, capsys, kind):
    pair = write_pair(tmp_path)
    weights, options = weights_of(tmp_path, kind)
    out = tmp_path / "report"
    assert run("compare", *pair, *options, "--rank", 2, "--blocks", 2, "--out", out) == 0
    structures = [lb.Global(), lb.DiagonalLocal(2), lb.Localized(2)]
    found = lb.compare_checkpoints(pair[1], pair[3], structures, rank=2, **weights)
    assert capsys.readouterr().out == found.to_text()
    assert (out / "report.json").read_text() == found.to_json()
    assert (out / "report.csv").read_text() == found.to_csv()
    page = (out / "report.html").read_text()
    assert f"--row-weights {tmp_path}/row.{kind} --col-weights {tmp_path}/col.{kind}" in page


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_adapters_are_extracted_as_in_python(tmp_path, capsys, kind):
    pair = write_pair(tmp_path)
    weights, options = weights_of(tmp_path, kind)
    assert run("extract", *pair, *options, "--rank", 2, "--out", tmp_path / "a") == 0
    made = lb.extract(pair[1], pair[3], tmp_path / "b", structure=lb.Global(), rank=2, **weights)
    assert f"{made.plain_relative_error:.4g} in the plain one" in capsys.readouterr().out
    one, other = ((tmp_path / x / "adapter_model.safetensors").read_bytes() for x in "ab")
    assert one == other
    record = json.loads((tmp_path / "a" / "lowrank_blocks.json").read_text())["metadata"]
    assert set(record["weights"]) == {NAMES[0], NAMES[2]}
    assert f"--row-weights {tmp_path}/row.{kind}" in record["command"]


def test_an_interrupted_comparison_goes_on_to_the_same_bytes(tmp_path, monkeypatch):
    pair, (_, options) = write_pair(tmp_path), weights_of(tmp_path, "npz")
    command = ["compare", *pair, *options, "--blocks", 2]
    assert run(*command, "--out", tmp_path / "whole") == 0
    written = interrupt(monkeypatch, 5)
    with pytest.raises(KeyboardInterrupt):
        run(*command, "--out", tmp_path / "again")
    assert " plain " in written[-1]
    assert run(*command, "--out", tmp_path / "again") == 0
    assert (
        len(set(written)) == len(written) == 6
    )  # of 4 matrices the spectra, and of 2 the plain errors: nothing twice
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")


def save(array):
    return lambda path: np.save(path, array)


BAD = {
    "nothing": (lambda path: None, "must be a file, got nothing there"),
    "text": (lambda path: path.write_text("1,2\n"), "must be a .npy file, got text"),
    "an archive": (lambda path: path.write_bytes(b"PK\x03\x04"), "must be a .npy file, got an archive"),
    "cut": (
        lambda path: path.write_bytes(b"\x93NUMPY\x01\x00v\x00"),
        "must be an intact .npy or .npz file",
    ),
    "3-D": (save(np.ones((9, 1, 1))), "must hold a vector or a matrix, got shape (9, 1, 1)"),
    "a number": (save(np.float64(3)), "must hold a vector or a matrix, got shape ()"),
    "empty": (save(np.ones(0)), "must be a nonempty vector, got shape (0,)"),
    "words": (save(np.array(["a"] * 9)), "must be real numbers of at most 64 bits"),
    "complex": (save(np.ones(9) * 1j), "must be real numbers of at most 64 bits"),
    "length": (save(np.ones(7)), "must be 9 weights, one for each index of its axis, got 7"),
    "sign": (save(np.array([1.0] * 8 + [-2.0])), "rows.npy[8] = -2.0"),
    "zero": (save(np.zeros(9)), "must be positive, got"),
    "nan": (save(np.array([1.0] * 8 + [np.nan])), "must be finite, got"),
    "samples": (save(np.ones((30, 9))), "must be a vector of 9 or a matrix of shape (9, 9)"),
    "asymmetric": (save(np.triu(np.ones((9, 9)))), "must be symmetric, got"),
    "indefinite": (save(np.diag([1.0] * 8 + [-1.0])), "must be positive semidefinite and not zero, got"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_of_one_matrix_is_named_and_nothing_is_written(matrix, tmp_path, capsys, name):
    write, message = BAD[name]
    write(tmp_path / "rows.npy")
    out = tmp_path / "out"
    line = refused(
        capsys, "compare", matrix, "--row-weights", tmp_path / "rows.npy", "--out", out, "--blocks", 2
    )
    assert line.startswith(f"lowrank-blocks: {tmp_path / 'rows.npy'}")
    assert message in line
    assert not out.exists()


def test_two_arrays_in_one_file_are_refused(matrix, tmp_path, capsys):
    with (tmp_path / "rows.npy").open("wb") as stream:
        np.save(stream, ROWS)
        np.save(stream, ROWS)
    line = refused(capsys, "compare", matrix, "--row-weights", tmp_path / "rows.npy", "--blocks", 2)
    assert "rows.npy must hold one array, got" in line


def test_a_file_of_more_than_the_memory_is_refused(matrix, tmp_path, capsys):
    np.save(tmp_path / "cols.npy", np.eye(20))
    options = ["--col-weights", tmp_path / "cols.npy", "--memory", "1K"]
    line = refused(capsys, "compare", matrix, *options, "--blocks", 2)
    assert "cols.npy must need at most" in line
    assert "20×20 matrix of float64" in line


def test_weights_of_one_matrix_do_not_go_with_several(matrix, tmp_path, capsys):
    np.save(tmp_path / "rows.npy", np.ones(256))
    line = refused(capsys, "compare", "--row-weights", tmp_path / "rows.npy")
    assert "--row-weights must come with one matrix, got 6: query, key" in line


def of_first(value):
    return lambda path: np.savez(path, **{NAMES[0]: value})


BAD_BY_NAME = {
    "nothing": (lambda path: None, "must be a checkpoint, got nothing there"),
    "damaged": (lambda path: path.write_bytes(b"PK\x03\x04"), "must be an intact .npz archive"),
    "none": (lambda path: np.savez(path), "must hold weights of at least one matrix, got none"),
    "unknown": (
        lambda path: np.savez(path, other=np.ones(16)),
        "must be of the matrices that are compared, got 'other'; such as 'layers.0.query.weight'",
    ),
    "pickled": (of_first(np.array([None])), "must be an intact .npz archive"),
    "words": (of_first(np.array(["a"] * 16)), f"[{NAMES[0]!r}] must be real numbers"),
    "length": (of_first(np.ones(7)), f"[{NAMES[0]!r}] must be 16 weights"),
    "sign": (of_first(-np.ones(16)), f"[{NAMES[0]!r}] must be positive, got"),
    "indefinite": (of_first(np.diag([1.0] * 15 + [-1])), f"[{NAMES[0]!r}] must be positive semidefinite"),
}


@pytest.mark.parametrize("command", ["compare", "extract"])
@pytest.mark.parametrize("name", BAD_BY_NAME)
def test_a_bad_file_of_checkpoints_is_named_and_nothing_is_written(tmp_path, capsys, command, name):
    pair, (write, message) = write_pair(tmp_path), BAD_BY_NAME[name]
    path = tmp_path / "cols.npz"
    write(path)
    before = sorted(os.listdir(tmp_path))
    line = refused(capsys, command, *pair, "--col-weights", path, "--out", tmp_path / "out")
    assert line.startswith(f"lowrank-blocks: {path}")
    assert message in line
    assert sorted(os.listdir(tmp_path)) == before


def test_one_array_is_no_file_of_checkpoints(tmp_path, capsys):
    np.save(tmp_path / "rows.npy", np.ones(16))
    line = refused(capsys, "compare", *write_pair(tmp_path), "--row-weights", tmp_path / "rows.npy")
    assert "rows.npy must be one of .safetensors, .npz" in line


def test_weights_do_not_go_with_an_adapter(tmp_path, capsys):
    for axis in ("row", "col"):
        line = refused(
            capsys, "extract", "--adapter", "a", f"--{axis}-weights", "w.npz", "--out", tmp_path / "o"
        )
        assert f"--{axis}-weights must come with --base and --tuned, not with --adapter" in line
