"""The promise: errors within 1e-10 of the optimum for float64, within 1e-7 for narrower floats."""

import dataclasses

import numpy as np
import pytest
from kernel_cases import (
    DOUBLE,
    SINGLE,
    exact_tails,
    gesvd_tails,
    hard_matrices,
    telling_ranks,
    true_residual,
)

import lowrank_blocks as lb
from lowrank_blocks.linalg import values
from lowrank_blocks.solver import decomposition

pytestmark = pytest.mark.exhaustive

SHAPES = [(1, 1), (1, 9), (9, 1), (7, 7), (40, 33), (90, 70), (65, 160)]
SCALES = {"1": 1.0, "tiny": 2.0**-1000, "small": 2.0**-255, "large": 2.0**253, "huge": 2.0**960}
SCALED = [(1, 9), (40, 33)]  # by other scales than 1, too, without ``-m exhaustive``
NAMES = list(hard_matrices(4, 4))


def rank_cost(shape, rank):
    return lb.rank_budget(shape, rank)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("shape", "scale"),
    [
        pytest.param(shape, scale, marks=() if scale == "1" or shape in SCALED else pytest.mark.exhaustive)
        for shape in SHAPES
        for scale in SCALES
    ],
    ids=str,
)
def test_errors_are_the_least_possible(shape, name, scale):
    """Spectra give every error of the optimum, and factors reach it."""
    matrix = hard_matrices(*shape)[name] * SCALES[scale]
    tails, exponent = gesvd_tails(matrix)
    norm = tails[0] or 1.0
    parts = lb.decompose(matrix, lb.Global())

    for rank in telling_ranks(min(shape)):
        assert parts.relative_error([rank]) == pytest.approx(tails[rank] / norm, rel=0, abs=DOUBLE)
    for rank in telling_ranks(min(shape))[1:6:2]:
        made = parts.truncate([rank])
        direct = lb.approximate(matrix, lb.Global(), rank_cost(shape, rank))
        for result in (made, direct):
            residual = true_residual(matrix, result, exponent)
            assert residual <= tails[rank] + DOUBLE * norm
            assert result.relative_error == pytest.approx(tails[rank] / norm, rel=0, abs=DOUBLE)


@pytest.mark.parametrize("name", NAMES)
def test_errors_agree_with_exact_arithmetic(name, monkeypatch):
    """The Gram route, forced on small blocks, against 50 digits."""
    monkeypatch.setattr("lowrank_blocks.linalg.values.gram_pays", lambda side, length, **_: True)
    monkeypatch.setattr("lowrank_blocks.linalg.leading.SVD_BELOW", 2)
    matrix = hard_matrices(9, 12)[name]
    tails = exact_tails(matrix)
    norm = float(tails[0]) or 1.0
    parts = lb.decompose(matrix, lb.Global())

    for rank in range(10):
        # relative: never a difference of float64 numbers that hides the digits below 1e-16
        assert abs(parts.error([rank]) - tails[rank]) <= 1e-12 * norm
        made = parts.truncate([rank])
        assert true_residual(matrix, made, 0) <= float(tails[rank]) + DOUBLE * norm


@pytest.mark.parametrize(
    "name", ["gaussian", "power law", "geometric to 1e-16", "low rank and noise", "spike"]
)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_narrow_floats_are_within_their_promise(name, dtype):
    """Blocks are widened before anything is squared; factors come back in float32."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    source = hard_matrices(96, 80)[name]
    matrix = (source / np.abs(source).max()).astype(kind)
    tails, exponent = gesvd_tails(matrix.astype(np.float64))

    for rank in (1, 16, 40, 79):
        made = lb.approximate(matrix, lb.Global(), rank_cost(matrix.shape, rank))
        assert made.relative_error == pytest.approx(tails[rank] / tails[0], rel=0, abs=SINGLE)
        assert true_residual(matrix, made, exponent) <= tails[rank] + SINGLE * tails[0]
        assert made.factors[0][0].dtype == np.float32
        assert made.accuracy.relative_bound <= SINGLE


@pytest.mark.parametrize(
    "structure", [lb.Localized(2, 3), lb.DiagonalLocal(3), lb.Localized((0, 40, 130), 1)], ids=str
)
def test_blocks_of_many_scales(structure):
    """A block is as accurate as the whole asks for, whatever its scale and its neighbours."""
    scales = np.logspace(0, -280, 130)[:, None]
    matrix = np.random.default_rng(5).standard_normal((130, 120)) * scales
    parts = lb.decompose(matrix, structure)
    for block, spectrum in zip(structure.layout(matrix.shape).split(matrix), parts.spectra, strict=True):
        tails, exponent = gesvd_tails(block)
        ours = np.linalg.norm(np.ldexp(spectrum, -exponent)[3:])
        allowed = DOUBLE * max(1.0, np.ldexp(np.linalg.norm(matrix), -exponent) / tails[0])
        assert ours == pytest.approx(tails[3], rel=0, abs=allowed * tails[0])


def test_blocks_far_below_what_is_in_none():
    """Their own norm is what they are measured by."""
    blocks = [hard_matrices(150, 160)[name] for name in ("gaussian", "power law")]
    huge = np.full((150, 160), 2.0**400)
    matrix = np.block([[blocks[0], huge], [huge, blocks[1]]])
    parts = lb.decompose(matrix, lb.DiagonalLocal(2))
    assert parts.accuracy.methods == ("gram", "gram")
    for block, spectrum in zip(blocks, parts.spectra, strict=True):
        tails, exponent = gesvd_tails(block)
        ours = np.sqrt(np.cumsum(np.ldexp(spectrum, -exponent)[::-1] ** 2)[::-1])
        np.testing.assert_allclose(ours, tails[:-1], rtol=0, atol=DOUBLE * tails[0])


def test_every_rank_of_a_uniform_grid():
    """Factors without spectra are those with spectra."""
    matrix = np.random.default_rng(6).standard_normal((192, 256))
    for budget in (6 * 128 * 3, 6 * 128 * 12):
        direct = lb.approximate(matrix, lb.Localized(2, 3), budget, allocate=lb.uniform)
        made = lb.decompose(matrix, lb.Localized(2, 3)).within(budget, allocate=lb.uniform)
        assert direct.ranks.tolist() == made.ranks.tolist()
        assert direct.relative_error == pytest.approx(made.relative_error, rel=0, abs=1e-13)
        np.testing.assert_allclose(direct.to_dense(), made.to_dense(), atol=1e-11)


def test_factors_are_balanced_and_orthogonal():
    """Columns of B and rows of A are orthogonal, and of norm sqrt(sigma)."""
    for name in ("power law", "geometric to 1e-8"):
        matrix = hard_matrices(160, 100)[name]
        tails, exponent = gesvd_tails(matrix)
        s = np.ldexp(np.sqrt(-np.diff(np.square(tails)))[:8], exponent)
        (factors,) = lb.approximate(matrix, lb.Global(), rank_cost(matrix.shape, 8)).factors
        for gram in (factors[0].T @ factors[0], factors[1] @ factors[1].T):
            np.testing.assert_allclose(gram, np.diag(s), atol=1e-12)


def test_values_of_zero_are_not_bought_directly():
    """Adaptive ranks of one block stop where the values are zero."""
    matrix = np.zeros((100, 90))
    assert lb.approximate(matrix, lb.Global(), rank_cost(matrix.shape, 5)).ranks.tolist() == [0]
    matrix[3, 4] = 2.0
    best = lb.approximate(matrix, lb.Global(), rank_cost(matrix.shape, 5))
    assert best.ranks.tolist() == [1]
    assert best.relative_error <= 1e-15


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("dtype", "promised"), [("float64", DOUBLE), ("float32", SINGLE)])
def test_curves_keep_the_promise(name, dtype, promised):
    """At every step of a curve, whatever it stores, and at every budget that is asked for."""
    matrix = hard_matrices(80, 80)[name].astype(dtype)
    tails, _ = gesvd_tails(matrix.astype(np.float64))
    optimum = tails / (tails[0] or 1.0)
    for budgets in (None, [160 * r for r in range(81)]):
        curve = lb.error_curve(matrix, lb.Global(), budgets)
        ranks = curve.n_parameters // 160
        np.testing.assert_allclose(curve.relative_error, optimum[ranks], rtol=0, atol=promised)


@pytest.mark.parametrize("scale", [1.0, 2.0**900])
@pytest.mark.parametrize("name", ["low rank and noise", "gaussian"])
@pytest.mark.parametrize("side", [120, 150])
def test_two_of_many_are_tried_first(side, name, scale, monkeypatch):
    """Where the Gram matrices of two blocks will not do, those of the others are not made."""
    made, stacks, solve = [], values._by_stack, values.by_gram
    monkeypatch.setattr(values, "by_gram", lambda *args: (made.append(1), solve(*args))[1])
    monkeypatch.setattr(values, "_by_stack", lambda rows, *args: (made.extend(rows), stacks(rows, *args))[1])
    block = hard_matrices(side, side + 9)[name]
    sizes = np.linspace(1, 2, 40)
    sizes[7] = 0.0
    matrix = np.kron(scale * sizes.reshape(8, 5), block)
    parts = lb.decompose(matrix, lb.Localized(8, 5))
    doubtful = name != "gaussian"
    assert len(made) == (2 if doubtful else 40)
    assert set(parts.accuracy.methods) == {"lapack" if doubtful else "gram"}
    tails, exponent = gesvd_tails(block)
    for k, spectrum in enumerate(parts.spectra):
        ours = np.linalg.norm(np.ldexp(spectrum / scale, -exponent)[20:])
        assert ours == pytest.approx(sizes[k] * tails[20], rel=0, abs=2 * DOUBLE * tails[0])


def test_the_largest_of_many_is_not_the_only_one_tried():
    """A few large blocks that a Gram matrix resolves, among many that it does not."""
    fair, fine = (hard_matrices(30, 70)[name] for name in ("gaussian", "geometric to 1e-16"))
    fair = 2 * np.linalg.norm(fine) / np.linalg.norm(fair) * fair
    matrix = np.block([[fair if i == j else fine for j in range(7)] for i in range(7)])
    parts = lb.decompose(matrix, lb.Localized(7))
    assert parts.accuracy.methods.count("gram") == 1
    assert parts.accuracy.methods.count("lapack") == 48


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_many_blocks_of_narrow_floats(dtype):
    """They are widened before two of them are tried; the squares of these overflow in float16."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    matrix = (300 * np.random.default_rng(9).standard_normal((960, 640))).astype(kind)
    structure = lb.Localized(8, 5)
    parts = lb.decompose(matrix, structure)
    assert set(parts.accuracy.methods) == {"gram"}
    for block, spectrum in zip(
        structure.layout(matrix.shape).split(matrix.astype(np.float64)), parts.spectra, strict=True
    ):
        expected = np.linalg.svd(block, compute_uv=False)
        np.testing.assert_allclose(spectrum, expected, rtol=0, atol=SINGLE * expected[0])


def test_a_nearly_overflowing_norm():
    """The largest entries are no obstacle while their norm is a float64."""
    matrix = np.full((70, 70), 1e306)
    assert lb.approximate(matrix, lb.Global(), rank_cost((70, 70), 1)).relative_error <= 1e-14
    with pytest.raises(ValueError, match="Frobenius norm"):
        lb.approximate(np.full((70, 70), 1e308), lb.Global(), rank_cost((70, 70), 1))


@pytest.mark.parametrize("small", [1.0, 0.5, 0.1, 0.0])
def test_blocks_that_use_up_what_they_are_allowed_keep_the_promise(small, monkeypatch):
    """Spectra and factors with the worst bounds that the kernel accepts: the sum is within 1e-10."""
    W = np.random.default_rng(0).standard_normal((8, 8))
    W[4:] *= small
    norms = [np.linalg.norm(part) for part in lb.Localized(2).layout(W.shape).split(W)]
    share = np.linalg.norm(W) / 2
    solve, factor = decomposition.block_spectra, decomposition.leading_factors

    def worst_spectra(blocks, exponent, accuracy):
        found = solve(blocks, exponent, accuracy)
        return dataclasses.replace(found, bounds=accuracy / np.sqrt(2) * np.maximum(norms, share))

    def worst_factors(blocks, ranks, exponent, accuracy, known, **options):
        found = factor(blocks, ranks, exponent, accuracy, known, **options)
        return dataclasses.replace(found, excess=accuracy * np.array(norms))

    monkeypatch.setattr(decomposition, "block_spectra", worst_spectra)
    monkeypatch.setattr(decomposition, "leading_factors", worst_factors)
    made = lb.decompose(W, lb.Localized(2)).truncate([1] * 4)
    assert 0.69e-10 < made.accuracy.relative_bound <= 1e-10
