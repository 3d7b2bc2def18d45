"""What is recorded of the inputs, read in a thread of its own while the solver works."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lowrank_blocks.checkpoints.tensors import Checkpoint
from lowrank_blocks.checkpoints.updates import Updates
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
def inputs_beside(updates: Updates) -> Iterator[Future[Inputs]]:
    """Read the inputs in one thread, which has ended when the block is left, however that is left.

    Parameters
    ----------
    updates : Updates
        Of the two checkpoints.

    Yields
    ------
    Future of Inputs
        Its result raises what went wrong.
    """
    reader = _Reader()
    with ThreadPoolExecutor(1, "lowrank_blocks inputs") as pool:
        try:
            yield pool.submit(reader.inputs, updates, tuple(updates.skipped))
        finally:
            reader.stop.set()


class _Reader:
    """Reads until it is done, or until `stop` is set."""

    def __init__(self) -> None:
        self.stop = threading.Event()

    def inputs(self, updates: Updates, names: tuple[str, ...]) -> Inputs:
        sides = {"base": updates.base, "tuned": updates.tuned}
        hashes = {side: self._hashes(checkpoint) for side, checkpoint in sides.items()}
        norms = {}
        for name in names:
            self._go_on()
            norms[name] = norm_of_difference(updates, name)
        return Inputs(hashes, norms)

    def _hashes(self, checkpoint: Checkpoint) -> dict[str, str]:
        files = sorted({info.file for info in checkpoint.tensors.values()})
        return {file.name: self._hash(file) for file in files if file.is_file()}

    def _hash(self, file: Path) -> str:
        found, piece = hashlib.sha256(), memoryview(bytearray(_PIECE))
        with file.open("rb", buffering=0) as stream:
            while count := stream.readinto(piece):
                self._go_on()
                found.update(piece[:count])
        return found.hexdigest()

    def _go_on(self) -> None:
        if self.stop.is_set():
            raise CancelledError
