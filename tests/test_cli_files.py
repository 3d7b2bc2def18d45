"""Files that hold no matrix: exit code 2 and one line that names the file and the entry."""

import io

import numpy as np
import pytest
from command import refused, run


def saved(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def archive(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


WHOLE = archive(good=np.eye(5), bad=np.random.default_rng(0).random((9, 9)))
WITH_NAN = np.array([[1.0, np.nan]])
OBJECTS = np.array([[1, None]], dtype=object)
NOT_INTACT = "must be an intact .npy or .npz file of numbers"
BAD_FILES = {
    "empty": ("x.npy", b"", ["x.npy must be a .npy or .npz file, got an empty file."]),
    "truncated": ("x.npy", saved(np.eye(9))[:300], [NOT_INTACT]),
    "header only": ("x.npy", saved(np.eye(9))[:40], [NOT_INTACT]),
    "truncated archive": ("x.npz", WHOLE[: len(WHOLE) // 2], [NOT_INTACT]),
    "damaged entry": ("x.npz", WHOLE.replace(np.eye(5).tobytes(), bytes(200)), ["x.npz[good]", NOT_INTACT]),
    "pickled": ("x.npy", saved(OBJECTS, allow_pickle=True), ["x.npy must be real numbers", "dtype object"]),
    "objects": ("x.npz", archive(bad=OBJECTS), ["x.npz[bad], which holds pickled objects"]),
    "1-D": ("x.npy", saved(np.ones(3)), ["x.npy must hold a 2-D array, got shape (3,) of float64"]),
    "no 2-D": (
        "x.npz",
        archive(a=np.ones(3), b=np.ones(())),
        ["x.npz must hold at least one 2-D array", "x.npz[a]"],
    ),
    "nothing inside": ("x.npz", archive(), ["x.npz must hold at least one 2-D array", "no arrays"]),
    "nan": ("x.npy", saved(WITH_NAN), ["x.npy must be finite", "x.npy[0, 1] = nan"]),
    "nan in archive": (
        "x.npz",
        archive(a=np.eye(5), b=WITH_NAN),
        ["x.npz[b] must be finite", "x.npz[b][0, 1] = nan"],
    ),
    "no rows": ("x.npy", saved(np.ones((0, 3))), ["x.npy must be a nonempty 2-D matrix", "got shape (0, 3)"]),
    "complex": ("x.npz", archive(z=np.eye(5) * 1j), ["x.npz[z] must be real", "complex128"]),
    "strings": ("x.npy", saved(np.array([["a"]])), ["x.npy must be real", "<U1"]),
    "too small": (
        "x.npy",
        saved(np.eye(3)),
        ["x.npy: parts must be at most the length of its axis, 3, got 4"],
    ),
}


@pytest.mark.parametrize(("name", "content", "fragments"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files(name, content, fragments, tmp_path, capsys):
    path = tmp_path / name
    path.write_bytes(content)

    line = refused(capsys, "compare", path, "--out", tmp_path / "report")

    assert str(path) in line
    assert all(fragment in line for fragment in fragments)
    assert not (tmp_path / "report").exists()


def test_a_missing_file(tmp_path, capsys):
    line = refused(capsys, "compare", tmp_path / "none.npy")

    assert f"{tmp_path / 'none.npy'} must be a file, got nothing there." in line


def test_a_folder_as_file(tmp_path, capsys):
    assert str(tmp_path) in refused(capsys, "compare", tmp_path)


@pytest.mark.parametrize("whole", [saved(np.eye(9)), WHOLE], ids=["npy", "npz"])
def test_a_file_cut_anywhere_is_refused(whole, tmp_path, capsys):
    path = tmp_path / "cut"
    for length in range(0, len(whole), 23):
        path.write_bytes(whole[:length])
        assert str(path) in refused(capsys, "compare", path)


@pytest.mark.parametrize("whole", [saved(np.eye(9)), WHOLE], ids=["npy", "npz"])
@pytest.mark.parametrize(("first", "mask"), [(0, 0x01), (11, 0x40), (22, 0xFF)])
def test_a_file_with_a_wrong_byte_is_refused_in_one_line_or_read(whole, first, mask, tmp_path, capsys):
    path = tmp_path / "wrong"
    for place in range(first, len(whole), 33):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
        code = run("compare", path, "--blocks", 1, "--budget", 1)
        err = capsys.readouterr().err
        assert code == 0 or (code == 2 and err.count("\n") == 1 and str(path) in err)
