"""Curves: at every step the answer of `approximate`, nonincreasing, and ordered as theory orders them."""

import csv
import io
import json
import pickle

import numpy as np
import pytest
from oracles import best_error, least_error, residual
from registry import GENUINE, KINDS, SMALL, built, each, share

import lowrank_blocks as lb

ALLOCATIONS = pytest.mark.parametrize("allocate", [lb.adaptive, lb.uniform], ids=["adaptive", "uniform"])


def some(counts, most=25):
    """Return up to `most` of the steps, first and last among them."""
    return counts[np.unique(np.linspace(0, len(counts) - 1, most).astype(int))]


def spread(W, most):
    """Return about so many budgets, or a quarter of them by default, from nothing to more than everything."""
    return np.linspace(0, 2 * W.size, share(most) + 2).astype(int).tolist()


def norm(W):
    return float(np.linalg.norm(W)) or 1.0


@each()
@ALLOCATIONS
def test_every_step_is_what_approximate_gives(kind, W, allocate):
    structure, _ = built(kind, W)
    curve = lb.error_curve(W, structure, allocate=allocate)
    for count in some(curve.n_parameters, share(25)):
        answer = lb.approximate(W, structure, int(count), allocate=allocate)
        assert curve.at(int(count)) == pytest.approx(answer.relative_error, abs=1e-10, rel=0)
        assert answer.n_parameters <= count


@each(targets=GENUINE, alternate=True)
def test_steps_on_the_genuine_update_are_residuals(kind, W):
    structure, _ = built(kind, W)
    curve = lb.error_curve(W, structure)
    for count in some(curve.n_parameters, 4)[1:-1]:
        X = lb.approximate(W, structure, int(count)).to_dense()
        assert curve.at(int(count)) == pytest.approx(residual(W, X) / norm(W), abs=1e-10, rel=0)


@each()
def test_steps_are_optimal(kind, W):
    structure, blocks = built(kind, W)
    curve = lb.error_curve(W, structure)
    for count in some(curve.n_parameters, 9):
        assert curve.at(int(count)) * norm(W) == pytest.approx(
            least_error(W, blocks, int(count)), abs=1e-10 * norm(W), rel=0
        )


@each()
@ALLOCATIONS
def test_curves_are_staircases_from_nothing_to_everything(kind, W, allocate):
    structure, blocks = built(kind, W)
    curve = lb.error_curve(W, structure, allocate=allocate)
    full = [min(block.shape) for block in blocks]
    assert curve.n_parameters[0] == 0
    assert (np.diff(curve.n_parameters) > 0).all()
    assert (np.diff(curve.relative_error) <= 0).all()
    assert curve.relative_error[0] == (1 if W.any() else 0)
    assert curve.relative_error[-1] * norm(W) == pytest.approx(
        best_error(W, blocks, full), abs=1e-12 * norm(W)
    )
    assert not curve.n_parameters.flags.writeable
    assert not curve.relative_error.flags.writeable


@each()
def test_the_curve_is_exact_between_its_steps(kind, W):
    structure, _ = built(kind, W)
    curve = lb.error_curve(W, structure)
    for budget in spread(W, 12):
        exact = lb.approximate(W, structure, budget).relative_error
        assert curve.at(budget) == pytest.approx(exact, abs=1e-12, rel=0)


@each()
def test_adaptive_is_nowhere_above_uniform(kind, W):
    structure, _ = built(kind, W)
    free, same = (lb.error_curve(W, structure, allocate=a) for a in (lb.adaptive, lb.uniform))
    for count in some(same.n_parameters):
        assert free.at(int(count)) <= same.at(int(count)) + 1e-12


@pytest.mark.parametrize(
    ("name", "parts"), [(name, k) for name, W in SMALL.items() for k in (2, 3, 4) if min(W.shape) >= k]
)
def test_localized_is_nowhere_above_diagonal_local(name, parts):
    W = SMALL[name]
    budgets = list(range(0, 2 * W.size, max(1, W.size // 9)))
    local, diagonal = (lb.error_curve(W, s(parts)) for s in (lb.Localized, lb.DiagonalLocal))
    assert all(local.at(b) <= diagonal.at(b) + 1e-12 for b in budgets)


@pytest.mark.parametrize("name", [name for name, W in SMALL.items() if min(W.shape) >= 4])
def test_refined_grid_of_equal_ranks_is_nowhere_above(name):
    """Theorem 1: the same rank on every block of a refinement leaves no more error."""
    W = SMALL[name]
    coarse, fine = (lb.decompose(W, lb.Localized(k)) for k in (2, 4))
    for rank in range(min(W.shape) // 4 + 1):
        assert fine.relative_error([rank] * 16) <= coarse.relative_error([rank] * 4) + 1e-12


@each()
@ALLOCATIONS
def test_budget_for_is_the_least(kind, W, allocate):
    curve = lb.error_curve(W, kind.make(*W.shape), allocate=allocate)
    for target in (1.0, 0.9, 0.5, 0.1, float(curve.relative_error[-1])):
        if target < curve.relative_error[-1]:
            continue
        budget = curve.budget_for(target)
        assert curve.at(budget) <= target
        assert budget == 0 or curve.at(budget - 1) > target


@each()
@ALLOCATIONS
def test_given_budgets_are_evaluated_as_approximate_does(kind, W, allocate):
    structure, _ = built(kind, W)
    budgets = [3, W.size // 3 + 4, W.size + 5]
    curve = lb.error_curve(W, structure, budgets, allocate=allocate)
    for budget in budgets:
        best = lb.approximate(W, structure, budget, allocate=allocate)
        assert curve.at(budget) == pytest.approx(best.relative_error, abs=1e-12)


@each()
@ALLOCATIONS
def test_between_given_budgets_the_curve_solves(kind, W, allocate):
    structure, _ = built(kind, W)
    few, all_ = (lb.error_curve(W, structure, b, allocate=allocate) for b in ([W.size // 3], None))
    for budget in spread(W, 8):
        assert few.at(budget) == pytest.approx(all_.at(budget), abs=1e-12)
    for target in (0.8, 0.3):
        if target >= all_.relative_error[-1]:
            assert few.budget_for(target) == all_.budget_for(target)
        else:
            for curve in (few, all_):
                with pytest.raises(ValueError, match="relative_error must be at least"):
                    curve.budget_for(target)


def test_curves_can_be_pickled_and_hold_no_matrix():
    W = np.array(SMALL["ragged"])
    curve = lb.error_curve(W, lb.Localized(2))
    again = pickle.loads(pickle.dumps(curve))
    expected = curve.at(77)
    W[:] = 0
    assert again.at(77) == curve.at(77) == expected


def test_custom_allocation_needs_budgets():
    def first_only(spectra, costs, budget):
        return [min(len(spectra[0]), budget // costs[0])] + [0] * (len(spectra) - 1)

    W = SMALL["square"]
    curve = lb.error_curve(W, lb.Localized(2), [0, 12, 24], allocate=first_only)
    assert curve.label == "Localized(2), first_only"
    assert curve.n_parameters.tolist() == [0, 12, 24]
    with pytest.raises(ValueError, match="budgets must be given for an allocation"):
        lb.error_curve(W, lb.Localized(2), allocate=first_only)


def test_an_allocation_that_gets_worse_is_shown_at_its_best():
    def odd(spectra, costs, budget):
        return [1] if budget % 2 else [0]

    curve = lb.error_curve(np.diag([2.0, 1.0]), lb.Global(), [4, 5, 6], allocate=odd)
    assert curve.n_parameters.tolist() == [0, 4]


def test_exports_agree_with_the_curve():
    curve = lb.error_curve(SMALL["ragged"], lb.Localized(2))
    rows = list(csv.DictReader(io.StringIO(curve.to_csv())))
    document = json.loads(curve.to_json())
    assert [int(r["n_parameters"]) for r in rows] == curve.n_parameters.tolist() == document["n_parameters"]
    assert (
        [float(r["relative_error"]) for r in rows]
        == curve.relative_error.tolist()
        == document["relative_error"]
    )
    assert document["label"] == curve.label == "Localized(2)"
    assert document["shape"] == [13, 11]


def test_dataframe_has_the_steps():
    pd = pytest.importorskip("pandas", reason="the extra pandas is not installed")
    frame = lb.error_curve(SMALL["square"], lb.Global()).to_dataframe()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == ["n_parameters", "relative_error"]
    assert len(frame) == 13


@pytest.mark.parametrize(
    ("budgets", "error", "message"),
    [
        ([], ValueError, "budgets must be a nonempty sequence"),
        ([3, 2], ValueError, r"budgets must increase, got 3 before budgets\[1\] = 2"),
        ([3, 3], ValueError, "budgets must increase"),
        ([-1, 2], ValueError, r"budgets\[0\] must be a non-negative integer, got -1"),
        ([1.0], TypeError, r"budgets\[0\] must be a non-negative integer, got 1.0"),
        (np.array([1.5, 2]), TypeError, r"budgets\[0\]"),
        ([True], TypeError, "bool"),
        (7, TypeError, "budgets must be a sequence of non-negative integers, got 7"),
        ("12", TypeError, "budgets must be a sequence"),
    ],
)
def test_bad_budgets(budgets, error, message):
    with pytest.raises(error, match=message):
        lb.error_curve(np.eye(4), lb.Global(), budgets)


def test_unreachable_error_says_what_is_reachable():
    curve = lb.error_curve(np.ones((4, 4)), lb.DiagonalLocal(2))
    with pytest.raises(
        ValueError, match=r"at least 0\.707107, the least DiagonalLocal\(2\) reaches, got 0\.5"
    ):
        curve.budget_for(0.5)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_bad_relative_error(value):
    with pytest.raises(ValueError, match="relative_error must be a finite number"):
        lb.error_curve(np.eye(4), lb.Global()).budget_for(value)


def test_budget_below_the_first_step():
    curve = lb.error_curve(np.eye(4), lb.Global(), [8, 16], allocate=lambda s, c, b: [b // 8])
    with pytest.raises(ValueError, match="budget must be at least 8, where the curve starts, got 7"):
        curve.at(7)
    with pytest.raises(TypeError, match=r"budget must be a non-negative integer, got 8\.5"):
        curve.at(8.5)


def test_every_structure_has_a_label():
    assert {lb.error_curve(np.eye(12), kind.make(12, 12)).label for kind in KINDS} == {
        repr(kind.make(12, 12)) for kind in KINDS
    }
