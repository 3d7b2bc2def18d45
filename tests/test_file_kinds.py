"""Files of another kind: what they are, what is read, and what to do, in one line."""

import io
import json
import os
import pickle
import socket
import stat
import struct
import zipfile

import numpy as np
import pytest
from command import process, refused, run

IS = "must be a .npy or .npz file, got "
TENSORS = "np.savez('matrices.npz', **{k: v.float().numpy() for k, v in "
SAVE = "save its matrices in Python with np.savez('matrices.npz', name=matrix)."


def safetensors():
    entry = {"w": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}}
    head = json.dumps(entry).encode()
    return struct.pack("<Q", len(head)) + head + bytes(4)


def torch_archive():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({}))
        archive.writestr("model/data/0", bytes(400))
        archive.writestr("model/version", b"3\n")
    return stream.getvalue()


def old_torch_file():
    return b"".join(pickle.dumps(part, protocol=2) for part in (0x1950A86A20F9469CFC6C, 1001, {}))


TORCH = f"a PyTorch file; convert it in Python, if it holds a state dict: {TENSORS}torch.load(path, "
PICKLE = f"a pickle, which is not read because loading one can run any code; {SAVE}"
TEXT = "text; a table of numbers becomes one with np.save('matrix.npy', np.loadtxt(path"
OTHER = "a file of another kind, which begins with the bytes "
KINDS = {
    "safetensors": (safetensors(), f"a safetensors file; convert it in Python: {TENSORS}safetensors."),
    "torch": (torch_archive(), TORCH),
    "old torch": (old_torch_file(), TORCH),
    **{f"pickle {p}": (pickle.dumps([1.5], protocol=p), PICKLE) for p in range(2, 6)},
    "csv": (b"1,2\n3,4\n", f"{TEXT}, delimiter=','))."),
    "table": (b"1 2\r\n3 4\r\n", f"{TEXT}))."),
    "text cut within a letter": (b"a" + "é".encode() * 4000, TEXT),
    "noise": (bytes(range(250, 256)) * 90, f"{OTHER}fa fb fc fd fe ff fa fb; {SAVE}"),
    "one byte": (b"\x80", f"{OTHER}80; {SAVE}"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(90), f"an HDF5 file; {SAVE}"),
    "MATLAB": (b"MATLAB 5.0 MAT-file, Platform: posix" + bytes(90), "a MATLAB file; "),
    "GGUF": (b"GGUF\x03\0\0\0", "a GGUF file; "),
    "gzip": (b"\x1f\x8b\x08\0", "a file compressed by gzip; "),
    "empty": (b"", "an empty file."),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_are_known_by_their_bytes(kind, tmp_path, capsys):
    content, message = KINDS[kind]
    path = tmp_path / "matrices.npz"  # whatever it is called
    path.write_bytes(content)

    line = refused(capsys, "compare", path, "--out", tmp_path / "report")

    assert line.startswith(f"lowrank-blocks: {path} {IS}{message}")
    assert list(tmp_path.iterdir()) == [path]


def test_an_archive_without_arrays_names_what_it_holds(tmp_path, capsys):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<xml/>")

    line = refused(capsys, "compare", path)

    assert (
        f"{path} must hold at least one 2-D array of numbers, got {path}[[Content_Types].xml], which is no"
        in line
    )


@pytest.mark.parametrize("member", [b"# notes", torch_archive()], ids=["README", "archive"])
def test_arrays_beside_other_members_are_compared(member, tmp_path, capsys):
    path = tmp_path / "x.npz"
    np.savez(path, W=np.eye(5))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other", member)

    assert run("compare", path) == 0
    out, err = capsys.readouterr()

    assert out.startswith(f"{path}[W]: 5×5 matrix")
    assert err == f"lowrank-blocks: passed over {path}[other], which is no array\n"


# What is no file.


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="FIFOs are POSIX")
@pytest.mark.parametrize("as_out", [False, True])
def test_a_fifo_does_not_hang(as_out, tmp_path):
    fifo = tmp_path / "fifo.npy"
    os.mkfifo(fifo)

    done = process("compare", *(["--out"] if as_out else []), fifo, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (2, "")
    if as_out:
        assert f"--out must be a folder that can be written, got {fifo}: " in done.stderr
    else:
        expected = f"{fifo} must be a regular file, got a FIFO; write its contents to a file first."
        assert done.stderr == f"lowrank-blocks: {expected}\n"
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="sockets in the file system are POSIX")
def test_a_socket(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        assert "s must be a regular file, got a socket" in refused(capsys, "compare", "s")


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="devices are POSIX")
def test_a_device(capsys):
    assert "/dev/zero must be a regular file, got a device" in refused(capsys, "compare", "/dev/zero")


def test_a_folder(tmp_path, capsys):
    line = refused(capsys, "compare", tmp_path)

    assert f"{tmp_path} must be a file, got a folder; name the .npy and .npz files in it." in line


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000], ids=["NUL", "long"])
def test_a_path_that_cannot_be(name, capsys):
    assert " must be a file that can be read: " in refused(capsys, "compare", name)
    assert " must be a folder that can be written, " in refused(capsys, "compare", "--out", name)
