"""Certificates of hard families in long doubles: clustered leading values, and sums of equal numbers.

`tests/tools/certificates.py` tries many more.
"""

import clusters
import equal_entries
import mpmath
import numpy as np
import pytest
from certificates import (
    Case,
    tails_by_refinement,
    tails_by_rotations,
    tails_of_constant,
    tails_of_few_kinds,
    to_long,
    verdicts,
)
from kernel_cases import each_block, exact_tails

import lowrank_blocks as lb
from lowrank_blocks.linalg import Accuracy, leading_factors, tail_energy

pytestmark = pytest.mark.skipif(
    np.finfo(np.longdouble).eps >= np.finfo(float).eps,
    reason="Long doubles are doubles here, which cannot judge doubles.",
)


def seeds(count, few):
    """Return seeds of random cases: a few by default, the others for ``-m exhaustive``."""
    return [pytest.param(s, marks=() if s < few else pytest.mark.exhaustive) for s in range(count)]


def broken(case, lanczos_from=512):
    return [v for v in verdicts(case, lanczos_from) if v.broken]


def falling_apart(side, parts, seed):
    """Return blocks on the diagonal with these values, one list a block."""
    rng, size = np.random.default_rng(seed), side // len(parts)
    matrix = np.zeros((side, side))
    for k, values in enumerate(parts):
        place = slice(k * size, (k + 1) * size)
        matrix[place, place] = clusters.rotated(rng, size, size, np.array(values))
    return matrix


@pytest.mark.parametrize("seed", seeds(60, 12))
def test_clustered_leading_values(seed):
    assert broken(clusters.draw(seed), 64 if seed % 2 else 512) == []


@pytest.mark.parametrize("seed", seeds(60, 9))
def test_equal_entries(seed):
    assert broken(equal_entries.draw(seed), 64 if seed % 2 else 512) == []


@pytest.mark.parametrize("seed", seeds(10, 3))
@pytest.mark.parametrize(
    ("side", "parts"),
    [(113, [[1.0], [1 - 7e-10]]), (96, [[1 + 1e-9, 1 - 1e-9]] * 3), (130, [[1.0, 0.5], [1 - 3e-9, 0.5]])],
    ids=["two", "three times", "with others"],
)
def test_vectors_of_a_matrix_that_falls_into_parts(side, parts, seed):
    """The leading values of all, whichever parts have them: to rounding, not only as certified."""
    lead = sum(map(len, parts))
    case = Case(
        "parts",
        falling_apart(side, parts, seed),
        lb.Global(),
        [[rank] for rank in range(1, lead)],
        lambda block: tails_by_refinement(block, lead),
    )
    found = verdicts(case)
    assert [v for v in found if v.broken] == []
    assert max(v.excess for v in found) <= 1e-15


@pytest.mark.parametrize(
    ("shape", "entry", "ranks"),
    [
        ((15, 4000), 1 / 3, [0, 1, 2]),
        ((143, 4000), 1 / 3, [0, 1]),
        ((3, 30000), 0.1, [0, 1, 2]),
        ((2, 200000), 1 / 3, [0, 1]),
        ((4096, 256), 0.1, [0, 1]),
    ],
    ids=["long", "longer", "zero", "longest", "tall"],
)
def test_sums_of_equal_numbers(shape, entry, ranks):
    """Over the longer side they are off in proportion to its length, and as much is certified."""
    case = Case("equal", np.full(shape, entry), lb.Global(), [[r] for r in ranks], tails_of_constant)
    assert broken(case) == []


def test_sums_of_constant_rows():
    matrix = np.tile(np.linspace(0.1, 1.6, 4)[np.arange(159) % 4, None], (1, 397))
    assert broken(Case("rows", matrix, lb.Global(), [[0], [1], [2]], tails_of_few_kinds)) == []


@pytest.mark.parametrize("seed", seeds(5, 2))
def test_signs(seed):
    """A Gram matrix of equal squares is off in one direction."""
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], (16, 1024))
    alike = np.outer(signs[:, 0], signs[0])
    assert broken(Case("signs", 0.1 * signs, lb.Global(), [[0], [1], [9]], tails_by_rotations)) == []
    assert broken(Case("alike", 0.1 * alike, lb.Global(), [[0], [1]], tails_of_few_kinds)) == []


@pytest.mark.parametrize("ranks", [[0, 0, 0], [1, 0, 1], [1, 1, 1]])
def test_the_energy_outside_the_blocks(ranks):
    """Where blocks leave nothing, it is all of the error."""
    matrix = np.full((600, 600), 0.1)
    case = Case("outside", matrix, lb.DiagonalLocal(3), [ranks], tails_of_constant)
    assert broken(case) == []
    budget = lb.rank_budget(matrix.shape, 1)
    made = lb.approximate(matrix, lb.DiagonalLocal(3), budget, allocate=lb.uniform)
    for accuracy in (made.accuracy, lb.decompose(matrix, lb.DiagonalLocal(3)).accuracy):
        assert 0 < accuracy.outside < min(accuracy.bound, accuracy.norm_bound)
        assert accuracy.relative_bound * accuracy.norm == pytest.approx(accuracy.bound + accuracy.norm_bound)


@pytest.mark.parametrize("count", [1, 2])
def test_the_norm_of_a_block_is_certified(count):
    """Rank 0 leaves all of it: alone, or in a stack."""
    off = []
    for entry in (0.1, 1 / 3, 0.7):
        block = np.full((3, 1500), entry)
        exact = tails_of_constant(block)[0]
        made = leading_factors([block] * count, [0] * count)
        assert made.methods == ("zero",) * count
        for found in each_block(made):
            assert abs(found.error - exact) <= found.excess <= 1e-12 * exact
            off.append(abs(found.error - exact))
    assert max(off) > 0


def test_the_bounds_of_a_whole_matrix():
    """Blocks, what is outside them, and the norm by which the error is divided."""
    for exponent in (0, 300):
        made = Accuracy.of(["gram", "zero"], [3.0, 4.0], 100.0, exponent, outside=12.0, norm_bound=2.0)
        in_units = np.ldexp([made.bound, made.outside, made.norm_bound, made.norm], -exponent)
        assert in_units.tolist() == [13.0, 12.0, 2.0, 100.0]
        assert made.relative_bound == 0.15


def test_equal_values_are_summed_without_a_drift():
    """Of a flat spectrum every tail is known, and many values are no worse."""
    for count in (256, 257, 1000, 200_000):
        curve = tail_energy(np.full(count, 0.1))
        exact = np.arange(count, -1, -1) * np.longdouble(0.1) ** 2
        assert (np.diff(curve) <= 0).all()
        assert curve[-1] == 0.0
        off = np.abs(curve - exact)[:-1] / exact[:-1]
        assert off.max() <= (max(np.sqrt(count), 128) + 4) * 2.0**-53


def test_the_oracles_agree():
    """All of them with 50 digits, in the digits that long doubles have."""
    block = np.random.default_rng(0).choice([-1.0, 0.5, 2.0], (3, 4))
    block = block[np.ix_([0, 1, 1, 2, 0], [0, 1, 2, 3, 3, 3, 1])]
    with mpmath.workdps(50):
        expected = np.array([to_long(tail) for tail in exact_tails(block)])
    for found in (tails_of_few_kinds(block), tails_by_rotations(block), tails_by_refinement(block, 3)):
        assert np.abs(found - expected[: len(found)]).max() <= 1e-17
    constant = np.full((3, 5), 1 / 3)
    assert np.abs(tails_of_constant(constant) - tails_of_few_kinds(constant)).max() <= 1e-18
