"""What is recorded of the inputs, read in threads of their own while the solver works."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lowrank_blocks.checkpoints.tensors import Checkpoint
from lowrank_blocks.checkpoints.updates import Updates
from lowrank_blocks.linalg import processors
from lowrank_blocks.models.rest import norm_of_difference

_PIECE = 1 << 18  # bytes that are hashed at a time; numpy and hashlib let other threads run meanwhile


@dataclass(frozen=True)
class Inputs:
    """What is recorded of two checkpoints.

    Attributes
    ----------
    hashes : dict of str to dict of str to str
        SHA-256 of every file, by its name, of ``"base"`` and of ``"tuned"``; none of arrays in memory.
    norms : dict of str to float or None
        Norms of the differences of tensors that were left out from the start; see `LeftOut`.
    """

    hashes: Mapping[str, Mapping[str, str]]
    norms: Mapping[str, float | None]


@contextlib.contextmanager
def inputs_beside(updates: Updates) -> Iterator[Callable[[], Inputs]]:
    """Read the inputs in one or two threads, which have ended when the block is left, however that is left.

    Where there are more than two processors, both checkpoints are hashed at once.

    Parameters
    ----------
    updates : Updates
        Of the two checkpoints.

    Yields
    ------
    callable
        Waits for the threads, and returns what they found; it raises what went wrong.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(1 if processors() <= 2 else 2, "lowrank_blocks inputs") as pool:
        sides = {"base": updates.base, "tuned": updates.tuned}
        hashes = {side: pool.submit(_hashes, checkpoint, stop) for side, checkpoint in sides.items()}
        norms = pool.submit(_norms, updates, tuple(updates.skipped), stop)
        try:
            yield lambda: Inputs({side: found.result() for side, found in hashes.items()}, norms.result())
        finally:
            stop.set()


def _norms(updates: Updates, names: Sequence[str], stop: threading.Event) -> dict[str, float | None]:
    norms = {}
    for name in names:
        _go_on(stop)
        norms[name] = norm_of_difference(updates, name)
    return norms


def _hashes(checkpoint: Checkpoint, stop: threading.Event) -> dict[str, str]:
    files = sorted({info.file for info in checkpoint.tensors.values()})
    return {file.name: _hash(file, stop) for file in files if file.is_file()}


def _hash(file: Path, stop: threading.Event) -> str:
    found, piece = hashlib.sha256(), memoryview(bytearray(_PIECE))
    with file.open("rb", buffering=0) as stream:
        while count := stream.readinto(piece):
            _go_on(stop)
            found.update(piece[:count])
    return found.hexdigest()


def _go_on(stop: threading.Event) -> None:
    if stop.is_set():
        raise CancelledError
