"""Matrices with equal entries: rounding errors of their sums have one sign, and add up."""

from __future__ import annotations

import numpy as np
from certificates import Case, tails_by_rotations, tails_of_few_kinds

import lowrank_blocks as lb

SHAPES = [
    *(
        (3, 30000),
        (1, 5000),
        (16, 1024),
        (20, 9000),
        (64, 64),
        (159, 397),
        (143, 4000),
        (30, 300),
        (112, 113),
    ),
    *((256, 256), (150, 2000), (40, 640), (7, 7), (128, 512), (70, 1500), (2, 2600)),
]
SMALL_SHAPES = [(16, 1024), (12, 2500), (24, 400), (5, 9000), (16, 410), (20, 20), (10, 90)]


def draw(seed: int) -> Case:
    """Return the case of a seed."""
    rng = np.random.default_rng(seed)
    small = rng.random() < 0.3
    names = SMALL if small else FAMILIES
    name = str(rng.choice(sorted(names)))
    shapes = SMALL_SHAPES if small else SHAPES
    m, n = shapes[rng.integers(len(shapes))]
    matrix = names[name](rng, m, n) * rng.choice([0.1, 1 / 3, 0.7, rng.uniform(0.5, 2)])
    if rng.random() < 0.2:
        matrix = matrix.T.copy()
    structure = _structure(rng, matrix.shape)
    blocks = structure.layout(matrix.shape).block_shapes
    sides = [min(shape) for shape in blocks]
    most = min(4, *sides)
    ranks = [[r] * len(blocks) for r in sorted({0, 1, int(rng.integers(0, most + 1))}) if r <= most]
    if len(blocks) > 1:
        ranks.append([int(rng.integers(0, most + 1)) for _ in blocks])
    return Case(name, matrix, structure, ranks, tails_by_rotations if small else tails_of_few_kinds)


def _structure(rng, shape):
    parts = int(rng.integers(2, 5))
    if min(shape) < parts or rng.random() < 0.6:
        return lb.Global()
    return lb.DiagonalLocal(parts) if rng.random() < 0.5 else lb.Localized(parts, 1)


def _constant(rng, m, n):
    return np.ones((m, n))


def _equal_rows(rng, m, n):
    return np.tile(rng.standard_normal((m, 1)).round(1), (1, n))[rng.integers(0, min(m, 4), m)]


def _few_kinds(rng, m, n):
    """A few kinds of rows and of columns, in blocks or scattered."""
    core = rng.choice([rng.standard_normal((4, 5)), rng.choice([-1.0, 1.0], (4, 5))])
    rows, cols = rng.integers(0, 4, m), rng.integers(0, 5, n)
    return core[np.ix_(np.sort(rows), np.sort(cols)) if rng.random() < 0.5 else np.ix_(rows, cols)]


def _constant_and_little(rng, m, n):
    """A constant, and far below it something of a few kinds."""
    return 1 + 10.0 ** rng.uniform(-9, -1) * _few_kinds(rng, m, n)


def _signs(rng, m, n):
    return rng.choice([-1.0, 1.0], (m, n))


def _walsh(rng, m, n):
    parity = np.arange(m)[:, None] & np.arange(n)
    for shift in (8, 4, 2, 1):
        parity ^= parity >> shift
    return 1.0 - 2.0 * (parity & 1)


def _integers(rng, m, n):
    return rng.integers(-2, 3, (m, n)).astype(float) + np.eye(m, n)


def _constant_and_noise(rng, m, n):
    return 1 + 10.0 ** rng.uniform(-12, -1) * rng.standard_normal((m, n))


FAMILIES = {
    "constant": _constant,
    "equal rows": _equal_rows,
    "few kinds": _few_kinds,
    "constant and little": _constant_and_little,
}
SMALL = {
    "signs": _signs,
    "Walsh": _walsh,
    "integers": _integers,
    "constant and noise": _constant_and_noise,
}
