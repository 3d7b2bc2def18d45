"""Factors in float32: what rounding them moves, where their roundings coincide, and where float64 ends."""

from dataclasses import replace
from fractions import Fraction

import ml_dtypes
import mpmath
import numpy as np
import pytest
from kernel_cases import SINGLE, exact_tails
from tools.accuracy_campaign import FAMILIES, KINDS, Case, tried

import lowrank_blocks as lb
from lowrank_blocks.linalg import single

pytestmark = pytest.mark.exhaustive

HALF = 2.0**-24  # the unit of rounding of float32
LEAST = 1.504 * HALF


def moved(b, a, single_b, single_a):
    """Return the norm of ``b @ a - single_b @ single_a``, from exact arithmetic."""
    rows = [[[Fraction(float(x)) for x in row] for row in f] for f in (b, a, single_b, single_a)]
    b, a, single_b, single_a = rows
    square = sum(
        (sum(b[i][k] * a[k][j] - single_b[i][k] * single_a[k][j] for k in range(len(a)))) ** 2
        for i in range(len(b))
        for j in range(len(a[0]))
    )
    return float(mpmath.sqrt(mpmath.mpf(square.numerator) / square.denominator))


def balanced(rng, p, r, q):
    """Return factors with orthogonal columns and rows, and the norm of their product."""
    values = np.sort(rng.uniform(0.1, 4, r))[::-1]
    b, a = (np.linalg.qr(rng.standard_normal((length, r)))[0] * np.sqrt(values) for length in (p, q))
    return b, a.T, float(np.linalg.norm(values))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 5), (4, 1, 4), (3, 2, 6), (5, 5, 5)], ids=str)
def test_what_rounding_moves_is_bounded(shape):
    """Each block of a stack by itself, against exact arithmetic, and by at most what theory says."""
    rng = np.random.default_rng(shape)
    cases = [balanced(rng, *shape) for _ in range(60)]
    b, a = (np.stack([case[k] for case in cases]) for k in (0, 1))
    single_b, single_a, bounds = single.in_single(b, a)
    assert single_b.dtype == single_a.dtype == np.float32
    for k, (*_, norm) in enumerate(cases):
        true = moved(b[k], a[k], single_b[k], single_a[k])
        assert true <= bounds[k] <= true + 1e-3 * HALF * norm
        assert bounds[k] <= LEAST * norm


def rotation(cosine, sine):
    return np.array([[cosine, sine], [-sine, cosine]])


COINCIDING = {
    "1×1": (np.full((1, 1), 1 + 0.999 * HALF), np.full((1, 1), 1 + 0.999 * HALF)),
    "constant": (np.full((4, 1), 1 + 0.999 * HALF), np.full((1, 4), 1 + 0.999 * HALF)),
    "identity": ((1 + 0.999 * HALF) * np.eye(3), (1 + 0.999 * HALF) * np.eye(3)),
    "rotation": (rotation(1 + 0.999 * HALF, 1 + 1.001 * HALF),) * 2,
}


@pytest.mark.parametrize(("b", "a"), COINCIDING.values(), ids=COINCIDING)
def test_roundings_that_coincide_are_taken_apart(b, a):
    """Evenly split, both factors are rounded alike: off by two units, above what is promised."""
    norm = float(np.linalg.norm(b @ a))
    assert moved(b, a, b.astype(np.float32), a.astype(np.float32)) > SINGLE * norm

    (single_b,), (single_a,), (bound,) = single.in_single(b[None], a[None])

    assert moved(b, a, single_b, single_a) <= bound <= LEAST * norm
    for factor, rounded in ((b, single_b), (a, single_a)):
        ratio = np.linalg.norm(rounded) / np.linalg.norm(factor)
        assert 2**-0.5 - 1e-6 <= ratio <= 2**0.5 + 1e-6


def test_the_split_that_rounds_best_is_taken():
    """Of all sixteen, by the squares of both relative errors, from exact arithmetic."""

    def cost(b, a):
        off = (abs(Fraction(float(np.float32(x))) / Fraction(float(x)) - 1) for x in (b, a))
        return float(sum(x**2 for x in off))

    splits = 2.0 ** (np.arange(-8, 8) / 16)
    for number in 1 + np.linspace(0.72, 1, 100) * HALF:
        b = np.full((1, 1, 1), number)
        single_b, single_a, _ = single.in_single(b, b)
        costs = [cost(t * number, number / t) for t in splits]
        split = min(splits, key=lambda t: abs(float(single_b[0, 0, 0]) / number - t))
        assert cost(split * number, number / split) <= min(costs) * (1 + 1e-6)
        assert single_a[0, 0, 0] == np.float32(number / split)


def test_roundings_that_do_not_coincide_keep_the_even_split():
    rng = np.random.default_rng(1)
    b, a, _ = balanced(rng, 8, 6, 9)
    single_b, single_a, _ = single.in_single(b[None], a[None])
    assert (single_b[0] == b.astype(np.float32)).all()
    assert (single_a[0] == a.astype(np.float32)).all()


def test_one_of_the_splits_is_good_for_any_numbers():
    """The lemma: over the splits the mean of (power of two below x / x)² is at most 0.565, hence 1.504."""
    starts = 2.0 ** np.linspace(0, 1, 10_001)[:, None]
    numbers = starts * single._SPLITS
    means = np.square(np.exp2(np.floor(np.log2(numbers))) / numbers).mean(axis=1)
    assert 2 * np.sqrt(means.max()) <= 1.504


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("count", [1, 5])
def test_blocks_of_one_entry_keep_the_promise(kind, count):
    """Alone and in stacks; exactly, as products of two floats are fractions."""
    dtype = ml_dtypes.bfloat16 if kind == "bfloat16" else kind
    for numbers in np.linspace(1, 4, 120 * count).reshape(-1, count):
        matrix = numbers[None].astype(dtype)
        best = lb.approximate(matrix, lb.Localized(1, count), 2 * count)
        for entry, (b, a), bound in zip(matrix[0], best.factors, best.accuracy.bounds, strict=True):
            off = abs(Fraction(float(entry)) - Fraction(float(b[0, 0])) * Fraction(float(a[0, 0])))
            assert off <= bound <= SINGLE * float(entry)


def test_stacks_of_blocks_of_different_ranks():
    """A block is charged for its own columns, not for those of its neighbours."""
    block = np.random.default_rng(2).standard_normal((4, 4)).astype(np.float32)
    parts = lb.decompose(np.hstack([block] * 5), lb.Localized(1, 5))
    bounds = parts.truncate([4, 1, 2, 3, 4]).accuracy.bounds
    for rank, bound in zip([4, 1, 2, 3, 4], bounds, strict=True):
        (alone,) = lb.decompose(block, lb.Global()).truncate([rank]).accuracy.bounds
        assert bound == pytest.approx(alone, rel=1e-3)
    assert bounds[1] < bounds[0]


@pytest.mark.parametrize("kind", [np.float64, ">f8"])
def test_the_least_numbers_have_a_bound(kind):
    """In units of the matrix it counts what float64 cannot resolve; the relative one is as for any matrix."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        whole = rng.integers(-9, 10, (5, 6)).astype(float)
        tails = exact_tails(whole)
        matrix = np.ldexp(whole, -1074)
        parts = lb.decompose(matrix.astype(kind), lb.Global())
        for rank in range(6):
            best = parts.truncate([rank])
            with mpmath.workdps(50):
                bound, error = (mpmath.ldexp(x, 1074) for x in (best.accuracy.bound, best.error))
                assert abs(error - tails[rank]) <= bound
                excess = left_by(matrix, best) - tails[rank]
                assert excess <= bound
                assert excess <= best.accuracy.relative_bound * tails[0]
            assert best.accuracy.relative_bound <= 1e-10


def left_by(matrix, best):
    """Return the norm of what factors of one block leave, in units of the least number."""
    b, a = ([list(map(mpmath.mpf, row)) for row in f.tolist()] for f in best.factors[0])
    m, n = matrix.shape
    rest = [
        matrix[i, j] - mpmath.fsum(b[i][k] * a[k][j] for k in range(len(a)))
        for i in range(m)
        for j in range(n)
    ]
    return mpmath.ldexp(mpmath.norm(rest), 1074)


@pytest.mark.parametrize("size", [1e-170, 1e-300, 5e-324])
def test_blocks_whose_squares_vanish_have_a_bound(size):
    """Next to a large block their error is too small for squares to resolve, and the bound counts that."""
    matrix = np.diag([1.0, size])
    parts = lb.decompose(matrix, lb.DiagonalLocal(2))
    assert abs(parts.error([1, 0]) - size) <= parts.accuracy.bound
    assert all(size <= bound for bound in parts.accuracy.bounds)
    assert parts.truncate([1, 1]).accuracy.bounds[1] > 0
    assert parts.accuracy.relative_bound <= 1e-10


def test_a_block_of_zeros_is_certain():
    accuracy = lb.decompose(np.diag([1e-80, 0.0]), lb.DiagonalLocal(2)).accuracy
    assert accuracy.bounds[0] > accuracy.bounds[1]
    assert lb.decompose(np.zeros((3, 3)), lb.Global()).accuracy.bounds == (0.0,)


@pytest.mark.parametrize("kind", KINDS)
def test_a_share_of_the_campaign(kind):
    """No certificate is exceeded and no promise broken; tests/tools/accuracy_campaign.py tries thousands."""
    families, failures = set(), []
    for index in range(90):
        if index >= 40 and families == set(FAMILIES):
            break
        family, wrong, _ = tried(kind, 1, index)
        families.add(family)
        failures += wrong
    assert failures == []
    assert families == set(FAMILIES)


def test_the_campaign_sees_a_certificate_that_is_too_small():
    """Its checks can fail: the same answer with a bound of none, and with factors of another matrix."""
    matrix = np.full((3, 3), 1.7, dtype=np.float32)
    case, best = Case("float32", matrix, lb.Global()), lb.approximate(matrix, lb.Global(), 6)
    assert case.exceeded(best)[0] == []
    claims = replace(best, accuracy=replace(best.accuracy, bounds=(0.0,), relative_bound=0.0))
    assert any("as good as certified" in claim for claim in case.exceeded(claims)[0])
    ((b, a),) = best.factors
    wrong = case.exceeded(replace(best, factors=((b, a * np.float32(1 + 2e-7)),)))[0]
    assert any("promise" in claim for claim in wrong)
