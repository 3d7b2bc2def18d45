"""Files out, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path


def require_writable(folder: Path, names: Iterable[str]) -> None:
    """Try whether files of these names can be written into a folder, and leave nothing behind.

    Raises
    ------
    OSError
        If the folder can neither be written nor made, or a name in it is taken by a folder.
    """
    with contextlib.ExitStack() as undo:
        for path in (*reversed(folder.absolute().parents), folder):
            if not path.exists():
                path.mkdir()
                undo.callback(_remove, path)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as aside:
            for name in names:
                _require_free(folder / name)
                (Path(aside) / name).touch()


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
            _require_free(folder / name)
            (Path(aside) / name).write_bytes(content.encode() if isinstance(content, str) else content)
        for name in contents:
            os.replace(Path(aside) / name, folder / name)


def _require_free(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder")


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):  # someone else has begun to use it
        folder.rmdir()
