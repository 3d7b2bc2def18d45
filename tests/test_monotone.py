"""More budget never leaves more error, also where the search for ranks is cut short."""

import numpy as np
import pytest
from oracles import kept_energy, least_discarded, spent

from lowrank_blocks.allocation import knapsack, ranks

CUT_SHORT = pytest.mark.parametrize("states", [0, 8, 25, 2**21])


def many_costs(seed, blocks=5, length=5, largest=60):
    """Return integer spectra, all of different cost, and the cost of everything."""
    rng = np.random.default_rng(seed)
    costs = rng.choice(np.arange(5, 25), blocks, replace=False)
    spectra = [np.sort(rng.integers(1, largest, length))[::-1].astype(float) for _ in costs]
    return spectra, costs, length * int(costs.sum())


@CUT_SHORT
@pytest.mark.parametrize("seed", range(3))
def test_more_budget_never_discards_more(states, seed, monkeypatch):
    monkeypatch.setattr(knapsack, "_MANY_STATES", states)
    spectra, costs, everything = many_costs(seed)
    most = kept_energy(spectra, [len(s) for s in spectra]) - least_discarded(spectra, costs, everything)
    before, guarantees = -1.0, set()
    for budget in range(everything + 1):
        choice = ranks.best_ranks(spectra, costs, budget)
        kept = kept_energy(spectra, choice.ranks)
        guarantees.add(choice.guarantee)
        assert spent(costs, choice.ranks) <= budget
        assert before <= kept <= most[budget]
        assert kept == most[budget] or choice.guarantee == "greedy ranks"
        before = kept
    assert ("greedy ranks" in guarantees) == (states < 2**21)
