"""Standard output and standard error, whatever state they are in."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from lowrank_blocks._escaping import printable


def prepare() -> None:
    """Make the streams fit to be written to; standard output stays None if it is closed."""
    # A file opened later must not become descriptor 2, where libraries write their warnings.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stderr is None:  # print and argparse would then write errors to standard output
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  (it stays open as long as the process)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without × or ΔW still gets its table


def write(text: str) -> None:
    """Write to standard output; it is no error if the reader has left, as `head` does.

    Raises
    ------
    ValueError
        If the text cannot be written, as on a full disk.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
    except OSError as error:
        _silence(sys.stdout)
        raise ValueError(f"standard output must take what is written, got: {error.strerror}.") from None


def say(text: str, command: str = "lowrank-blocks") -> None:
    """Write one line to standard error; if that is closed, do nothing."""
    try:
        print(printable(f"{command}: {text}"), file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)


def refuse(text: str) -> int:
    """Say why there is no result and return the exit code."""
    say(text)
    return 2


def _silence(stream: TextIO) -> None:
    """Keep Python from writing what is left once more when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
