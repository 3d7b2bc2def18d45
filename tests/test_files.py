"""Files are checked by their headers: their contents are named, and what is passed over is not read."""

import io
import os
import struct
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest

from lowrank_blocks.files import find_matrices

MEGABYTE = 1 << 20
W = np.arange(12.0).reshape(3, 4)


def saved(array, **options):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **options)
    return stream.getvalue()


def zipped(path, members, compression=zipfile.ZIP_DEFLATED):
    """Write an archive of named bytes, in this order, with names that may repeat."""
    with zipfile.ZipFile(path, "w", compression, compresslevel=1) as archive, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Duplicate name", UserWarning)
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return path


def found(path, **options):
    matrices, passed_over = find_matrices(path, **options)
    return {m.name: m.read() for m in matrices}, passed_over


def refusal(path, **options):
    with pytest.raises(ValueError, match="must") as caught:
        find_matrices(path, **options)
    return str(caught.value)


# What is read, and what is passed over.


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_version_of_the_format(version, order, tmp_path):
    path = tmp_path / "W.npy"
    path.write_bytes(saved(np.asarray(W, order=order), version=version))

    matrices, passed_over = found(path)

    assert list(matrices) == [str(path)]
    assert passed_over == []
    np.testing.assert_array_equal(matrices[str(path)], W)


def test_headers_written_by_python_2(tmp_path):
    path, archive = tmp_path / "x.npy", tmp_path / "x.npz"
    content = saved(W).replace(b"(3, 4), }  ", b"(3L, 4L), }")
    assert b"4L" in content
    path.write_bytes(content)
    zipped(archive, [("a.npy", content)])

    np.testing.assert_array_equal(found(path)[0][str(path)], W)
    np.testing.assert_array_equal(found(archive)[0][f"{archive}[a]"], W)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_members_that_hold_no_matrix_are_named_with_the_reason(tmp_path, compression):
    others = {
        "README.md": (b"# notes", "is no array"),
        "folder/": (b"", "is no array"),
        "bias.npy": (saved(np.ones(3)), "is not 2-D"),
        "stack.npy": (saved(np.ones((2, 2, 2))), "is not 2-D"),
        "words.npy": (saved(np.array([["a", "b"]])), "holds text"),
        "dates.npy": (saved(np.zeros((2, 2), "M8[s]")), "holds dates"),
        "records.npy": (saved(np.zeros((2, 2), [("é", "f8")])), "holds records"),
        "objects.npy": (saved(np.array([[None]])), "holds pickled objects"),
        "settings.npy": (saved(np.array({"lr": 1e-4}, dtype=object)), "is not 2-D"),
    }
    members = [("a.npy", saved(W)), *((name, content) for name, (content, _) in others.items())]
    path = zipped(tmp_path / "x.npz", [*members, ("inner/b.npy", saved(W + 1))], compression)

    matrices, passed_over = found(path)

    assert list(matrices) == [f"{path}[a]", f"{path}[inner/b]"]
    np.testing.assert_array_equal(matrices[f"{path}[inner/b]"], W + 1)
    assert len(passed_over) == len(others)
    for line, (name, (_, reason)) in zip(passed_over, others.items(), strict=True):
        assert line.startswith(f"{path}[{name.removesuffix('.npy')}], which {reason}")


@pytest.mark.parametrize("names", [("a.npy", "a"), ("a.npy", "a.npy"), ("a", "a.npy")])
def test_two_arrays_under_one_key_are_refused(names, tmp_path):
    path = zipped(tmp_path / "x.npz", [(names[0], saved(W)), (names[1], saved(W[0]))])

    assert refusal(path).startswith(
        f"{path} must hold each key once, got 'a' twice, in the members {names[0]!r} and {names[1]!r}; save"
    )


def test_text_beside_an_array_of_its_name_is_named(tmp_path):
    path = zipped(tmp_path / "x.npz", [("a.npy", saved(W)), ("a", b"about a")])

    matrices, passed_over = found(path)

    assert list(matrices) == [f"{path}[a]"]
    assert passed_over == [f"{path}[a], which is no array"]


class Nameless(zipfile.ZipInfo):
    def is_dir(self):
        return False


def test_a_member_without_a_name(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", saved(W))
        archive.writestr(Nameless(""), b"anything")

    matrices, passed_over = found(path)

    assert list(matrices) == [f"{path}[a]"]
    assert passed_over == [f"{path}[], which is no array"]


def test_what_follows_an_array_is_named(tmp_path):
    path = tmp_path / "two.npy"
    path.write_bytes(saved(W) + saved(W + 1))
    archive = zipped(tmp_path / "x.npz", [("a.npy", saved(W) + b"tail")])

    assert found(path)[1] == [f"{len(saved(W))} bytes behind {path}"]
    assert found(archive)[1] == [f"4 bytes behind {archive}[a]"]


def test_at_most_five_members_are_named_in_a_refusal(tmp_path):
    path = zipped(tmp_path / "x.npz", [(f"{k}.npy", saved(W[0])) for k in range(9)])

    line = refusal(path)

    assert line.startswith(
        f"{path} must hold at least one 2-D array of numbers, got {path}[0], which is not 2-D; "
    )
    assert line.endswith("[4], which is not 2-D; and 4 more.")


# What it costs.


def long_header(length):
    """An array of version 2 whose header claims to be long, and is."""
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", length) + b" " * length


BULKY = {
    "3-D": saved(np.zeros((64, MEGABYTE // 8, 1))),
    "text": saved(np.zeros(16 * MEGABYTE // 4, "<U4")),
    "not an array": bytes(64 * MEGABYTE),
    "a long header": long_header(64 * MEGABYTE),
}


@pytest.mark.parametrize("kind", BULKY)
def test_what_is_passed_over_is_not_read(kind, tmp_path):
    path = zipped(tmp_path / "x.npz", [("a.npy", saved(W)), ("bulky.npy", BULKY[kind])])
    assert path.stat().st_size < MEGABYTE
    find = refusal if kind == "a long header" else find_matrices

    tracemalloc.start()
    try:
        find(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 2 * MEGABYTE


def header(shape, dtype="<f8"):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


@pytest.mark.parametrize("shape", [(10**6, 10**6), (10**30, 1), (1, 10**30)])
def test_a_header_that_promises_more_than_there_is(shape, tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(header(shape) + bytes(100))
    archive = zipped(tmp_path / "x.npz", [("a.npy", header(shape) + bytes(100))])

    for name, file in ((f"{path}", path), (f"{archive}[a]", archive)):
        line = refusal(file)
        assert line.startswith(f"{name} must be an intact .npy or .npz file of numbers: it holds ")
        assert f"bytes of {len(header(shape)) + 8 * shape[0] * shape[1]}." in line


@pytest.mark.parametrize("shape", [(-1, 3), (-2, -3), (0, -1)])
def test_a_negative_shape(shape, tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(header(shape) + bytes(100))

    assert f"its header has the shape {shape}" in refusal(path)


@pytest.mark.parametrize(("dtype", "need"), [("<f8", 96), ("<f4", 48), ("<i4", 144), ("|b1", 108)])
def test_the_memory_that_a_matrix_needs_is_judged_before_it_is_read(dtype, need, tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, W.astype(dtype))

    assert len(found(path, memory=need)[0]) == 1
    line = refusal(path, memory=need - 1)

    assert f"GiB for a 3×4 matrix of {np.dtype(dtype).name}; --memory 1G reads it." in line


def test_the_standing_limit_is_stated(tmp_path):
    path = tmp_path / "x.npy"
    with path.open("wb") as stream:  # a file with a hole, which takes no space
        stream.write(header((30_000, 20_000)))
        stream.truncate(stream.tell() + 8 * 30_000 * 20_000)

    assert refusal(path) == (
        f"{path} must need at most 4 GiB of memory to be read, got 4.47 GiB "
        "for a 30000×20000 matrix of float64; --memory 5G reads it."
    )


# Matrices as numpy would load them, or not at all.


def test_numbers_that_numpy_stores_as_raw_bytes(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, W.astype(np.float16).view("V2"))

    assert "got dtype |V2, shape (3, 4) (numpy stores bfloat16 like this" in refusal(path)


def test_a_file_that_changes_between_header_and_data(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, W)
    (matrix,), _ = find_matrices(path)
    np.save(path, W.T)

    with pytest.raises(ValueError, match="must not change while it is read"):
        matrix.read()


@pytest.mark.parametrize("name", ["=1+1.npy", "+a.npy", "-a.npy", "@a.npy"])
def test_no_name_is_a_formula_to_a_spreadsheet(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save(name, W)

    (matrix,), _ = find_matrices(type(tmp_path)(name))

    assert matrix.name == f"./{name}"
    assert os.path.samefile(matrix.name, name)
