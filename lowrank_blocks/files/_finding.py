"""Which matrices a file holds, found from headers: no data is read."""

from __future__ import annotations

import contextlib
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from lowrank_blocks._validation import Matrix
from lowrank_blocks.files._headers import MAGIC, Header, first_line, read_header
from lowrank_blocks.files._kinds import ZIP, kind_of_archive, kind_of_file
from lowrank_blocks.files._stored import StoredMatrix, intact, key_of

DEFAULT_MEMORY = 4 << 30
_HEAD = 4096
_SPECIAL = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_NO_NUMBERS = {
    "U": "text",
    "S": "text",
    "O": "pickled objects, which are not read because loading them can run any code",
    "M": "dates",
    "m": "durations",
    "records": "records",
}
_SHOWN = 5  # members named in a refusal


def find_matrices(path: Path, memory: int = DEFAULT_MEMORY) -> tuple[list[StoredMatrix], list[str]]:
    """Find the matrices of a .npy or .npz file from its headers.

    Parameters
    ----------
    path : Path
        A regular file.
    memory : int, optional
        Most bytes that a matrix may need to be read.

    Returns
    -------
    matrices : list of StoredMatrix
        At least one.
    passed_over : list of str
        What else the file holds, by name and with the reason.

    Raises
    ------
    ValueError
        If the file holds no matrix, or one that cannot be read; the message names the file and the
        entry, and says what to do where that is known.
    """
    with _regular(path) as (stream, head):
        if head.startswith(MAGIC):
            return _in_array(path, stream, memory)
        if head.startswith(ZIP):
            return _in_archive(path, stream, memory)
    raise ValueError(f"{path} must be a .npy or .npz file, got {kind_of_file(head)}.")


def read_array(path: Path, memory: int = DEFAULT_MEMORY) -> Matrix:
    """Read a vector or a matrix of numbers from a .npy file.

    Parameters
    ----------
    path : Path
        A regular file.
    memory : int, optional
        Most bytes that it may need to be read.

    Raises
    ------
    ValueError
        If the file holds anything else; the message names it.
    """
    with _regular(path) as (stream, head):
        if not head.startswith(MAGIC):
            kind = "an archive" if head.startswith(ZIP) else kind_of_file(head)
            raise ValueError(f"{path} must be a .npy file, got {kind}.")
        found = _array(path, stream, memory, {1: "vector", 2: "matrix"})
    if behind := _behind([found]):
        raise ValueError(f"{path} must hold one array, got {behind[0]}.")
    return found.array()


def _in_array(path: Path, stream: IO[bytes], memory: int) -> tuple[list[StoredMatrix], list[str]]:
    found = _array(path, stream, memory, {2: "2-D array"})
    return [found], _behind([found])


def _array(path: Path, stream: IO[bytes], memory: int, kinds: Mapping[int, str]) -> StoredMatrix:
    """Return the array of a .npy file, of one of some dimensions."""
    with intact(str(path)):
        header = _header(stream)
    if len(header.shape) not in kinds:
        wanted = " or a ".join(kinds.values())
        raise ValueError(f"{path} must hold a {wanted}, got shape {header.shape} of {header.dtype}.")
    found = StoredMatrix(path, header)
    found.require_readable(memory)
    return found


def _in_archive(path: Path, stream: IO[bytes], memory: int) -> tuple[list[StoredMatrix], list[str]]:
    with intact(str(path)):
        archive = zipfile.ZipFile(stream)
    members = archive.infolist()
    headers = [_header_of_member(path, archive, member) for member in members]
    _require_distinct(path, [m for m, header in zip(members, headers, strict=True) if header is not None])
    found, passed_over = [], []
    for member, header in zip(members, headers, strict=True):
        if reason := _reason(header):
            passed_over.append(f"{path}[{key_of(member)}], which {reason}")
        elif header is not None:
            found.append(StoredMatrix(path, header, member))
    if not found:
        raise ValueError(_without_matrices(path, members, passed_over))
    for matrix in found:
        matrix.require_readable(memory)
    return found, passed_over + _behind(found)


def _header_of_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Header | None:
    if member.filename.endswith("/"):  # is_dir fails where there is no name
        return None
    with intact(f"{path}[{key_of(member)}]"), archive.open(member) as stream:
        return read_header(stream)


def _header(stream: IO[bytes]) -> Header:
    header = read_header(stream)
    assert header is not None  # the first bytes were looked at
    return header


def _reason(header: Header | None) -> str:
    """Return why there is no matrix of numbers, or nothing."""
    if header is None:
        return "is no array"
    if len(header.shape) != 2:
        return "is not 2-D"
    kind = "records" if header.dtype.names else header.dtype.kind
    return f"holds {_NO_NUMBERS[kind]}" if kind in _NO_NUMBERS else ""


def _behind(found: list[StoredMatrix]) -> list[str]:
    """Name what follows an array where one is read, such as a second array saved to the same file."""
    return [f"{m.stored - m.header.size} bytes behind {m.name}" for m in found if m.stored > m.header.size]


def _require_distinct(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse two arrays under one key, such as a.npy and a: numpy would read only one of them."""
    first: dict[str, str] = {}
    for member in members:
        key, name = key_of(member), member.filename
        if key in first:
            raise ValueError(
                f"{path} must hold each key once, got {key!r} twice, in the members {first[key]!r} and "
                f"{name!r}; save its arrays again under keys of their own."
            )
        first[key] = name


def _without_matrices(path: Path, members: list[zipfile.ZipInfo], passed_over: list[str]) -> str:
    kind = kind_of_archive(member.filename for member in members)
    if kind is not None:
        return f"{path} must be a .npy or .npz file, got {kind}."
    shown = "; ".join(passed_over[:_SHOWN]) or "no arrays"
    more = f"; and {len(passed_over) - _SHOWN} more" if len(passed_over) > _SHOWN else ""
    return f"{path} must hold at least one 2-D array of numbers, got {shown}{more}."


def _require_regular(path: Path) -> None:
    """Refuse what could block when it is opened, such as a FIFO."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise ValueError(f"{path} must be a file, got nothing there.") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} must be a file that can be read: {first_line(error)}.") from None
    if stat.S_ISDIR(mode):
        raise ValueError(f"{path} must be a file, got a folder; name the .npy and .npz files in it.")
    if not stat.S_ISREG(mode):
        kind = _SPECIAL.get(stat.S_IFMT(mode), "something else")
        raise ValueError(f"{path} must be a regular file, got {kind}; write its contents to a file first.")


@contextlib.contextmanager
def _regular(path: Path) -> Iterator[tuple[IO[bytes], bytes]]:
    """Open a regular file, and yield it with its first bytes."""
    _require_regular(path)
    with _open(path) as stream:
        head = stream.read(_HEAD)
        stream.seek(0)
        yield stream, head


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise ValueError(f"{path} must be a file that can be read: {first_line(error)}.") from None
