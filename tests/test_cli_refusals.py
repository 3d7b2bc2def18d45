"""``compare`` and ``extract`` on checkpoints that are damaged, in part unusable, or asked for wrongly."""

import os

import numpy as np
import pytest
from command import refused, run
from pairs import write_pair

from lowrank_blocks.models.journal import NAME


@pytest.fixture
def pair(tmp_path):
    bias = np.zeros(16, np.float32), np.ones(16, np.float32)
    return write_pair(tmp_path, layers__0__query__bias=bias)


def test_options_of_checkpoints_do_not_go_with_an_adapter(tmp_path, capsys):
    for option in (["--base", "x", "--tuned", "y"], ["--include", "a"], ["--save-rest"], ["--workers", "2"]):
        line = refused(capsys, "extract", "--adapter", "a", *option, "--out", str(tmp_path / "out"))
        assert "--adapter" in line


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
    assert not out.exists() or set(contents_of_journal(out)) == {NAME}


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
