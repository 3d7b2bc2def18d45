"""Matrices in from .npy and .npz files, and files out, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from lowrank_blocks._validation import Matrix, as_matrix


def read_matrices(path: Path) -> tuple[dict[str, Matrix], list[str]]:
    """Read the matrices of a .npy or .npz file; pickles are refused.

    Returns
    -------
    matrices : dict of str to (m, n) array
        Under the path, or under ``path[key]`` for the entries of an archive.
    passed_over : list of str
        Names of arrays in an archive that are not 2-D.

    Raises
    ------
    ValueError
        If the file cannot be read, holds no matrix, or a matrix in it is empty, not numeric or
        not finite; the message names the file and the entry.
    """
    matrices: dict[str, Matrix] = {}
    passed_over: list[str] = []
    for name, array in _arrays(path):
        if array.ndim == 2:
            matrices[name] = _judged(array, name)
        elif name == str(path):
            raise ValueError(f"{name} must hold a 2-D array, got shape {array.shape}.")
        else:
            passed_over.append(name)
    if not matrices:
        raise ValueError(f"{path} must hold at least one 2-D array, got {passed_over or 'no arrays'}.")
    return matrices, passed_over


def write_files(folder: Path, contents: Mapping[str, str | bytes]) -> None:
    """Write texts and pictures into a folder, made if missing; all are written aside before any is renamed.

    Raises
    ------
    OSError
        If the folder or a file in it cannot be written. No file is then half written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as aside:
        for name, content in contents.items():
            if (folder / name).is_dir():
                raise IsADirectoryError(f"{folder / name} is a folder")
            (Path(aside) / name).write_bytes(content.encode() if isinstance(content, str) else content)
        for name in contents:
            os.replace(Path(aside) / name, folder / name)


def _arrays(path: Path) -> Iterator[tuple[str, Matrix]]:
    name = str(path)
    try:
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                yield name, loaded
                return
            with loaded:
                for key in loaded.files:
                    name = f"{path}[{key}]"
                    yield name, loaded[key]
    except FileNotFoundError:
        raise ValueError(f"{path} must be a file, got nothing there.") from None
    except Exception as error:  # damaged bytes make numpy and zipfile raise almost anything
        raise ValueError(
            f"{name} must be an intact .npy or .npz file of numbers: {_first_line(error)}"
        ) from None


def _judged(array: Matrix, name: str) -> Matrix:
    try:
        return as_matrix(array, name)
    except TypeError as error:
        raise ValueError(str(error)) from None


def _first_line(error: BaseException) -> str:
    if "allow_pickle" in str(error):
        return "it holds pickled objects, which are refused because loading them can run any code."
    return (str(error) or type(error).__name__).splitlines()[0]
