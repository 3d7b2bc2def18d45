"""Lower bounds are never above the least error of any ranks within the budget, by exhaustive search."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from oracles import grid, least_error, most_energy
from registry import GENUINE, SMALL, built, each, purchases

import lowrank_blocks as lb
from lowrank_blocks.allocation import knapsack, ledger

ROUNDING = 1e-10  # of relative errors, as documented


def first_only(spectra, costs, budget):
    return [min(len(spectra[0]), budget // int(costs[0])), *[0] * (len(spectra) - 1)]


def optimum(W, blocks, budget):
    return least_error(W, blocks, budget) / (float(np.linalg.norm(W)) or 1.0)


@each()
@pytest.mark.parametrize("allocate", [lb.adaptive, lb.uniform, first_only])
def test_no_ranks_within_the_budget_are_below_the_bound(kind, W, allocate):
    structure, blocks = built(kind, W)
    parts = lb.decompose(W, structure)
    for budget in (sum(W.shape) - 1, W.size // 2):
        answer = parts.within(budget, allocate=allocate)
        assert 0 <= answer.lower_bound <= optimum(W, blocks, budget) + ROUNDING
        assert answer.gap == answer.relative_error - answer.lower_bound >= 0


@each(targets={name: SMALL[name] for name in ("ragged", "wide", "integers", "repeated")})
def test_given_ranks_are_compared_with_all_that_store_as_few_numbers(kind, W):
    structure, blocks = built(kind, W)
    parts = lb.decompose(W, structure)
    ranks = [len(s) // 2 if b % 2 else len(s) - len(s) // 2 for b, s in enumerate(parts.spectra)]
    answer = parts.truncate(ranks)
    assert answer.n_parameters == int(np.dot(ranks, parts.costs))
    assert answer.lower_bound <= optimum(W, blocks, answer.n_parameters) + ROUNDING


@each(targets={"ragged": SMALL["ragged"], "wide": SMALL["wide"]})
def test_the_bound_misses_less_than_one_value(kind, W):
    """Theorem 9: at its best multiplier the bound is below the optimum by less than one singular value."""
    structure, blocks = built(kind, W)
    parts = lb.decompose(W, structure)
    budget, largest = W.size // 3, max(s[0] for s in parts.spectra) / np.linalg.norm(W)
    bound = parts.within(budget, allocate=lb.uniform).lower_bound
    assert optimum(W, blocks, budget) ** 2 - bound**2 < largest**2
    if len(set(parts.costs.tolist())) == 1:
        assert bound == pytest.approx(optimum(W, blocks, budget), abs=ROUNDING)


def test_uniform_ranks_of_the_genuine_update_claim_no_optimum():
    W, structure = GENUINE["query"], lb.Localized(4)
    best = lb.approximate(W, structure, 4096).relative_error
    direct = lb.approximate(W, structure, 4096, allocate=lb.uniform)
    solved = lb.decompose(W, structure).within(4096, allocate=lb.uniform)

    assert direct.ranks.tolist() == solved.ranks.tolist() == [2] * 16
    assert best < direct.relative_error - 0.002
    assert solved.lower_bound == pytest.approx(best, abs=1e-9)  # the budget buys 32 values to the last number
    assert solved.gap > 0.002


def test_no_bound_where_no_spectra_are_known():
    answer = lb.approximate(GENUINE["query"], lb.Localized(4), 4096, allocate=lb.uniform)
    assert answer.guarantee == "given ranks"
    assert answer.lower_bound is None
    assert answer.gap is None
    assert "gap" not in repr(answer)


@pytest.mark.parametrize("allocate", [lb.adaptive, lb.uniform])
@pytest.mark.parametrize("budget", [0, 511, 512, 4200])
def test_the_largest_rank_of_one_block_is_its_own_bound(allocate, budget):
    W = GENUINE["query"]
    direct = lb.approximate(W, lb.Global(), budget, allocate=allocate)
    solved = lb.decompose(W, lb.Global()).within(budget, allocate=allocate)
    assert direct.gap == 0
    assert solved.lower_bound == pytest.approx(solved.relative_error, rel=1e-13)


# Rounding.


def test_rounding_never_lifts_the_bound_on_what_is_discarded():
    """Against exact sums: with one cost it is what is left of the values behind the last one bought."""
    rounded_up = 0
    for seed in range(40):
        energies = np.sort(np.random.default_rng(seed).uniform(0, 1, 60))[::-1]
        for count in (1, 10, 30):
            exact = sum(map(Fraction, energies[count:].tolist()))
            rounded_up += Fraction(float(energies[count:].sum())) > exact
            bound = knapsack.dual_bound([energies], [3], 3 * count)
            assert exact * (1 - Fraction(1, 10**13)) <= Fraction(bound) <= exact
    assert rounded_up > 20


def test_a_bound_that_rounding_lifts_is_cut_at_the_error(monkeypatch):
    W = SMALL["ragged"]
    monkeypatch.setattr(ledger, "least_share", lambda offer, budget: 1.0)
    parts = lb.decompose(W, lb.Localized(2))
    choice = parts.choose_ranks(60, allocate=lb.uniform)
    assert parts.lower_bound(choice) == parts.relative_error(choice.ranks) < 1


# Greedy ranks, of which many are not the best: a bound must not repeat their own error.


def many_costs(seed):
    W = np.random.default_rng(seed).standard_normal((13, 11))
    rows, cols = (0, 1, 4, 13), (0, 2, 11)
    return W, lb.Localized(rows, cols), grid(rows, cols, 13, 11)


@pytest.mark.parametrize("seed", range(3))
def test_greedy_ranks_do_not_claim_to_be_optimal(seed, monkeypatch):
    monkeypatch.setattr(knapsack, "_MANY_STATES", 0)
    W, structure, blocks = many_costs(seed)
    parts = lb.decompose(W, structure)
    suboptimal = 0
    for budget in range(20, 120, 3):
        answer, best = parts.within(budget), optimum(W, blocks, budget)
        assert answer.lower_bound <= best + 1e-13
        assert answer.lower_bound == parts.lower_bound(parts.choose_ranks(budget))
        assert answer.gap == answer.relative_error - answer.lower_bound
        if answer.relative_error > best + 1e-6:
            suboptimal += 1
            assert answer.guarantee == "greedy ranks"
            assert answer.gap > 1e-6
    assert suboptimal > 8


@given(purchases(max_blocks=5))
def test_greedy_layers_do_not_claim_to_be_optimal(purchase):
    spectra, costs, budget = purchase
    total = sum(float(np.sum(s**2)) for s in spectra)
    names = [f"layer {k}" for k in range(len(spectra))]
    by_name, prices = dict(zip(names, spectra, strict=True)), dict(zip(names, costs.tolist(), strict=True))
    least = math.sqrt(1 - most_energy(spectra, costs, budget) / total) if total else 0.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(knapsack, "_MANY_STATES", 0)
        found = lb.allocate_ranks(by_name, prices, budget)

    assert found.lower_bound <= least + 1e-7  # the root of rounding near zero
    assert found.gap == found.relative_error - found.lower_bound >= 0
    assert found.relative_error <= least + 1e-7 or found.gap > 0
