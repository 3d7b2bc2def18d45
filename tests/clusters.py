"""Matrices whose leading values are nearly equal."""

from __future__ import annotations

from functools import partial

import numpy as np
from certificates import Case, tails_by_refinement

import lowrank_blocks as lb


def draw(seed: int) -> Case:
    """Return the case of a seed."""
    rng = np.random.default_rng(seed)
    name = str(rng.choice(sorted(FAMILIES)))
    matrix, lead = FAMILIES[name](rng, int(rng.integers(64, 131)))
    matrix = matrix.T.copy() if rng.random() < 0.2 else matrix
    ranks = [[rank] for rank in rng.integers(1, min(lead, min(matrix.shape) - 1) + 1, 3).tolist()]
    return Case(name, matrix, lb.Global(), ranks, partial(tails_by_refinement, lead=lead))


def rotated(rng, m, n, spectrum):
    """Return an (m, n) matrix with these singular values, up to rounding."""
    u, v = (np.linalg.qr(rng.standard_normal((length, len(spectrum))))[0] for length in (m, n))
    return (u * spectrum) @ v.T


def _cluster(rng, count):
    """Return so many values near 1: some equal, some a few roundings apart, some a little more."""
    gap = 10.0 ** rng.uniform(-16, -5)
    steps = rng.integers(-2, 3, count) if rng.random() < 0.5 else rng.standard_normal(count)
    return 1 + gap * steps


def _alone(rng, side):
    lead = int(rng.integers(2, 13))
    return rotated(rng, side, side + int(rng.integers(0, 40)), _cluster(rng, lead)), lead


def _above_noise(rng, side):
    lead = int(rng.integers(2, 13))
    matrix = rotated(rng, side, side, _cluster(rng, lead))
    return matrix + 10.0 ** rng.uniform(-12, -4) * rng.standard_normal((side, side)), lead


def _above_a_flat_rest(rng, side):
    lead = int(rng.integers(2, 13))
    rest = 10.0 ** rng.uniform(-9, -2) * np.ones(side - lead)
    return rotated(rng, side, side + 3, np.append(_cluster(rng, lead), rest)), lead


def _two_levels(rng, side):
    upper, lower = rng.integers(1, 7, 2)
    low = 10.0 ** rng.uniform(-6, -1)
    values = np.concatenate([_cluster(rng, upper), low * _cluster(rng, lower)])
    return rotated(rng, side, side, values), int(upper + lower)


def _parts(rng, side):
    """Blocks on the diagonal with values in common, rows and columns shuffled."""
    matrix, lead, start = np.zeros((side, side)), 0, 0
    values = _cluster(rng, int(rng.integers(1, 4)))
    while start < side:
        size = min(int(rng.integers(len(values), 40)), side - start)
        here = values[:size] if rng.random() < 0.5 else _cluster(rng, 1)
        matrix[start : start + size, start : start + size] = rotated(rng, size, size, here)
        lead, start = lead + len(here), start + size
    return _shuffled(rng, matrix), lead


def _diagonal(rng, side):
    lead = int(rng.integers(2, 30))
    return _shuffled(rng, np.diag(np.append(_cluster(rng, lead), np.zeros(side - lead)))), lead


def _repeated(rng, side):
    copies = side // 16
    return np.kron(np.eye(copies), rotated(rng, 16, 16, _cluster(rng, 2))), 2 * copies


def _shuffled(rng, matrix):
    return matrix[rng.permutation(len(matrix))][:, rng.permutation(matrix.shape[1])]


FAMILIES = {
    "alone": _alone,
    "above noise": _above_noise,
    "above a flat rest": _above_a_flat_rest,
    "two levels": _two_levels,
    "parts": _parts,
    "diagonal": _diagonal,
    "repeated": _repeated,
}
