"""A published figure that ranks structures on positive semidefinite matrices, with the exact optima.

python tests/benchmarks/surm.py           prints the page, in seconds
python tests/benchmarks/surm.py --write   into docs/published-figure.md

Sehanobish et al., "Structured Unrestricted-Rank Matrices for Parameter Efficient Fine-tuning" (arXiv
2406.17740), Figure 1, left. The caption does not say which matrices, so that several kinds are drawn.
"""

from __future__ import annotations

import argparse
import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measures import table

import lowrank_blocks as lb

PAGE = Path(__file__).parents[2] / "docs" / "published-figure.md"
SIDE, TRIALS = 100, 10
ORDER = ("low rank", "Kronecker", "circulant", "Toeplitz")  # from the worst to the best, as published


@dataclass(frozen=True)
class Toeplitz(lb.Structure):
    """The entries on a diagonal share a number: the nearest matrix has their means."""

    def layout(self, shape):
        return ToeplitzLayout(shape)

    def transposed(self):
        return self


class ToeplitzLayout(lb.Layout):
    """The sums over all diagonals, divided by the roots of their lengths, as one row."""

    def __init__(self, shape):
        m, n = shape
        super().__init__(shape, [(1, m + n - 1)])
        self.rank_costs = np.array([m + n - 1])
        self.rounding = max(shape) * np.finfo(np.float64).eps
        self._diagonals = np.arange(m)[:, None] - np.arange(n) + n - 1
        self._roots = np.sqrt(np.bincount(self._diagonals.ravel()))

    def split(self, matrix):
        return [(np.bincount(self._diagonals.ravel(), matrix.ravel()) / self._roots)[None]]

    def join(self, blocks):
        return (blocks[0][0] / self._roots)[self._diagonals]

    def cells(self):
        return [lb.Block(slice(0, self.shape[0]), slice(0, self.shape[1]))]


def gram(factor):
    """Return ``G Gᵀ``."""
    return factor @ factor.T


def rotated(rng, values):
    """Return a matrix of these eigenvalues in a basis drawn uniformly."""
    basis, _ = np.linalg.qr(rng.standard_normal((len(values), len(values))))
    return gram(basis * np.sqrt(values))


def kernel(points, width):
    """Return the Gaussian kernel of points on a line."""
    return np.exp(-0.5 * np.square((points[:, None] - points) / width))


def series(rng, n):
    """Return the covariance of 10 n samples of n steps of an autoregression, at 1/2."""
    steps = np.arange(n)
    root = np.linalg.cholesky(0.5 ** np.abs(steps[:, None] - steps))
    return gram(root @ rng.standard_normal((n, 10 * n)))


MATRICES = {
    "G Gᵀ, G normal": lambda rng, n: gram(rng.standard_normal((n, n))),
    "G Gᵀ, G normal with n / 10 columns": lambda rng, n: gram(rng.standard_normal((n, n // 10))),
    "G Gᵀ, G uniform in [0, 1]": lambda rng, n: gram(rng.uniform(size=(n, n))),
    "eigenvalues uniform in [1, 2]": lambda rng, n: rotated(rng, rng.uniform(1, 2, n)),
    "covariance of an autoregression": series,
    "kernel of width 0.05, points in order": lambda rng, n: kernel(np.sort(rng.uniform(size=n)), 0.05),
    "kernel of width 0.1, points in order": lambda rng, n: kernel(np.sort(rng.uniform(size=n)), 0.1),
    "kernel of width 0.05, points in no order": lambda rng, n: kernel(rng.uniform(size=n), 0.05),
}


def structures(n):
    """Return every structure with the numbers that it stores, and how many of them symmetry leaves."""
    side = math.isqrt(n)
    return {
        "low rank": (lb.Global(), 2 * n, n),
        "Kronecker": (lb.Kronecker(side, side), 2 * n, side * (side + 1)),
        "circulant": (lb.BlockCirculant(n), n, n // 2 + 1),
        "Toeplitz": (Toeplitz(), 2 * n - 1, n),
    }


def errors(matrix):
    """Return the least relative error of every structure."""
    return {
        name: lb.approximate(matrix, structure, numbers).relative_error
        for name, (structure, numbers, _) in structures(len(matrix)).items()
    }


def drawn(make, n):
    """Return the errors of all trials on one kind of matrices."""
    rng = np.random.default_rng(42)
    return [errors(make(rng, n)) for _ in range(TRIALS)]


def as_published(found):
    """Whether every structure is strictly better than the one before it in the published order."""
    return all(found[worse] > found[better] for worse, better in itertools.pairwise(ORDER))


def row(name, trials):
    """Return a line of the table: mean and spread of the errors, and how often the order holds."""
    columns = [[found[structure] for found in trials] for structure in ORDER]
    held = sum(map(as_published, trials))
    return [name, *(f"{np.mean(c):.4f} ± {np.std(c):.4f}" for c in columns), f"{held} of {len(trials)}"]


def named(kinds):
    """Return kinds of matrices as a phrase."""
    return " and ".join(f"*{kind}*" for kind in kinds) or "none"


INTRODUCTION = """\
# A published figure, with the optima

Written by `tests/benchmarks/surm.py --write`; a test compares.

Sehanobish et al. (arXiv 2406.17740) approximate a positive semidefinite matrix by four structures in Figure
1, left. In each of their 10 trials low rank is the worst, then come a Kronecker product, a circulant matrix
and, best, a Toeplitz matrix. All four optima have closed forms: `lb.Global`, `lb.Kronecker`,
`lb.BlockCirculant`, and the means over the diagonals, a structure written in the script. Of the paper only
the abstract and captions were read. They do not say which matrices these are, how large, or with how many
numbers. So several kinds are drawn here, {n} by {n}, {trials} of each; the kernels are Gaussian, of points
drawn from [0, 1].

{counts}
Counts cannot be equal: the factors of a Kronecker product have p and n² / p entries, which makes 2n at least.
The nearest of each to a symmetric positive semidefinite matrix is symmetric, so that fewer numbers are
distinct. Relative Frobenius errors, mean ± standard deviation, and the trials in which the published order
holds:

{found}
- That Toeplitz beats circulant is no finding: every circulant matrix is a Toeplitz matrix.
- The order holds in all trials on {always}, and in some on {sometimes}.
- It cannot hold in the mean where rotations leave the distribution as it is (G normal, or a spectrum in any
  basis). The expected energy in a space of symmetric matrices without trace is then proportional to its
  dimension: at most n / 2 for circulant ones, and k (k + 1) / 2 - 1, with n = k², for the products A ⊗ I
  alone. So the mean squared error of the Kronecker optimum is smaller than that of the circulant one, at
  every n = k² > 4.
- Low rank is the best of the four, in the mean, on {lowest}: their spectra fall fast.
"""


def report():
    """Return the page."""
    counts = table(
        ["structure", "numbers", "distinct, of a symmetric one"],
        [[name, numbers, distinct] for name, (_, numbers, distinct) in structures(SIDE).items()],
    )
    errors_of = {name: drawn(make, SIDE) for name, make in MATRICES.items()}
    found = table(
        ["matrix", *ORDER, "published order"], [row(name, trials) for name, trials in errors_of.items()]
    )
    held = {name: sum(map(as_published, trials)) for name, trials in errors_of.items()}
    always = named(name for name, count in held.items() if count == TRIALS)
    sometimes = named(name for name, count in held.items() if 0 < count < TRIALS)
    lowest = named(
        name
        for name, trials in errors_of.items()
        if min(ORDER, key=lambda way, t=trials: np.mean([e[way] for e in t])) == "low rank"
    )
    given = {"n": SIDE, "trials": TRIALS, "counts": counts, "found": found}
    return INTRODUCTION.format(always=always, sometimes=sometimes, lowest=lowest, **given)


def main():
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    args = parser.parse_args()
    page = report()
    if args.write:
        PAGE.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
