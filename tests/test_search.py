"""The best dyadic partition: against exhaustive search and all named structures."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import best_error, least_energies, residual, tolerance
from registry import SMALL, TELLING, examples, integer_matrices

import lowrank_blocks as lb
from lowrank_blocks.search import branch_and_bound as refinement

pytestmark = pytest.mark.exhaustive


def hull_points(energies):
    """Return the budgets at the vertices of the lower convex hull of energy against budget."""
    points = [(n, e) for n, e in enumerate(energies) if n == 0 or e < energies[n - 1]]
    hull = []
    for x, y in points:
        while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (x - hull[-2][0]) >= (y - hull[-2][1]) * (
            hull[-1][0] - hull[-2][0]
        ):
            hull.pop()
        hull.append((x, y))
    return [x for x, _ in hull]


@examples(25)
@given(integer_matrices(8, 8), st.integers(0, 40))
def test_bound_optimum_and_answer_are_in_order(W, budget):
    norm = float(np.linalg.norm(W)) or 1.0
    optimum = math.sqrt(least_energies(W, (0, 8), (0, 8), (2, 2), budget)[budget]) / norm

    found = lb.best_partition(W, budget, max_depth=2)

    assert found.lower_bound <= optimum + 1e-9
    assert optimum <= found.relative_error + 1e-9
    assert found.n_parameters <= budget
    assert found.relative_error == pytest.approx(optimum, abs=3e-8)  # the search ends on so small a matrix
    assert found.gap <= 1e-9


@examples(15)
@given(integer_matrices(8, 8), st.integers(0, 40), st.sampled_from(["_MANY_STATES", "_MANY_RECTANGLES"]))
def test_bound_holds_where_the_search_is_cut_short(W, budget, limit):
    norm = float(np.linalg.norm(W)) or 1.0
    optimum = math.sqrt(least_energies(W, (0, 8), (0, 8), (2, 2), budget)[budget]) / norm
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refinement, limit, 1)
        found = lb.best_partition(W, budget, max_depth=2)
    assert found.lower_bound <= optimum + 1e-9
    assert optimum <= found.relative_error + 1e-9
    assert (
        found.relative_error
        <= min(lb.approximate(W, s, budget).relative_error for s in named(W.shape, 2)) + 1e-12
    )


def test_a_search_cut_short_leaves_a_gap():
    W = lb.load_example()["key"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refinement, "_MANY_RECTANGLES", 1)
        found = lb.best_partition(W, 4096)
    exact = lb.best_partition(W, 4096)
    assert found.gap > 0.001
    assert exact.gap == 0
    assert found.lower_bound < exact.relative_error < found.relative_error


def test_three_way_first_cuts_are_searched_too():
    W = np.zeros((6, 4))
    W[:2], W[2:4, :2], W[4:] = 1.0, 2.0, -1.0
    found = lb.best_partition(W, 16, rows=(0, 2, 4, 6), max_depth=1)
    assert found.relative_error == pytest.approx(0, abs=1e-12)
    assert found.n_parameters == 16
    assert found.gap == pytest.approx(0, abs=1e-12)


@examples(12)
@given(integer_matrices(8, 8))
def test_answer_is_the_optimum_at_hull_points(W):
    norm = float(np.linalg.norm(W)) or 1.0
    energies = least_energies(W, (0, 8), (0, 8), (2, 2), 128)
    for budget in hull_points(energies):
        found = lb.best_partition(W, budget, max_depth=2)
        optimum = math.sqrt(energies[budget]) / norm
        assert found.relative_error == pytest.approx(optimum, abs=3e-8)  # root of rounding near zero
        if optimum > 1e-6:
            assert found.gap == pytest.approx(0, abs=1e-9)


def named(shape, depth):
    m, n = shape
    parts = [2**k for k in range(depth + 1)]
    yield lb.Global()
    yield from (lb.DiagonalLocal(k) for k in parts if k <= min(m, n))
    yield from (lb.Localized(a, b) for a in parts for b in parts if a <= m and b <= n)


LARGER = {
    "query": lb.load_example()["query"][:96, :80].astype(float),
    "log kernel": lb.synthetic.log_distance((48, 40)).matrix,
    "blocks": lb.synthetic.unequal_blocks((33, 47), 4, 0.5).matrix,
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in (*TELLING, *LARGER) else pytest.mark.exhaustive)
        for name in (*SMALL, *LARGER)
    ],
)
def test_never_worse_than_a_named_structure(name):
    W = (SMALL | LARGER)[name]
    others = [lb.decompose(W, structure) for structure in named(W.shape, 3)]
    for budget in (0, sum(W.shape), 3 * sum(W.shape) + 1, W.size // 2):
        found = lb.best_partition(W, budget, max_depth=3)
        best = min(parts.relative_error(parts.choose_ranks(budget).ranks) for parts in others)
        assert found.relative_error <= best + 1e-12
        assert found.lower_bound <= best + 1e-12
        assert found.n_parameters <= budget
        X = found.to_dense()
        assert found.error == pytest.approx(residual(W, X), abs=tolerance(W), rel=0)
        blocks = [np.arange(W.size).reshape(W.shape)[block.index] for block in found.blocks]
        assert best_error(W, blocks, found.ranks) == pytest.approx(found.error, abs=tolerance(W))


def test_log_kernel_is_far_below_the_named_structures():
    W = lb.synthetic.log_distance((128, 128)).matrix
    budget = lb.rank_budget(W.shape, 8)
    found = lb.best_partition(W, budget)
    assert found.relative_error <= 0.7 * min(
        lb.approximate(W, s, budget).relative_error for s in named(W.shape, 3)
    )
    assert found.gap < 1e-3


def test_nothing_fits_in_no_budget():
    found = lb.best_partition(np.eye(8), 0)
    assert found.verdict == "nothing"
    assert found.relative_error == 1
    assert found.lower_bound == pytest.approx(1, abs=1e-12)
    assert not found.ranks.any()


def test_zeros():
    found = lb.best_partition(np.zeros((6, 5)), 11)
    assert (found.relative_error, found.lower_bound, found.gap) == (0, 0, 0)


def test_answer_is_a_structure_like_any_other():
    W = SMALL["ragged"]
    found = lb.best_partition(W, 60, max_depth=2)
    assert lb.approximate(W, found.structure, 60).relative_error == found.relative_error
    assert lb.error_curve(W, found.structure, [60]).at(60) == found.relative_error
    assert lb.compare(W, [found.structure], 60).rows[-1].relative_error == found.relative_error


def test_axes_too_short_are_halved_as_often_as_they_allow():
    assert lb.best_partition(np.ones((8, 3)), 4).depth == (3, 1)
    assert lb.best_partition(np.ones((8, 8)), 4, min_block=4).depth == (1, 1)
    assert lb.best_partition(np.ones((8, 8)), 4, max_depth=0).depth == (0, 0)


def test_scaling_leaves_the_answer_alone():
    W = SMALL["ragged"]
    for scale in (2.0**600, 2.0**-600):
        assert lb.best_partition(scale * W, 60).relative_error == lb.best_partition(W, 60).relative_error


def test_input_is_read_only():
    assert not SMALL["ragged"].flags.writeable
    lb.best_partition(SMALL["ragged"], 50)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"max_depth": -1}, ValueError, "max_depth must be a non-negative integer, got -1"),
        ({"max_depth": 2.0}, TypeError, "max_depth must be a non-negative integer, got 2.0"),
        ({"max_depth": True}, TypeError, "max_depth must be a non-negative integer, got the bool True"),
        ({"min_block": 0}, ValueError, "min_block must be a positive integer, got 0"),
        ({"min_block": 1.5}, TypeError, "min_block must be"),
        ({"rows": (0, 3, 9)}, ValueError, "rows must end at the length of its axis, 8"),
        ({"cols": (1, 8)}, ValueError, "cols must start at 0"),
        ({"cols": 9}, ValueError, "cols must be at most the length of its axis, 8, got 9 parts"),
        ({"rows": "qkv"}, TypeError, "rows must be an int"),
    ],
)
def test_bad_settings(settings, error, message):
    with pytest.raises(error, match=message):
        lb.best_partition(np.eye(8), 16, **settings)


@pytest.mark.parametrize("budget", [-1, 1.0, True, None])
def test_bad_budgets(budget):
    with pytest.raises((TypeError, ValueError), match="budget must be a non-negative integer"):
        lb.best_partition(np.eye(8), budget)


# Curves.


@pytest.mark.parametrize("name", ["ragged", "low rank", "identity", "zeros", "1×7"])
def test_partition_curve_agrees_with_best_partition(name):
    W = SMALL[name]
    budgets = sorted({1, 20, 45, W.size})
    curve = lb.partition_curve(W, budgets, max_depth=2)
    for budget in budgets:
        found = lb.best_partition(W, budget, max_depth=2)
        assert curve.at(budget) <= found.relative_error + 1e-12
        assert curve.at(budget) >= found.lower_bound - 1e-9
    assert (curve.lower_bound <= curve.relative_error).all()
    assert (np.diff(curve.n_parameters) > 0).all()
    assert (np.diff(curve.relative_error) <= 0).all()
    assert curve.n_parameters[0] == 0


def test_partition_curve_is_nowhere_above_named_curves():
    W = LARGER["log kernel"]
    budgets = [50, 200, 600, 1500]
    curve = lb.partition_curve(W, budgets, max_depth=2)
    for structure in named(W.shape, 2):
        other = lb.error_curve(W, structure, budgets)
        assert all(curve.at(b) <= other.at(b) + 1e-12 for b in budgets)


def test_bound_touches_the_curve_at_the_hull():
    curve = lb.partition_curve(LARGER["query"], max_depth=2)
    assert np.isclose(curve.lower_bound, curve.relative_error, rtol=1e-9).sum() > 3
    assert "lower_bound" in curve.to_csv()


def test_curves_without_search_have_no_bound():
    curve = lb.error_curve(np.eye(4), lb.Global())
    assert curve.lower_bound is None
    assert "lower_bound" not in curve.to_csv()
