"""The error reported is the residual of the factors, and no factors within the budget have a smaller one."""

import numpy as np
import pytest
from oracles import alternating_error, best_error, least_error, residual, tolerance
from registry import DTYPES, GENERIC, GENUINE, SMALL, SYNTHETIC, budgets, built, each

import lowrank_blocks as lb


def check_optimal(W, answer, blocks, budget):
    tol = tolerance(W)
    assert answer.error == pytest.approx(residual(W, answer.to_dense()), abs=tol, rel=0)
    assert answer.error == pytest.approx(best_error(W, blocks, answer.ranks), abs=tol, rel=0)
    assert answer.guarantee == "optimal ranks"
    assert answer.error == pytest.approx(least_error(W, blocks, budget), abs=tol, rel=0)


@each()
def test_adaptive_error_is_the_residual_and_the_optimum(kind, W):
    structure, blocks = built(kind, W)
    parts = lb.decompose(W, structure)
    for budget in budgets(W):
        check_optimal(W, parts.within(budget), blocks, budget)


@each(targets=GENUINE, alternate=True)
def test_optimum_on_the_genuine_update(kind, W):
    structure, blocks = built(kind, W)
    budget = lb.rank_budget(W.shape, 8)

    check_optimal(W, lb.approximate(W, structure, budget), blocks, budget)


@each()
def test_uniform_error_is_the_residual_and_the_optimum_for_its_ranks(kind, W):
    structure, blocks = built(kind, W)
    parts = lb.decompose(W, structure)
    for budget in budgets(W):
        answer = parts.within(budget, allocate=lb.uniform)
        assert answer.error == pytest.approx(residual(W, answer.to_dense()), abs=tolerance(W), rel=0)
        assert answer.error == pytest.approx(best_error(W, blocks, answer.ranks), abs=tolerance(W), rel=0)


@each(
    targets={name: SMALL[name] for name in ("ragged", "wide", "integers", "spike", "zeros", "geometric")},
    alternate=True,
)
@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_low_precision_sources_give_float32_factors(kind, W, dtype):
    source = (W / 64).astype(dtype)
    source.flags.writeable = False
    structure, blocks = built(kind, W)

    answer = lb.approximate(source, structure, W.size // 2)

    assert all(factor.dtype == np.float32 for pair in answer.factors for factor in pair)
    assert answer.to_dense().dtype == np.float32
    assert answer.error == pytest.approx(
        best_error(source, blocks, answer.ranks), abs=tolerance(source), rel=0
    )
    assert answer.error == pytest.approx(
        least_error(source, blocks, W.size // 2), abs=tolerance(source), rel=0
    )
    norm = np.linalg.norm(source.astype(np.float64))
    assert answer.error == pytest.approx(residual(source, answer.to_dense()), abs=1e-6 * norm, rel=0)


@each(targets={name: SMALL[name] for name in ("1×7", "integers")})
@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, bool])
def test_integers_and_booleans_are_solved_in_float64(kind, W, dtype):
    source = np.abs(W * 4).astype(dtype)
    structure, blocks = built(kind, source)

    answer = lb.approximate(source, structure, W.size // 2)

    assert answer.to_dense().dtype == np.float64
    assert answer.error == pytest.approx(residual(source, answer.to_dense()), abs=tolerance(source), rel=0)
    assert answer.error == pytest.approx(
        best_error(source, blocks, answer.ranks), abs=tolerance(source), rel=0
    )


@each(targets=GENERIC | {name: SMALL[name] for name in ("zeros", "1×1", "1×7", "7×1", "low rank")})
def test_products_agree_with_the_dense_matrix(kind, W):
    structure, _ = built(kind, W)
    answer = lb.approximate(W, structure, W.size // 2)
    X, (m, n) = answer.to_dense(), W.shape
    right, left = (
        np.random.default_rng(1).standard_normal((n, 3)),
        np.random.default_rng(2).standard_normal((4, m)),
    )
    operator = answer.to_linear_operator()
    tol = tolerance(W) * 8  # the largest norm of a column of `right` or a row of `left` is below 8

    assert operator.shape == (m, n)
    for product, truth in [
        (answer @ right, X @ right),
        (answer @ right[:, 0], X @ right[:, 0]),
        (left @ answer, left @ X),
        (left[0] @ answer, left[0] @ X),
        (operator @ right, X @ right),
        (operator @ right[:, 0], X @ right[:, 0]),
        (operator.T @ left.T, X.T @ left.T),
        (operator.H @ left[0], X.T @ left[0]),
    ]:
        assert product.shape == truth.shape
        np.testing.assert_allclose(product, truth, rtol=0, atol=tol)


def test_products_keep_the_precision_of_the_factors():
    answer = lb.approximate(np.eye(4, dtype=np.float32), lb.Localized(2), 8)

    assert (answer @ np.ones(4, dtype=np.float32)).dtype == np.float32
    assert (answer @ np.ones(4)).dtype == np.float64
    assert answer.to_linear_operator().dtype == np.float32


@pytest.mark.parametrize("target", [t for t in SYNTHETIC.values() if t.structure], ids=lambda t: t.name)
def test_known_best_errors_of_synthetic_targets(target):
    parts = lb.decompose(target.matrix, target.structure)
    places = np.arange(target.matrix.size).reshape(target.matrix.shape)
    blocks = [places[block.index] for block in parts.truncate([0] * len(parts.costs)).blocks]
    for rank in range(max(map(len, target.spectra)) + 2):
        ranks = [min(rank, len(s)) for s in parts.spectra]
        known = target.best_error(ranks)
        assert parts.truncate(ranks).error == pytest.approx(known, abs=tolerance(target.matrix), rel=0)
        assert best_error(target.matrix, blocks, ranks) == pytest.approx(
            known, abs=tolerance(target.matrix), rel=0
        )


@pytest.mark.parametrize("seed", range(5))
def test_alternating_least_squares_finds_nothing_better(seed):
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((7, 6))
    best = lb.approximate(W, lb.Global(), 2 * 13)

    assert best.ranks.tolist() == [2]
    assert alternating_error(W, 2, rng) >= best.error - tolerance(W)


@each(targets=GENERIC)
def test_factors_split_the_singular_values_evenly(kind, W):
    structure, _ = built(kind, W)
    parts = lb.decompose(W, structure)
    answer = parts.within(W.size // 2)
    for (B, A), spectrum, rank in zip(answer.factors, parts.spectra, answer.ranks, strict=True):
        values = np.diag(spectrum[:rank])
        assert B.shape[1] == A.shape[0] == rank
        np.testing.assert_allclose(B.T @ B, values, rtol=0, atol=tolerance(W))
        np.testing.assert_allclose(A @ A.T, values, rtol=0, atol=tolerance(W))
