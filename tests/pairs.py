"""Pairs of checkpoints on disk, what a folder holds, and work on them that is interrupted."""

import numpy as np
from safetensors.numpy import save_file

from lowrank_blocks.models.journal import Journal


def write_pair(folder, count=4, side=16, **odd):
    """Write a base and a fine-tuned checkpoint; `odd` are tensors (base, tuned) besides."""
    rng = np.random.default_rng(0)
    base, tuned = {}, {}
    for k in range(count):
        name = f"layers.{k}.query.weight"
        base[name] = rng.standard_normal((side, side)).astype(np.float32)
        change = rng.standard_normal((side, 3)) @ rng.standard_normal((3, side)) + rng.standard_normal(
            (side, side)
        )
        tuned[name] = base[name] + change.astype(np.float32)
    for name, (before, after) in odd.items():
        base[name.replace("__", ".")], tuned[name.replace("__", ".")] = before, after
    for name, tensors in (("base", base), ("tuned", tuned)):
        save_file(tensors, folder / f"{name}.safetensors")
    return ["--base", str(folder / "base.safetensors"), "--tuned", str(folder / "tuned.safetensors")]


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def interrupt(monkeypatch, after):
    """Interrupt the work when so many results are in the journal, once; return the list of their keys."""
    write, written = Journal.write, []

    def interrupted(self, key, arrays):
        write(self, key, arrays)
        written.append(key)
        if len(written) == after:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "write", interrupted)
    return written
