"""Try what `.accuracy` certifies and the package promises on many random matrices of every kind of float.

    python tests/tools/accuracy_campaign.py 5000 0
    python tests/tools/accuracy_campaign.py 5000 0 --small-crossovers

draws 5,000 matrices of each kind with seed 0, and exits with status 1 if a certificate is exceeded or a
promise broken; with the option matrices of a few rows take every fast
path. The truth is a one-sided Jacobi SVD in long doubles, which shares no code with LAPACK.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from pathlib import Path

import ml_dtypes
import numpy as np

import lowrank_blocks as lb

KINDS = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "big-endian float64": np.dtype(">f8"),
}
PROMISED = {name: 1e-10 if dtype.itemsize == 8 else 1e-7 for name, dtype in KINDS.items()}
SCALES = {  # powers of two of the largest entry, the last beyond the least normal number
    "float32": (0, 40, -40, 120, -149),
    "float16": (0, 8, -8, 15, -24),
    "bfloat16": (0, 40, -40, 120, -133),
    "big-endian float64": (0, 190, -190, 260, -260, 1000, -1000, -1074),
}
LONG = np.finfo(np.longdouble).eps
NUMBER = 2.0**-50  # of the norm: roots, sums and quotients of float64 numbers that are reported


def rotated(rng, m, n, spectrum):
    """Return an (m, n) matrix with these singular values, up to rounding."""
    u, v = (np.linalg.qr(rng.standard_normal((length, len(spectrum))))[0] for length in (m, n))
    return (u * spectrum) @ v.T


def tiled(rng, m, n, least=1):
    """Return a matrix of few numbers, each filling rectangles."""
    values = rng.uniform(1, 4, (1 + min(m, 3), 1 + min(n, 3)))
    return values[rng.integers(0, len(values), (m, 1)), rng.integers(0, values.shape[1], n)]


def spectrum(rng, k):
    """Return drawn singular values."""
    steps = np.arange(k)
    return [
        1.0 / (steps + 1),
        10.0 ** (-rng.uniform(1, 16) * steps / k),
        np.where(steps < max(1, k // 4), 1.0, 10.0 ** -rng.uniform(3, 14)),
        1 + 1e-9 * rng.standard_normal(k),
        np.where(steps < k // 2, 1.0, 1e-5),
    ][rng.integers(5)]


FAMILIES = {
    "constant": lambda rng, m, n: np.full((m, n), rng.uniform(1, 4)),
    "scaled identity": lambda rng, m, n: rng.uniform(1, 4) * np.eye(m, n),
    "scaled permutation": lambda rng, m, n: (
        rng.uniform(1, 4) * np.eye(max(m, n))[rng.permutation(max(m, n))][:m, :n]
    ),
    "diagonal": lambda rng, m, n: np.eye(m, n) * rng.uniform(1, 4, n),
    "signs": lambda rng, m, n: rng.uniform(1, 4) * rng.choice([-1.0, 1.0], (m, n)),
    "reflection": lambda rng, m, n: rng.uniform(1, 4) * (np.eye(m, n) - 2 / max(m, n)),
    "rectangles": tiled,
    "rank one": lambda rng, m, n: np.outer(rng.uniform(1, 2, m), rng.choice([1.0, 1.5, 1 + 2.0**-23], n)),
    "near powers of two": lambda rng, m, n: 1 + rng.integers(-3, 4, (m, n)) * 2.0**-22,
    "integers": lambda rng, m, n: rng.integers(-3, 4, (m, n)).astype(float),
    "zero rows": lambda rng, m, n: rng.standard_normal((m, n)) * rng.integers(0, 2, (m, 1)),
    "gaussian": lambda rng, m, n: rng.standard_normal((m, n)),
    "spectrum": lambda rng, m, n: rotated(rng, m, n, spectrum(rng, min(m, n))),
    "graded": lambda rng, m, n: rng.standard_normal((m, n)) * 10.0 ** -np.linspace(0, rng.uniform(1, 40), n),
    "zeros": lambda rng, m, n: np.zeros((m, n)),
}


def drawn(kind, seed, index):
    """Return the family, the matrix, a structure and the generator of one case."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind), index])
    low, high = [*[(1, 10)] * 40, *[(8, 30)] * 9, (64, 110)][rng.integers(50)]
    m, n = rng.integers(low, high, 2)
    if rng.integers(3) == 0:
        n = m
    family = list(FAMILIES)[rng.integers(len(FAMILIES))]
    power = int(rng.choice([0, *SCALES[kind]]))
    shift = power - 3 if power > 0 else power + int(rng.integers(0, 6))
    with np.errstate(under="ignore"):
        matrix = np.ldexp(FAMILIES[family](rng, int(m), int(n)), shift).astype(KINDS[kind])
    return family, matrix, structure(rng, int(m), int(n)), rng


def structure(rng, m, n):
    """Return a structure that fits, blocks of one entry included."""
    return [
        lambda: lb.Global(),
        lambda: lb.Localized(m, n) if m * n <= 400 else lb.Localized(2, 3),
        lambda: lb.Localized(int(rng.integers(1, min(m, 5) + 1)), int(rng.integers(1, min(n, 5) + 1))),
        lambda: lb.DiagonalLocal(int(rng.integers(1, min(m, n, 5) + 1))),
    ][rng.integers(4)]()


def singular_values(blocks):
    """Return the singular values of a stack of (p, q) blocks, ``p <= q``, by Jacobi's rotations of rows."""
    nothing = 4 * LONG * np.sqrt(np.square(blocks).sum(axis=(1, 2), keepdims=True))[:, 0]
    x = np.concatenate([blocks, np.zeros_like(blocks[:, : blocks.shape[1] % 2])], axis=1)
    order = np.arange(x.shape[1])
    half = len(order) // 2
    for _ in range(60):
        turned = False
        for _ in range(max(1, len(order) - 1)):
            i, j = order[:half], order[half:][::-1]
            turned |= rotate(x, i, j, nothing)
            order = np.concatenate([order[:1], order[-1:], order[1:-1]])
        if not turned:
            lengths = np.sqrt(np.square(x).sum(axis=-1))
            return -np.sort(-lengths, axis=-1)[:, : blocks.shape[1]]
    raise ArithmeticError("Jacobi's rotations did not converge")


def rotate(x, i, j, nothing):
    """Make rows i and j orthogonal, pair by pair, unless one is nothing; say whether any were not."""
    a, b = x[:, i], x[:, j]
    aa, bb, ab = (a * a).sum(-1), (b * b).sum(-1), (a * b).sum(-1)
    skew = np.abs(ab) > 8 * LONG * math.sqrt(x.shape[-1]) * np.sqrt(aa) * np.sqrt(bb)
    skew &= np.sqrt(np.minimum(aa, bb)) > nothing
    if not skew.any():
        return False
    zeta = np.where(skew, (bb - aa) / (2 * np.where(skew, ab, 1)), 0)
    t = np.where(skew, np.where(zeta < 0, -1, 1) / (np.abs(zeta) + np.hypot(1, zeta)), 0)
    cosine = 1 / np.hypot(1, t)
    sine = cosine * t
    x[:, i] = cosine[..., None] * a - sine[..., None] * b
    x[:, j] = sine[..., None] * a + cosine[..., None] * b
    return True


def tails(matrix, blocks):
    """Return the least error of every block at every rank."""
    found = {}
    for shape in {b.shape for b in blocks}:
        alike = [k for k, b in enumerate(blocks) if b.shape == shape]
        stack = np.stack([matrix[blocks[k]] for k in alike])
        s = singular_values(stack if shape[0] <= shape[1] else stack.swapaxes(1, 2))
        left = np.sqrt(np.cumsum(np.square(s)[:, ::-1], axis=1)[:, ::-1])
        found |= dict(zip(alike, np.hstack([left, np.zeros_like(left[:, :1])]), strict=True))
    return [found[k] for k in range(len(blocks))]


class Case:
    """A matrix, divided by a power of four, with its true errors."""

    def __init__(self, kind, matrix, structure):
        self.kind, self.matrix, self.structure = kind, matrix, structure
        wide = matrix.astype(np.float64)
        self.half = math.frexp(float(np.abs(wide).max()))[1] // 2
        self.long = np.ldexp(wide.astype(np.longdouble), -2 * self.half)
        self.norm = np.sqrt(np.square(self.long).sum())
        self.blocks = structure.layout(matrix.shape).cells()
        self.tails = tails(self.long, self.blocks)
        outside = self.long.copy()
        for block in self.blocks:
            outside[block] = 0
        self.uncovered = np.sqrt(np.square(outside).sum())
        self.slack = (NUMBER + 64 * LONG * math.sqrt(matrix.size)) * self.norm

    def long_unit(self, value):
        """Return numbers in the units of the matrix, divided by the power of four."""
        return np.ldexp(np.longdouble(value), -2 * self.half)

    def exceeded(self, best):
        """Return what an approximation claims and does not keep, and its excess as a share of the promise."""
        least = np.array([t[r] for t, r in zip(self.tails, best.ranks, strict=True)])
        real = np.array([self.residual(*pair) for pair in zip(self.blocks, best.factors, strict=True)])
        optimum, error = (np.sqrt(np.square(x).sum() + self.uncovered**2) for x in (least, real))
        bound = best.accuracy.relative_bound * self.norm
        reported = best.relative_error * self.norm
        in_units = self.long_unit(best.accuracy.bound)
        norm_bound = self.long_unit(best.accuracy.norm_bound)
        claims = {
            "the factors are as good as certified": error - optimum - bound,
            "the factors are as good as certified in units": error - optimum - in_units,
            "the blocks are as good as certified": (
                real - least - self.long_unit(best.accuracy.bounds)
            ).max(),
            "the error is what is certified": abs(reported - optimum) - bound,
            "the error in units is what is certified": abs(self.long_unit(best.error) - optimum) - in_units,
            "the factors keep the promise": error - optimum - PROMISED[self.kind] * self.norm,
            "the error keeps the promise": abs(reported - optimum) - PROMISED[self.kind] * self.norm,
            "the certificate keeps the promise": bound - PROMISED[self.kind] * self.norm,
            "no factors beat the optimum": optimum - error,
            "the norm is what is certified": abs(self.long_unit(best.accuracy.norm) - self.norm) - norm_bound,
        }
        wrong = [f"{claim}: {float(by / self.norm):.2g}" for claim, by in claims.items() if by > self.slack]
        return wrong, float((error - optimum) / (PROMISED[self.kind] * self.norm)) if self.norm else 0.0

    def residual(self, block, factors):
        """Return the norm of what factors leave of a block."""
        b, a = (np.ldexp(f.astype(np.longdouble), -self.half) for f in factors)
        return np.sqrt(np.square(self.long[block] - b @ a).sum())

    def exceeded_by_spectra(self, parts, ranks):
        """Return the claims of errors from spectra alone that do not hold."""
        least = [t[r] for t, r in zip(self.tails, ranks, strict=True)]
        optimum = np.sqrt(np.square(least).sum() + self.uncovered**2)
        wrong = abs(parts.relative_error(ranks) * self.norm - optimum)
        claims = {
            "spectra": wrong - parts.accuracy.relative_bound * self.norm,
            "spectra in units": abs(self.long_unit(parts.error(ranks)) - optimum)
            - self.long_unit(parts.accuracy.bound),
            "promise of spectra": wrong - PROMISED[self.kind] * self.norm,
        }
        return [f"{claim}: {float(by / self.norm):.2g}" for claim, by in claims.items() if by > self.slack]


def tried(kind, seed, index):
    """Return the family of a case, what was claimed and not kept, and the largest excess as a share."""
    family, matrix, chosen, rng = drawn(kind, seed, index)
    case = Case(kind, matrix, chosen)
    budget = int(rng.integers(0, matrix.size + 1))
    allocate = [lb.adaptive, lb.uniform][rng.integers(2)]
    parts = lb.decompose(matrix, chosen)
    ranks = [int(rng.integers(0, min(b.shape) + 1)) for b in case.blocks]
    results = [lb.approximate(matrix, chosen, budget, allocate=allocate), parts.truncate(ranks)]
    judged = [case.exceeded(best) for best in results]
    wrong = [claim for claims, _ in judged for claim in claims] + case.exceeded_by_spectra(parts, ranks)
    return family, wrong, max(share for _, share in judged)


def campaign(count, seed):
    """Try `count` matrices of every kind; return the failures and the largest excess by kind and family."""
    failures, largest = [], Counter()
    for kind in KINDS:
        for index in range(count):
            family, wrong, share = tried(kind, seed, index)
            largest[kind, family] = max(largest[kind, family], share)
            failures += [f"{kind}, seed {seed}, case {index}, {family}: {claim}" for claim in wrong]
    return failures, largest


def main(count, seed):
    """Print what was found, and return whether all claims were kept."""
    failures, largest = campaign(count, seed)
    print("largest excess of factors over the optimum, as a share of what is promised:")
    for family in FAMILIES:
        print(f"{family:20}", *(f"{kind} {largest[kind, family]:.2g}" for kind in KINDS), sep="  ")
    print(f"{count} matrices of each of {len(KINDS)} kinds, seed {seed}: {len(failures)} claims not kept")
    print(*failures[:50], sep="\n")
    return not failures


def _force_small_crossovers():
    """Let matrices of a few rows take every fast path."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from small_crossovers import SMALL_CROSSOVERS

    for module, name, value in SMALL_CROSSOVERS:
        setattr(module, name, value)


if __name__ == "__main__":
    if "--small-crossovers" in sys.argv:
        _force_small_crossovers()
    sys.exit(not main(*map(int, sys.argv[1:3])))
