"""Allocations: adaptive is the exact optimum, uniform the largest common rank, all within the budget."""

import numpy as np
import pytest
from hypothesis import given
from oracles import (
    greedy_energy,
    kept_energy,
    least_discarded,
    most_energy,
    spent,
    uniform_ranks,
)
from registry import purchases

import lowrank_blocks as lb
from lowrank_blocks.allocation import knapsack, penalties
from lowrank_blocks.allocation.offers import Offer


def best_ranks(spectra, costs, budget):
    return lb.adaptive.choose(Offer.checked(spectra, costs), budget)


def everything(spectra, costs):
    return sum(len(s) * int(c) for s, c in zip(spectra, costs, strict=True))


def check_optimal_at_every_budget(spectra, costs, step=1):
    """Compare with dynamic programming; spectra hold integers, so that energies are exact."""
    total = everything(spectra, costs)
    least = least_discarded(spectra, costs, total)
    energy = sum(float(x) ** 2 for s in spectra for x in s)
    for budget in range(0, total + 1, step):
        choice = best_ranks(spectra, costs, budget)
        assert spent(costs, choice.ranks) <= budget
        assert energy - kept_energy(spectra, choice.ranks) == least[budget]
        assert choice.guarantee == "optimal ranks"


@given(purchases())
def test_the_two_oracles_agree(purchase):
    spectra, costs, budget = purchase
    energy = sum(float(x) ** 2 for s in spectra for x in s)

    assert energy - least_discarded(spectra, costs, budget)[budget] == most_energy(spectra, costs, budget)


@given(purchases())
def test_adaptive_is_optimal(purchase):
    spectra, costs, budget = purchase

    answer = lb.adaptive(spectra, costs, budget)

    assert answer @ costs <= budget
    assert kept_energy(spectra, answer) == most_energy(spectra, costs, budget)
    assert best_ranks(spectra, costs, budget).guarantee == "optimal ranks"


@given(purchases(max_blocks=6, max_rank=3, max_value=4))
def test_adaptive_is_optimal_among_many_ties(purchase):
    spectra, costs, budget = purchase

    answer = lb.adaptive(spectra, costs, budget)

    assert answer @ costs <= budget
    assert kept_energy(spectra, answer) == most_energy(spectra, costs, budget)


@given(purchases())
def test_adaptive_never_buys_a_zero(purchase):
    spectra, costs, budget = purchase

    answer = lb.adaptive(spectra, costs, budget)

    assert all(s[r - 1] > 0 for s, r in zip(spectra, answer, strict=True) if r)


@pytest.mark.parametrize("costs", [[1, 1, 1], [4, 9, 5], [6, 7, 8, 7], [1, 9, 2, 8, 3], [2, 3, 5, 7, 9, 4]])
@pytest.mark.parametrize("seed", range(2))
def test_adaptive_is_optimal_at_every_budget(costs, seed):
    rng = np.random.default_rng(seed)
    spectra = [np.sort(rng.integers(0, 10, 5))[::-1].astype(float) for _ in costs]

    check_optimal_at_every_budget(spectra, costs)


@pytest.mark.parametrize("costs", [[1, 2, 3], [7, 8, 9], [2, 3, 5, 9], [1, 4]])
@pytest.mark.parametrize(("low", "high"), [(1000, 1010), (1, 4), (1, 10**6)])
def test_adaptive_is_optimal_on_long_and_nearly_flat_spectra(costs, low, high):
    rng = np.random.default_rng(high)
    spectra = [np.sort(rng.integers(low, high, 120))[::-1].astype(float) for _ in costs]

    check_optimal_at_every_budget(spectra, costs, step=37)


@pytest.mark.parametrize("shape", [(29, 23), (41, 17), (23, 31)])
def test_a_ragged_grid_is_solved_exactly(shape):
    W = np.random.default_rng(shape).standard_normal(shape)
    parts = lb.decompose(W, lb.Localized(4, 5))
    total = everything(parts.spectra, parts.costs)
    least = least_discarded(parts.spectra, parts.costs, total)

    assert len(set(parts.costs.tolist())) == 3
    for budget in range(0, total + 1, 13):
        choice = parts.choose_ranks(budget)
        assert choice.guarantee == "optimal ranks"
        assert parts.error(choice.ranks) ** 2 == pytest.approx(least[budget], rel=1e-13, abs=1e-13)


@given(purchases(max_rank=6))
def test_uniform_is_the_largest_common_rank(purchase):
    spectra, costs, budget = purchase

    answer = lb.uniform(spectra, costs, budget)

    assert answer @ costs <= budget
    assert answer.tolist() == uniform_ranks(spectra, costs, budget)


def test_uniform_passes_a_full_block_by():
    spectra, costs = [np.array([1.0]), np.array([4.0, 3.0, 2.0, 1.0])], [5, 2]

    answers = {budget: lb.uniform(spectra, costs, budget).tolist() for budget in (6, 7, 8, 9, 13, 99)}

    assert answers == {6: [0, 0], 7: [1, 1], 8: [1, 1], 9: [1, 2], 13: [1, 4], 99: [1, 4]}


@given(purchases())
def test_adaptive_is_never_worse_than_uniform(purchase):
    spectra, costs, budget = purchase

    best, common = lb.adaptive(spectra, costs, budget), lb.uniform(spectra, costs, budget)

    assert kept_energy(spectra, best) >= kept_energy(spectra, common)


@given(purchases())
def test_the_bound_is_below_every_choice(purchase):
    """Blocks as classes: what the search calls a bound holds whether or not it finds the optimum."""
    spectra, costs, budget = purchase
    classes = [np.square(s[s > 0]) for s in spectra]

    choice = knapsack.best_counts(classes, costs.tolist(), budget)

    least = least_discarded(spectra, costs, budget)[budget]
    assert choice.proved
    assert choice.discarded == least
    assert knapsack.dual_bound(classes, costs.tolist(), budget) <= least
    assert np.dot(choice.counts, costs) <= budget


@given(purchases())
def test_small_slabs_give_the_same_optimum(purchase):
    spectra, costs, budget = purchase
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(penalties, "_SLAB", 3)
        answer = lb.adaptive(spectra, costs, budget)

    assert kept_energy(spectra, answer) == most_energy(spectra, costs, budget)


# Where the search is given up.


def many_costs(seed):
    rng = np.random.default_rng(seed)
    costs = rng.permutation([3, 5, 7, 8, 9])
    return [np.sort(rng.integers(1, 50, 4))[::-1].astype(float) for _ in costs], costs


@pytest.mark.parametrize("seed", range(3))
def test_the_greedy_answer_keeps_its_promise(seed, monkeypatch):
    monkeypatch.setattr(knapsack, "_MANY_STATES", 0)
    spectra, costs = many_costs(seed)
    total, guarantees = everything(spectra, costs), set()
    most = sum(float(x) ** 2 for s in spectra for x in s) - least_discarded(spectra, costs, total)
    for budget in range(total):
        choice = best_ranks(spectra, costs, budget)
        guarantees.add(choice.guarantee)
        kept, paid = kept_energy(spectra, choice.ranks), spent(costs, choice.ranks)
        assert paid <= budget
        assert kept >= greedy_energy(spectra, costs, budget)[0] - 1e-9
        if choice.guarantee == "optimal ranks":  # the greedy answer spent the budget or lost nothing
            assert kept == most[budget]
        else:
            greedy, greedy_paid = greedy_energy(spectra, costs, budget)
            assert greedy == pytest.approx(most[greedy_paid])  # greedy is optimal at the count that it spends
            assert kept >= kept_energy(spectra, uniform_ranks(spectra, costs, budget))

    assert guarantees == {"optimal ranks", "greedy ranks"}


def test_three_costs_are_exact_however_many_states(monkeypatch):
    monkeypatch.setattr(knapsack, "_MANY_STATES", 0)
    spectra, _ = many_costs(0)

    check_optimal_at_every_budget(spectra, np.array([3, 5, 7, 5, 3]))


def test_a_greedy_answer_says_so(monkeypatch):
    monkeypatch.setattr(knapsack, "_MANY_STATES", 0)
    W, structure = np.random.default_rng(0).standard_normal((13, 11)), lb.Localized((0, 1, 4, 13), (0, 2, 11))

    answers = [lb.approximate(W, structure, budget) for budget in range(30, 60)]
    row = lb.compare(W, [structure], 40).rows[1]

    greedy = [answer for answer in answers if answer.guarantee == "greedy ranks"]
    assert greedy
    assert all("greedy ranks" in repr(answer) for answer in greedy)
    assert row.guarantee == answers[10].guarantee == "greedy ranks"


def test_what_is_known_of_the_ranks():
    parts = lb.decompose(np.diag([3.0, 2.0, 1.0, 1.0]), lb.Localized(2))

    assert parts.within(9).guarantee == "optimal ranks"
    assert parts.within(9, allocate=lb.uniform).guarantee == "given ranks"
    assert parts.within(9, allocate=lambda *_: [0, 1, 0, 1]).guarantee == "given ranks"
    assert parts.truncate([1, 0, 0, 1]).guarantee == "given ranks"
    assert "greedy" not in repr(parts.within(9))


# Extreme values and any allocation.


@pytest.mark.parametrize("scale", [1e-300, 1e300, 2.0**-257, 2.0**257])
def test_extreme_spectra_are_chosen_among_as_usual(scale):
    spectra, costs = [np.array([9.0, 5.0, 2.0]), np.array([8.0, 1.0])], [3, 4]
    for budget in range(20):
        usual = lb.adaptive(spectra, costs, budget)
        assert lb.adaptive([s * scale for s in spectra], costs, budget).tolist() == usual.tolist()


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_huge_and_tiny_spectra_together_are_divided_by_one_power_of_two(order):
    """The huge block is bought first wherever it stands; what underflows beside it counts as zero."""
    spectra, costs = [np.array([1e300, 8e299, 3e290]), np.array([1e-300, 4e-301])], [3, 2]
    blocks, prices = [spectra[b] for b in order], [costs[b] for b in order]
    for budget, ranks_ in {2: [0, 0], 3: [1, 0], 6: [2, 0], 9: [3, 0], 99: [3, 0]}.items():
        assert lb.adaptive(blocks, prices, budget).tolist() == [ranks_[b] for b in order]
    assert lb.allocate_ranks(
        dict(zip("ab", blocks, strict=True)), dict(zip("ab", prices, strict=True)), 3
    ).relative_error == pytest.approx(0.8 / np.hypot(1, 0.8))


def test_spectra_of_zeros_and_empty_spectra_cost_nothing():
    assert lb.adaptive([[0.0, 0.0], []], [2, 3], 50).tolist() == [0, 0]
    assert lb.uniform([[], [1.0]], [2, 3], 50).tolist() == [0, 1]


def test_any_function_may_spend_the_budget():
    seen = []

    def first_block_only(spectra, costs, budget):
        seen.append(([s.tolist() for s in spectra], list(costs), budget))
        return [min(budget // costs[0], len(spectra[0])), *[0] * (len(spectra) - 1)]

    answer = lb.approximate(np.diag([3.0, 2.0, 1.0]), lb.Localized(1, 3), 9, allocate=first_block_only)

    assert seen == [([[3.0], [2.0], [1.0]], [4, 4, 4], 9)]
    assert answer.ranks.tolist() == [1, 0, 0]
    assert answer.error == pytest.approx(5**0.5, rel=1e-15)
