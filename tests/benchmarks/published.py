"""A published experiment that fits adapters by gradient descent, with what they could have reached.

python tests/benchmarks/published.py --quick   small matrices, seconds; needs torch
python tests/benchmarks/published.py --write   into docs/published-tables.md

Albert et al., "Towards Higher Effective Rank in Parameter-Efficient Fine-Tuning using Khatri-Rao Product"
(arXiv 2508.00230), fit adapters to matrices of several families by 300 steps of AdamW. The families and
the budget are those of their published code; the two families from CLIP's weights need a download and are
left out.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measures import table

import lowrank_blocks as lb

PAGE = Path(__file__).parents[2] / "docs" / "published-tables.md"
STEPS, RATE, DECAY = 300, 0.1, 0.01
INTRODUCTION = """\
# A published experiment, with the optima

Written by `tests/benchmarks/published.py --write`.

Albert et al. (arXiv 2508.00230) fit adapters to matrices of several families by gradient descent, and rank
the adapters by what it reaches. Three kinds of adapters have an optimum in closed form, so that two questions
can be told apart: what an adapter can hold, and what the descent finds.

Matrices are {m} by {n}. LoRA and sums of Kronecker products go through `lb.Global` and `lb.Kronecker`. The
Khatri-Rao product is a structure of its own, written in the script: every column, as a square, has rank 1.
The descent is {steps} steps of AdamW at the learning rate and decay of the published code. LoRA has one rank
more than the budget buys, as there. The two families from CLIP's weights need a download and are left out.
The paper reports differences of singular values; these are relative Frobenius errors, which the adapters are
fitted by.

"""


@dataclass(frozen=True)
class KhatriRao(lb.Structure):
    """Every column, as a square matrix, has rank 1: the Khatri-Rao product of two thin matrices."""

    def layout(self, shape):
        return KhatriRaoLayout(shape)

    def transposed(self):
        raise NotImplementedError


class KhatriRaoLayout(lb.Layout):
    """The columns of a matrix with k² rows, each as a k by k block."""

    def __init__(self, shape):
        side = math.isqrt(shape[0])
        super().__init__(shape, [(side, side)] * shape[1])

    def split(self, matrix):
        return [np.ascontiguousarray(column).reshape(self.block_shapes[0]) for column in matrix.T]

    def join(self, blocks):
        return np.stack([block.ravel() for block in blocks], axis=1)

    def cells(self):
        return [lb.Block(slice(0, self.shape[0]), slice(j, j + 1)) for j in range(self.shape[1])]


def waves(rng, low, high, m, n):
    """Return rows of sines whose frequencies rise from `low` to `high`, each with up to five others."""
    time = np.arange(n) / n
    rows = []
    for frequency in np.linspace(low, high, m):
        others = rng.uniform(low, high, rng.integers(0, 6))
        row = np.sin(2 * np.pi * frequency * time + rng.uniform())
        rows.append(row + sum((np.sin(2 * np.pi * f * time) for f in others), np.zeros(n)))
    return np.array(rows)


def families(m, n):
    """Return the matrices of the families that need no download."""
    rng = np.random.default_rng(42)
    noise = rng.standard_normal((5, m, n))
    u, s, vt = np.linalg.svd(noise[3], full_matrices=False)
    centred = noise[2] - noise[2].mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(centred.T))
    return {
        "random noise": noise[0],
        "sparse noise": noise[1] * (rng.uniform(size=(m, n)) < 0.1) / 0.1,
        "whitened noise": centred @ vectors / np.sqrt(values + 1e-5),
        "low rank": (u * np.where(np.arange(len(s)) < len(s) // 4, s, 0)) @ vt,
        "high frequencies": waves(rng, 1000, 10000, m, n),
        "low frequencies": waves(rng, 1, 100, m, n),
    }


def started(m, n, budget):
    """Return for every adapter its structure, its count of numbers, its parameters, and its product."""
    import torch

    torch.manual_seed(0)
    side, rank = math.isqrt(m), budget // (m + n) + 1
    kronecker = lb.Kronecker(side, side)
    cost = int(kronecker.layout((m, n)).rank_costs[0])
    terms = budget // cost

    def uniform(*shape):
        return (torch.rand(shape, dtype=torch.float64) * 2 - 1) / math.sqrt(shape[-1])

    def zeros(*shape):
        return torch.zeros(shape, dtype=torch.float64)

    def summed(left, right):
        return torch.einsum("rij,rkl->ikjl", left, right).reshape(m, n)

    columns = [zeros(n, side, 1), uniform(n, 1, side)]
    factors = [uniform(terms, side, side), zeros(terms, m // side, n // side)]
    return {
        f"LoRA({rank})": (
            lb.Global(), rank * (m + n), [uniform(m, rank), uniform(rank, n)], lambda b, a: b @ a,
        ),
        "Khatri-Rao": (KhatriRao(), 2 * side * n, columns, lambda x, y: (x * y).flatten(1).T),
        f"{terms} Kronecker products": (kronecker, terms * cost, factors, summed),
    }  # fmt: skip


def descended(target, parameters, product, steps):
    """Return the error, relative to the norm, after some steps of AdamW on the Frobenius distance."""
    import torch

    aim = torch.from_numpy(target)
    parameters = [p.clone().requires_grad_() for p in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=DECAY)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.linalg.norm(product(*parameters) - aim)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return float(torch.linalg.norm(product(*parameters) - aim) / torch.linalg.norm(aim))


def measured(m, n, steps):
    """Return one row a family and adapter: the optimum, and what the descent reached."""
    budget = int(2 * min(m, n) * math.sqrt(max(m, n)))
    rows = []
    for name, target in families(m, n).items():
        for label, (structure, count, parameters, product) in started(m, n, budget).items():
            best = lb.approximate(target, structure, count)
            reached = descended(target, parameters, product, steps)
            assert best.relative_error <= reached + 1e-9, (name, label)
            rows.append([name, label, best.n_parameters, f"{best.relative_error:.4f}", f"{reached:.4f}"])
    return rows


def report(*, quick):
    """Return the page."""
    m, n, steps = (64, 48, 30) if quick else (1024, 768, STEPS)
    rows = measured(m, n, steps)
    return INTRODUCTION.format(m=m, n=n, steps=steps) + table(
        ["family", "adapter", "numbers", "optimum", "descent"], rows
    )


def main():
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small matrices, few steps")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    args = parser.parse_args()
    page = report(quick=args.quick)
    if args.write:
        PAGE.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
