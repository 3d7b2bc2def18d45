"""The command as a process: closed, full and abandoned streams, and paths that are not UTF-8."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import in_shell, process

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(os.name != "posix", reason="redirections of a POSIX shell"),
]
needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is of Linux")
CLOSED = b"lowrank-blocks: standard output must be open, got it closed; send it to /dev/null instead.\n"
FULL = b"lowrank-blocks: standard output must take what is written, got: No space left on device.\n"


@pytest.fixture
def matrix(tmp_path):
    path = tmp_path / "dW.npy"
    np.save(path, np.random.default_rng(0).standard_normal((12, 9)))
    return path


@pytest.mark.parametrize("args", [["compare", "dW.npy", "--out", "report"], ["--help"]])
def test_a_closed_standard_output(args, matrix):
    done = in_shell(">&-", *[str(matrix.parent / a) if a in {"dW.npy", "report"} else a for a in args])

    assert (done.returncode, done.stderr) == (2, CLOSED)
    assert list(matrix.parent.iterdir()) == [matrix]


def test_a_closed_standard_error_keeps_results_and_swallows_messages(matrix):
    heard = in_shell("", "compare", matrix)
    done = in_shell("2>&-", "compare", matrix)

    assert (done.returncode, done.stdout) == (0, heard.stdout)
    assert heard.stdout.count(b"\n") > 5


@pytest.mark.parametrize("redirections", ["2>&-", "<&- 2>&-", "<&- >/dev/null 2>&-"])
def test_an_error_that_nobody_hears(redirections, tmp_path):
    done = in_shell(redirections, "compare", tmp_path / "none.npy")

    assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"")


INHERITED = """
import os, sys
from lowrank_blocks.cli import main
main(["compare", sys.argv[1], "--out", sys.argv[2]])
os.write(1, str([os.path.samefile(f"/dev/fd/{fd}", os.devnull) for fd in (0, 2)]).encode())
"""


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="needs /dev/fd")
def test_no_file_takes_the_place_of_a_closed_stream(matrix, tmp_path):
    """Libraries write warnings to descriptor 2, which must not be a report by then."""
    command = ["sh", "-c", 'exec "$@" <&- 2>&-', "sh", sys.executable, "-c", INHERITED]
    done = subprocess.run([*command, str(matrix), str(tmp_path / "out")], check=True, capture_output=True)

    assert done.stdout.endswith(b"[True, True]")


@needs_full
@pytest.mark.parametrize("args", [["compare"], ["--help"], ["--version"]])
def test_a_full_disk_behind_standard_output(args, matrix):
    done = in_shell(">/dev/full", *args, *([matrix] if args == ["compare"] else []))

    assert (done.returncode, done.stderr) == (2, FULL)


@needs_full
@pytest.mark.parametrize("args", [["compare", "none.npy"], ["comapre"]])
def test_a_full_disk_behind_standard_error(args):
    done = in_shell("2>/dev/full", *args)

    assert (done.returncode, done.stdout) == (2, b"")


def test_a_reader_that_left_before_the_help():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as gone:
        done = process("--help", stdout=gone, stderr=-1)

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_path_that_is_not_utf8(tmp_path):
    path, out = os.fsencode(tmp_path) + b"/d\xffW.npy", os.fsencode(tmp_path) + b"/r\xfe"
    try:
        with open(path, "wb") as stream:
            np.save(stream, np.eye(5))
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")

    done = in_shell("", "compare", os.fsdecode(path), "--plot", "--out", os.fsdecode(out))

    assert (done.returncode, done.stderr) == (0, b"")
    name = f"{tmp_path}/d\\xffW.npy"
    assert done.stdout.decode().startswith(f"{name}: 5×5 matrix")
    assert sorted(os.listdir(out)) == [b"comparison-d-W.png", b"report.csv", b"report.json", b"report.md"]
    assert list(json.loads((Path(os.fsdecode(out)) / "report.json").read_text())["matrices"]) == [name]


def test_a_refusal_of_a_path_that_is_not_utf8(tmp_path):
    done = in_shell("", "compare", tmp_path / os.fsdecode(b"none\xff.npy"))

    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == (
        f"lowrank-blocks: {tmp_path}/none\\xff.npy must be a file, got nothing there.\n".encode()
    )
