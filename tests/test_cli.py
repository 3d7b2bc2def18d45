"""The command: what it prints and writes, its exit codes, and one line of stderr for every error."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from command import process, refused, run

import lowrank_blocks as lb

FORMS = {
    "text": lb.Report.to_text,
    "markdown": lb.Report.to_markdown,
    "csv": lb.Report.to_csv,
    "json": lb.Report.to_json,
}
NAMES = ["report.csv", "report.json", "report.md"]


def expected(matrices, budget=None, rank=8, blocks=4):
    structures = [lb.Global(), lb.DiagonalLocal(blocks), lb.Localized(blocks)]
    budgets = {
        name: lb.rank_budget(dW.shape, rank) if budget is None else budget for name, dW in matrices.items()
    }
    return lb.Report({name: lb.compare(dW, structures, budgets[name]) for name, dW in matrices.items()})


@pytest.fixture
def matrix(tmp_path):
    path = tmp_path / "dW.npy"
    np.save(path, np.random.default_rng(0).standard_normal((12, 9)))
    return path


# What it prints.


def test_without_a_file_it_runs_on_the_embedded_update(capsys):
    assert run("compare") == 0
    out, err = capsys.readouterr()

    assert out == expected(lb.load_example()).to_text()
    assert err == ""


@pytest.mark.parametrize("form", FORMS)
def test_every_format(form, matrix, capsys):
    assert run("compare", matrix, "--format", form) == 0
    out, _ = capsys.readouterr()

    assert out == FORMS[form](expected({str(matrix): np.load(matrix)}))


@pytest.mark.parametrize(
    ("options", "choices"),
    [
        (["--rank", 3, "--blocks", 2], {"rank": 3, "blocks": 2}),
        (["--budget", 50], {"budget": 50}),
        (["--budget", 0, "--rank", 5], {"budget": 0}),
        (["--rank", 0], {"rank": 0}),
        (["--budget", 10**25], {"budget": 10**25}),
    ],
)
def test_options(options, choices, matrix, capsys):
    assert run("compare", matrix, *options) == 0
    out, _ = capsys.readouterr()

    assert out == expected({str(matrix): np.load(matrix)}, **choices).to_text()


def test_archives_give_one_table_a_matrix_and_pass_over_the_rest(tmp_path, matrix, capsys):
    path = tmp_path / "layers.npz"
    ones, eye = np.ones((5, 6), dtype=np.float16), np.eye(7, dtype=np.int32)
    np.savez(path, a=ones, bias=np.ones(5), b=eye)

    assert run("compare", path, matrix, path) == 0
    out, err = capsys.readouterr()

    named = {f"{path}[a]": ones, f"{path}[b]": eye, str(matrix): np.load(matrix)}
    assert out == expected(named).to_text()
    assert err == f"lowrank-blocks: passed over {path}[bias], which is not 2-D\n"


# What it writes.


def test_out_writes_three_files(tmp_path, matrix, capsys):
    folder = tmp_path / "new" / "report"
    assert run("compare", matrix, "--out", folder) == 0
    report = expected({str(matrix): np.load(matrix)})

    assert sorted(p.name for p in folder.iterdir()) == NAMES
    assert (folder / "report.md").read_text(encoding="utf-8") == report.to_markdown()
    assert (folder / "report.csv").read_text(encoding="utf-8") == report.to_csv()
    assert (folder / "report.json").read_text(encoding="utf-8") == report.to_json()
    assert capsys.readouterr().out == report.to_text()


def test_out_replaces_reports_and_leaves_other_files(tmp_path, matrix):
    for name in ("report.md", "mine.txt"):
        (tmp_path / name).write_text("before")

    assert run("compare", matrix, "--out", tmp_path) == 0

    assert (tmp_path / "report.md").read_text() != "before"
    assert (tmp_path / "mine.txt").read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*NAMES, "mine.txt", "dW.npy"])


@pytest.mark.parametrize("out", ["blocker", "blocker/report"])
def test_out_behind_a_file_is_refused(out, tmp_path, matrix, capsys):
    (tmp_path / "blocker").write_text("in the way")

    line = refused(capsys, "compare", matrix, "--out", tmp_path / out)

    assert f"--out must be a folder that can be written, got {tmp_path / out}" in line
    assert (tmp_path / "blocker").read_text() == "in the way"


def test_reports_stay_as_they_were_if_a_name_is_taken(tmp_path, matrix, capsys):
    (tmp_path / "report.md").write_text("before")
    (tmp_path / "report.json").mkdir()

    line = refused(capsys, "compare", matrix, "--out", tmp_path)

    assert "report.json is a folder" in line
    assert (tmp_path / "report.md").read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dW.npy", "report.json", "report.md"]


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from lowrank_blocks.cli import main
sys.exit(main(sys.argv[2:]))
"""


def test_reports_stay_as_they_were_if_the_disk_is_full(tmp_path, matrix):
    pytest.importorskip("resource", reason="only POSIX can limit the size of the files a process writes")
    before = {name: f"before {name}" for name in NAMES}
    for name, text in before.items():
        (tmp_path / name).write_text(text)
    report = expected({str(matrix): np.load(matrix)})
    limit = len(report.to_csv().encode()) + 1
    assert limit < len(report.to_json().encode())  # so that some files can be written and some not

    command = [
        sys.executable,
        "-B",
        "-c",
        LIMITED,
        str(limit),
        "compare",
        str(matrix),
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "--out must be a folder that can be written" in done.stderr
    assert {name: (tmp_path / name).read_text() for name in NAMES} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dW.npy", *NAMES]


# Usage.


@pytest.mark.parametrize(
    ("args", "fragment"),
    [
        ([], "COMMAND"),
        (["frobnicate"], "frobnicate"),
        (["compare", "--rank", "-1"], "must be a non-negative integer, got '-1'"),
        (["compare", "--rank", "2.5"], "must be a non-negative integer, got '2.5'"),
        (["compare", "--budget", "x"], "must be a non-negative integer, got 'x'"),
        (["compare", "--budget", "²"], "must be a non-negative integer, got '²'"),
        (["compare", "--blocks", ""], "must be a non-negative integer, got ''"),
        (["compare", "--blocks", "0"], "argument --blocks: must be a positive integer, got 0"),
        (["compare", "--blocks", "300"], "parts must be at most the length of its axis, 256, got 300"),
        (["compare", "--format", "xml"], "xml"),
        (["compare", "--colour"], "--colour"),
    ],
)
def test_bad_usage(args, fragment, capsys):
    assert fragment in refused(capsys, *args)


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"lowrank-blocks {lb.__version__}\n"


@pytest.mark.parametrize("args", [["--help"], ["compare", "--help"]])
def test_help_has_examples(args, capsys):
    assert run(*args) == 0
    out = capsys.readouterr().out

    assert "examples:" in out
    assert out.count("lowrank-blocks compare") >= 4


# As a process.


def test_as_a_module(matrix):
    done = process("compare", matrix, "--format", "csv", capture_output=True, text=True, encoding="utf-8")

    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(csv.DictReader(io.StringIO(done.stdout)))) == 5


def test_errors_of_the_process(tmp_path):
    done = process("compare", tmp_path / "none.npy", capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_reader_that_left_is_no_error(matrix):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as gone:
        done = process("compare", matrix, stdout=gone, stderr=subprocess.PIPE)

    assert (done.returncode, done.stderr) == (0, b"")


def test_json_of_the_process_is_ascii_or_utf8(matrix):
    done = process("compare", matrix, "--format", "json", capture_output=True)

    assert json.loads(done.stdout.decode())["summary"][0]["label"] == "Global()"


def test_a_terminal_without_unicode_still_gets_the_table(matrix):
    done = process(
        "compare",
        matrix,
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )

    assert b"Traceback" not in done.stderr
    assert done.returncode == 0
