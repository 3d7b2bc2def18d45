"""Whole models: leading values against whole spectra, a pair of checkpoints against torch, a simulated 7B.

python tests/benchmarks/models.py --quick             small cases, seconds
python tests/benchmarks/models.py --pair FOLDER       with the pair that notebook 06 unpacks, minutes
python tests/benchmarks/models.py --write [--pair F]  into docs/model-benchmarks.md; alone on a machine
python tests/benchmarks/models.py --only-pair --pair F --write  the pair alone, into docs/pair-benchmarks.md
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
import scipy
from measures import table
from timing import duels, once

import lowrank_blocks as lb
from lowrank_blocks.linalg import Ragged
from lowrank_blocks.models.assignments import assign
from lowrank_blocks.models.candidates import Candidate, candidate
from lowrank_blocks.solver.decomposition import decompose_view

DOCS = Path(__file__).parents[2] / "docs"
RANK = 16
LLAMA_7B = [(4096, 4096)] * 4 + [(11008, 4096)] * 2 + [(4096, 11008)]


def leading(cases):
    """Compare as many leading values as a budget of rank 16 asks for with the whole spectrum."""
    rows = []
    for side, exponents in cases:
        matrices = [lb.synthetic.power_law((side, side), exponent=e).matrix for e in exponents]
        calls = [
            (partial(candidate, dW, lb.Global(), RANK), partial(decompose_view, dW, lb.Global()))
            for dW in matrices
        ]
        rows += [
            [f"{side}², power law, exponent {e:g}", f"{ratio:.2f}", f"{ours:.2f} s", f"{whole:.2f} s"]
            for e, (ratio, ours, whole) in zip(exponents, duels(calls), strict=True)
        ]
    return table(["matrix", "ratio", "leading values", "whole spectrum"], rows)


def _drawn(rng, shape, blocks, exponent, scale):
    """Return a candidate whose spectra are drawn: a power law with some noise."""
    p, q = shape[0] // blocks, shape[1] // blocks
    law = scale / blocks * np.arange(1, min(p, q) + 1.0) ** -exponent
    values = [np.sort(law * rng.uniform(0.5, 1.5, len(law)))[::-1] for _ in range(blocks**2)]
    none, costs = np.zeros(blocks**2), np.full(blocks**2, p + q)
    return Candidate(Ragged.of(values), costs, sum(shape), 0.0, none, none, lb.Localized(blocks))


def simulated(layers):
    """Plan a model of these shapes with spectra that are drawn; no weights are made."""
    rng = np.random.default_rng(0)
    matrices = []
    for shape in LLAMA_7B * layers:
        exponent, scale = rng.uniform(0.4, 0.8), rng.uniform(0.5, 2.0)
        matrices.append([_drawn(rng, shape, blocks, exponent, scale) for blocks in (1, 4)])
    budget = RANK * sum(map(sum, LLAMA_7B)) * layers
    start = time.perf_counter()
    found = assign(matrices, budget)
    taken = time.perf_counter() - start
    tracemalloc.start()  # which slows all down
    assign(matrices, budget)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    error = found.ledger.relative_error(found.choice.ranks)
    cells = [
        len(matrices),
        f"{taken:.1f} s",
        f"{peak / 2**20:.0f} MiB",
        f"{error:.5f}",
        f"{error - found.bound:.1e}",
    ]
    return table(["matrices", "time", "memory", "relative error", "gap at most"], [cells])


def pair(folder):
    """Compare ways from a real pair of checkpoints to factors, and what ours need of memory."""
    from extractors import MISSING, Pair, measured

    found = Pair(folder)
    rows = measured(found)
    columns = [
        f"{len(found.updates)} matrices, rank {RANK}",
        "time / SVD",
        "least times",
        "processor / SVD",
        "time",
        "error",
    ]
    largest = max(dW.nbytes for dW in found.updates.values()) / 2**20
    grown = [(found.private_memory(ranks), ranks) for ranks in ("uniform", "adaptive")]
    shown = " and ".join(f"{mib:.1f} MiB, {mib / largest:.1f} times as much ({way})" for mib, way in grown)
    lines = [
        table(columns, rows),
        f"The largest of these matrices takes {largest:.2f} MiB. During `extract` private memory grows by at",
        f"most {shown}.",
        "What is mapped of the files comes on top.",
        *(f"\nNot installed, hence left out: {name}." for name in MISSING),
    ]
    return "\n".join(lines) + "\n"


INTRODUCTION = """# {title}

Written by `tests/benchmarks/models.py {options}--write` ({machine}, numpy {numpy}, scipy {scipy}).
One BLAS thread and one worker. Calls alternate in one process, and ratios are medians of those of every
turn. Below 1 we are faster. On {cpus} processors, whose load average was {load:.1f} at the start.
"""
BEFORE_VALUES = """## Leading values of a budget of rank {rank}, against the whole spectrum
"""
AFTER_VALUES = """Pairs of 4096² are measured once. Below sides of 1024 whole spectra are computed, which cost
little more.

## A plan for the shapes of Llama 7B

Spectra are drawn, so that this is the time of the plan alone: structures and ranks from global and 4×4
candidates with whole spectra. The time of the spectra follows from the table above and the number of
matrices; it was not measured.
"""
BEFORE_PAIR = """## A real pair

The encoder matrices of the pair of notebook 06, in float32. `extract` reads the files, hashes them,
measures what is left out and writes the adapter; hashes and what is left out have a thread beside the
solver, and two where there are more than two processors. mergekit is its command `mergekit-extract-lora`,
called in this process. PEFT is the function that its `convert_to_lora` calls for every module. Both solve
by `torch.linalg.svd`, and torch has one thread. Ratios are to a loop over `torch.linalg.svd` alone: medians
over the turns, and that of the least times of all turns, which depends less on what else the machine does.
Those of processor time count all threads of the process. LAPACK's eigenvectors alone are those of the Gram
matrices, in single precision: what `approximate` adds is the projection, the proof and the rest. Errors are
relative to the norm of all these updates.
"""


def introduction(title, options=""):
    """Return the head of a page."""
    machine = {"machine": platform.machine(), "numpy": np.__version__, "scipy": scipy.__version__}
    machine |= {"cpus": os.cpu_count(), "load": os.getloadavg()[0]}
    return INTRODUCTION.format(title=title, options=options, **machine)


def report(quick, folder):
    """Return the page."""
    parts = [
        introduction("Benchmarks of whole models"),
        BEFORE_VALUES.format(rank=RANK),
        leading([(256, (1.0,))] if quick else [(2048, (0.5, 1.0)), (4096, (0.5, 1.0))]),
        AFTER_VALUES,
        simulated(1 if quick else 32),
    ]
    return "\n".join(parts + ([BEFORE_PAIR, pair(folder)] if folder else []))


def report_of_pair(folder):
    """Return the page of the pair alone, for a machine with more processors."""
    title = "A real pair on a machine with more processors"
    return "\n".join([introduction(title, "--only-pair "), BEFORE_PAIR, pair(folder)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--pair")
    parser.add_argument("--only-pair", action="store_true")
    args = parser.parse_args()
    lb.set_workers(1)
    if args.quick:
        once()
    text = report_of_pair(args.pair) if args.only_pair else report(args.quick, args.pair)
    if args.write:
        page = "pair-benchmarks.md" if args.only_pair else "model-benchmarks.md"
        (DOCS / page).write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
