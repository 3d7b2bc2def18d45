"""The folder of --out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from lowrank_blocks.files import require_writable, write_files


def require_folder(folder: Path, names: Iterable[str]) -> None:
    """Check --out before the work, not after it."""
    try:
        require_writable(folder, names)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _unusable(folder, error) from None


def save(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write the files, all or none."""
    try:
        write_files(folder, files)
    except OSError as error:
        raise _unusable(folder, error) from None


def _unusable(folder: Path, error: Exception) -> ValueError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return ValueError(f"--out must be a folder that can be written, got {folder}: {reason}.")
