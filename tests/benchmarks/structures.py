"""Monarch, Kronecker and the atlas against numpy and torch-structured.

python tests/benchmarks/structures.py --quick   small cases, seconds
python tests/benchmarks/structures.py --write   into docs/structure-benchmarks.md

torch-structured is measured where it, einops and torch are installed.
"""

from __future__ import annotations

import argparse
import itertools
import platform
from functools import partial
from pathlib import Path

import numpy as np
import timing
from measures import table, target
from timing import duels

import lowrank_blocks as lb
from lowrank_blocks.linalg.threads import workers

PAGE = Path(__file__).parents[2] / "docs" / "structure-benchmarks.md"
TARGET = 0.5
ROUNDS = 5  # minutes apart, as the second core of a shared machine comes and goes
SPECTRA = ("power law", "flat")


def monarch_in_numpy(matrix, parts, rank):
    """Return the product of the truncated SVDs of every block of every `parts`-th row."""
    m, n = matrix.shape
    blocks = matrix.reshape(m // parts, parts, parts, n // parts).transpose(1, 2, 0, 3)
    u, s, vt = np.linalg.svd(blocks, full_matrices=False)
    found = (u[..., :rank] * s[..., None, :rank]) @ vt[..., :rank, :]
    return found.transpose(2, 0, 1, 3).reshape(m, n)


def kronecker_in_numpy(matrix, rows, cols, rank):
    """Return the nearest sum of Kronecker products by Van Loan's rearrangement."""
    m, n = matrix.shape
    c, d = m // rows, n // cols
    tiles = matrix.reshape(rows, c, cols, d).transpose(0, 2, 1, 3).reshape(rows * cols, c * d)
    u, s, vt = np.linalg.svd(tiles, full_matrices=False)
    found = (u[:, :rank] * s[:rank]) @ vt[:rank]
    return found.reshape(rows, cols, c, d).transpose(0, 2, 1, 3).reshape(m, n)


def torch_structured():
    """Return the projection of torch-structured on Monarch matrices of any rank; None without it."""
    try:
        import torch
        from torch_structured.monarch.blockdiag_butterfly_einsum import (
            blockdiag_butterfly_project_einsum_rank as project,
        )
    except ImportError:
        return None
    torch.set_num_threads(1)
    return lambda matrix, parts, rank: project(torch.from_numpy(matrix), parts, parts, rank)


def dense_of(factors):
    """Return the matrix that factors of torch-structured stand for."""
    first, second = (f.numpy() for f in factors)  # (k, r j, i), (j, l, k r)
    k, _, i = first.shape
    j, length, kr = second.shape
    r = kr // k
    a, b = first.reshape(k, r, j, i), second.reshape(j, length, k, r)
    return np.einsum("krji,jlkr->ljki", a, b).reshape(length * j, k * i)


def duellists(matrix, parts, rank, theirs):
    """Yield for every structure its name, that of the rival, and both calls."""
    for count in parts:
        label = f"Monarch({count}), rank {rank}"
        ours = partial(lb.approximate, matrix, lb.Monarch(count), rank=count * rank, allocate=lb.uniform)
        yield label, "numpy", ours, partial(monarch_in_numpy, matrix, count, rank)
        if theirs:
            yield label, "torch-structured", ours, partial(theirs, matrix, count, rank)
    structure = lb.Kronecker(matrix.shape[0] // 32, matrix.shape[1] // 32)
    budget = int(rank * structure.layout(matrix.shape).rank_costs[0])
    rival = partial(kronecker_in_numpy, matrix, structure.rows, structure.cols, rank)
    yield f"{structure}, {rank} terms", "numpy", partial(lb.approximate, matrix, structure, budget), rival


def measured(shapes, parts, rank):
    """Return rows of ratios, and how far the answers are apart, relative to the norm."""
    theirs = torch_structured()
    cases, calls = [], []
    for shape, name in itertools.product(shapes, SPECTRA):
        matrix = target(name, *shape)
        for label, rival, ours, other in duellists(matrix, parts, rank, theirs):
            answer = other()
            dense = dense_of(answer) if rival == "torch-structured" else answer
            apart = np.linalg.norm(ours().to_dense() - dense) / np.linalg.norm(matrix)
            cases.append([f"{shape[0]}×{shape[1]}, {name}", label, rival, apart])
            calls.append((ours, other))
    rounds = [[ratio for ratio, *_ in duels(calls)] for _ in range(ROUNDS)]
    ratios = np.median(rounds, axis=0).tolist()
    return [
        [where, label, rival, f"{ratio:.2f}", f"{TARGET}", f"{apart:.0e}"]
        for (where, label, rival, apart), ratio in zip(cases, ratios, strict=True)
    ]


def atlas(side):
    """Return how long all families of adapters take, in SVDs of the matrix by numpy."""
    rng = np.random.default_rng(0)
    update, base = rng.standard_normal((2, side, side))
    rows = []
    for label, weights in (("without a base", None), ("with a base", base)):
        ((ratio, *_),) = duels([(partial(lb.atlas, update, weights, rank=8), partial(np.linalg.svd, update))])
        rows.append([f"{side}×{side}, {label}", f"{ratio:.1f}", "10"])
    return table(["atlas of", "time / numpy's SVD", "target"], rows)


def report(*, quick):
    """Return the page."""
    shapes = [(64, 64)] if quick else [(1024, 1024), (4096, 1024)]
    rows = measured(shapes, *(((4,), 2) if quick else ((4, 32), 4)))
    columns = ["matrix", "structure", "rival", "time / rival", "target", "answers apart"]
    return "\n".join(
        [
            "# Benchmarks of structures\n",
            "Written by `tests/benchmarks/structures.py --write` "
            f"({platform.machine()}, numpy {np.__version__}, {workers()} workers).",
            "Rivals run at one BLAS thread, we at our default; calls alternate; ratios are medians of",
            f"{ROUNDS} rounds of medians; below 1 we are faster.\n",
            "The rivals: a rearrangement and a batched SVD in numpy, and the projection of torch-structured",
            "where it is installed. All compute the same matrix; the last column is how far the answers are",
            "apart, relative to the norm. Monarch(32) of a square matrix with 32 rows a part is that of the",
            "paper.\n",
            table(columns, rows),
            "## The atlas of all families of adapters\n",
            atlas(64 if quick else 768),
        ]
    )


def main():
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small cases, each once")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    args = parser.parse_args()
    if args.quick:
        timing.once()
    page = report(quick=args.quick)
    if args.write:
        PAGE.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
