"""More budget never leaves more error, also where the search for ranks is cut short."""

import numpy as np
import pytest
from curve_laws import check_monotone
from oracles import kept_energy, least_discarded, least_error, spent
from registry import SMALL, built, each

import lowrank_blocks as lb
from lowrank_blocks.allocation import knapsack
from lowrank_blocks.allocation.offers import Offer

pytestmark = pytest.mark.exhaustive

STATES = [0, 8, 25, 2**21]


def many_costs(seed, blocks=5, length=4, largest=60):
    """Return integer spectra, all of different cost, and the cost of everything."""
    rng = np.random.default_rng(seed)
    costs = rng.choice(np.arange(5, 25), blocks, replace=False)
    spectra = [np.sort(rng.integers(1, largest, length))[::-1].astype(float) for _ in costs]
    return spectra, costs, length * int(costs.sum())


@pytest.mark.parametrize(("states", "seed"), list(zip(STATES, [0, 1, 0, 1], strict=True)))
def test_more_budget_never_discards_more(states, seed, monkeypatch):
    monkeypatch.setattr(knapsack, "_MANY_STATES", states)
    spectra, costs, everything = many_costs(seed)
    most = kept_energy(spectra, [len(s) for s in spectra]) - least_discarded(spectra, costs, everything)
    before, guarantees = -1.0, set()
    for budget in range(everything + 1):
        choice = lb.adaptive.choose(Offer.checked(spectra, costs), budget)
        kept = kept_energy(spectra, choice.ranks)
        guarantees.add(choice.guarantee)
        assert spent(costs, choice.ranks) <= budget
        assert before <= kept <= most[budget]
        assert kept == most[budget] or choice.guarantee == "greedy ranks"
        before = kept
    assert ("greedy ranks" in guarantees) == (states < 2**21)


@each(targets={name: SMALL[name] for name in ("ragged", "repeated", "1×7")}, alternate=True)
@pytest.mark.parametrize("allocate", [lb.adaptive, lb.uniform])
def test_curves_never_rise_and_budget_for_is_the_least(kind, W, allocate):
    structure, blocks = built(kind, W)
    everything = sum(min(b.shape) * sum(b.shape) for b in blocks)
    for given in (None, [W.size // 3, W.size // 2 + 1]):
        curve = lb.error_curve(W, structure, given, allocate=allocate)
        budgets, errors = check_monotone(curve, everything, 15)
        if allocate is lb.adaptive:
            third = len(budgets) // 3
            best = least_error(W, blocks, budgets[third]) / np.linalg.norm(W)
            assert errors[third] == pytest.approx(best, abs=1e-10)


@pytest.mark.parametrize("states", STATES)
@pytest.mark.parametrize("given", [None, [100, 101, 250]])
def test_curves_of_greedy_ranks_never_rise(states, given, monkeypatch):
    monkeypatch.setattr(knapsack, "_MANY_STATES", states)
    W = np.random.default_rng(1).standard_normal((20, 20))
    structure = lb.Localized((0, 3, 9, 20), (0, 4, 20))
    curve = lb.error_curve(W, structure, given)
    check_monotone(curve, 560, 30)
    for budget in range(96, 106):
        answer = lb.approximate(W, structure, budget)
        assert curve.at(budget) == pytest.approx(answer.relative_error, abs=1e-12)
