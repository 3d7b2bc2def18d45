"""Curves of best partitions: never above what is known, and the least budget for an error."""

import math
import pickle
from inspect import signature

import numpy as np
import pytest
from curve_laws import check_monotone
from hypothesis import given
from oracles import least_energies
from registry import SMALL, examples, integer_matrices

import lowrank_blocks as lb
from lowrank_blocks.search import branch_and_bound, curves

pytestmark = pytest.mark.exhaustive

FEW = ["ragged", "integers", "repeated", "identity", "ones", "low rank", "zeros", "1×7", "1×1"]


def named(shape, depth):
    m, n = shape
    parts = [2**k for k in range(depth + 1)]
    yield lb.Global()
    yield from (lb.DiagonalLocal(k) for k in parts if k <= min(m, n))
    yield from (lb.Localized(a, b) for a in parts for b in parts if a <= m and b <= n)


def few_budgets(W):
    return sorted({sum(W.shape), W.size // 2 + 1})


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in FEW else pytest.mark.exhaustive) for n in SMALL]
)
def test_nowhere_above_a_named_structure(name):
    W = SMALL[name]
    curve = lb.partition_curve(W, few_budgets(W), max_depth=2)
    others = [lb.error_curve(W, structure) for structure in named(W.shape, 2)]
    for budget in range(0, 2 * W.size + 3, max(1, W.size // 12)):
        assert curve.at(budget) <= min(other.at(budget) for other in others) + 1e-12


def test_nowhere_above_global_on_low_rank_plus_noise():
    rng = np.random.default_rng(0)
    W = rng.standard_normal((32, 3)) @ rng.standard_normal((3, 32)) + 0.3 * rng.standard_normal((32, 32))
    curve, whole = lb.partition_curve(W, max_depth=2), lb.error_curve(W, lb.Global())
    for rank in range(0, 32, 2):
        assert curve.at(64 * rank) <= whole.at(64 * rank) + 1e-12
        assert curve.budget_for(min(1.0, whole.at(64 * rank) + 1e-12)) <= 64 * rank


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("states", [1, 256])
def test_more_budget_never_leaves_more_and_budget_for_is_the_least(name, states, monkeypatch):
    monkeypatch.setattr(branch_and_bound, "_MANY_STATES", states)  # with 1, answers are not the best
    W = SMALL[name]
    curve = lb.partition_curve(W, few_budgets(W), max_depth=2)
    _, errors = check_monotone(curve, 2 * W.size + 1, 24)
    if errors[-1] > 0:
        with pytest.raises(ValueError, match="the least best partition reaches"):
            curve.budget_for(float(errors[-1]) / 2)


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("default", [False, True])
def test_steps_are_the_numbers_stored(name, default):
    """At every step the error is reached, and not with one number less."""
    W = SMALL[name]
    curve = lb.partition_curve(W, None if default else few_budgets(W), max_depth=1 if default else 2)
    assert curve.n_parameters[0] == 0
    steps = list(zip(curve.n_parameters.tolist(), curve.relative_error.tolist(), strict=True))
    for count, error in steps[:: max(1, len(steps) // 5)]:
        assert curve.at(count) == error
        assert curve.budget_for(error) == count


@pytest.mark.parametrize(("name", "depth"), [("square", 0), ("square", 1), ("ragged", 2), ("low rank", 1)])
def test_a_step_stores_what_the_best_partition_stores(name, depth):
    W, short = SMALL[name], 0
    for budget in (31, 50, 71):
        found = lb.best_partition(W, budget, max_depth=depth)
        curve = lb.partition_curve(W, [budget], max_depth=depth)
        stored = found.n_parameters
        short += stored < budget
        assert max(curve.n_parameters) == stored
        assert curve.at(stored) == curve.at(budget) == pytest.approx(found.relative_error, abs=1e-12)
    assert short or name == "ragged"


@examples(12)
@given(integer_matrices(8, 8))
def test_bounds_and_errors_enclose_the_optimum(W):
    norm = float(np.linalg.norm(W)) or 1.0
    optimum = np.sqrt(least_energies(W, (0, 8), (0, 8), (2, 2), 128)) / norm
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(branch_and_bound, "_MANY_STATES", 1)
        curve = lb.partition_curve(W, [9, 21, 40, 77], max_depth=2)
    for count, bound in zip(curve.n_parameters, curve.lower_bound, strict=True):
        assert bound <= optimum[count] + 1e-9
    assert all(curve.at(budget) >= optimum[budget] - 1e-7 for budget in range(1, 129, 4))


def test_the_bound_at_a_step_is_the_best_known():
    """A proved answer is its own bound, also at the numbers that it stores."""
    W = SMALL["ragged"]
    budgets = [25, 50, 75, 100]
    curve = lb.partition_curve(W, budgets, max_depth=2)
    for budget in budgets:
        found = lb.best_partition(W, budget, max_depth=2)
        assert found.gap == 0
        step = int(np.searchsorted(curve.n_parameters, budget, side="right")) - 1
        assert curve.lower_bound[step] == pytest.approx(curve.relative_error[step], rel=1e-12)


def test_budgets_by_default(monkeypatch):
    asked = []
    searched = curves.best_answer

    def spy(rectangles, named, trees, budget):
        asked.append(budget)
        return searched(rectangles, named, trees, budget)

    monkeypatch.setattr(curves, "best_answer", spy)
    rng = np.random.default_rng(3)
    W = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 60))
    lb.partition_curve(W, max_depth=1)
    # Half a global rank, and rank 2, which leaves nothing but rounding.
    assert (asked[0], asked[-1], len(asked)) == (50, 200, 24)
    np.testing.assert_allclose(np.diff(np.log(asked)), math.log(4) / 23, atol=0.02)


def test_four_steps_between_two_default_budgets(monkeypatch):
    seen, points = [], curves._points
    monkeypatch.setattr(curves, "_points", lambda *args: (seen.append(args[2]), points(*args))[1])
    monkeypatch.setattr(curves, "_BUDGETS", 4)
    rng = np.random.default_rng(3)
    W = rng.standard_normal((40, 2)) @ rng.standard_normal((2, 60))
    lb.partition_curve(W, max_depth=0)
    expected = [50 * 4 ** (k / 15) for k in range(16)]  # 50, 79, 126, 200 and four between each two
    assert seen[0][0] == 0
    np.testing.assert_allclose(seen[0][1:], expected, atol=1)


def test_settings_by_default_are_those_of_best_partition():
    names = ["max_depth", "min_block", "rows", "cols"]
    ours, theirs = (signature(function).parameters for function in (lb.partition_curve, lb.best_partition))
    assert [ours[name].default for name in names] == [theirs[name].default for name in names] == [5, 1, 1, 1]


def test_between_default_budgets_there_are_steps_without_a_search():
    W = SMALL["square"]
    curve = lb.partition_curve(W, max_depth=0)  # nothing but `Global`
    whole = lb.error_curve(W, lb.Global())
    assert curve.n_parameters.tolist() == whole.n_parameters.tolist()
    np.testing.assert_allclose(curve.relative_error, whole.relative_error, atol=1e-12)


@pytest.mark.parametrize("W", [np.zeros((3, 4)), np.array([[2.0]]), np.ones((1, 6))])
def test_budgets_by_default_of_matrices_with_little_in_them(W):
    curve = lb.partition_curve(W)
    assert curve.at(W.size * 2) == pytest.approx(0, abs=1e-12)


def test_the_curve_can_be_pickled_and_holds_no_matrix():
    W = np.array(SMALL["ragged"])
    curve = lb.partition_curve(W, [60], max_depth=2)
    again = pickle.loads(pickle.dumps(curve))
    expected = [curve.at(b) for b in (31, 77)]
    W[:] = 0
    assert [again.at(b) for b in (31, 77)] == [curve.at(b) for b in (31, 77)] == expected
