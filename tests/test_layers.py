"""One budget over many matrices."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from oracles import kept_energy, most_energy
from registry import purchases

import lowrank_blocks as lb
from lowrank_blocks.allocation import knapsack


def named(spectra, costs):
    names = [f"layer {k}" for k in range(len(spectra))]
    return dict(zip(names, spectra, strict=True)), dict(zip(names, (int(c) for c in costs), strict=True))


@given(purchases())
def test_ranks_are_the_optimum_over_all_layers(purchase):
    spectra, costs, budget = purchase
    by_name, prices = named(spectra, costs)

    found = lb.allocate_ranks(by_name, prices, budget)

    ranks = list(found.ranks.values())
    total = sum(float(np.sum(s**2)) for s in spectra)
    assert kept_energy(spectra, ranks) == most_energy(spectra, costs, budget)
    assert found.n_parameters == sum(r * c for r, c in zip(ranks, prices.values(), strict=True)) <= budget
    expected = math.sqrt(1 - kept_energy(spectra, ranks) / total) if total else 0
    assert found.relative_error == pytest.approx(expected, abs=1e-7)
    assert found.guarantee == "optimal ranks"
    assert found.gap == 0


@given(purchases(max_blocks=5))
def test_gap_is_certified_where_the_search_is_cut_short(purchase):
    spectra, costs, budget = purchase
    by_name, prices = named(spectra, costs)
    total = sum(float(np.sum(s**2)) for s in spectra)
    assume(total > 0)
    optimum = math.sqrt(max(0.0, 1 - most_energy(spectra, costs, budget) / total))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(knapsack, "_MANY_STATES", 0)
        found = lb.allocate_ranks(by_name, prices, budget)
    assert found.lower_bound <= optimum + 1e-7
    assert optimum <= found.relative_error + 1e-7
    assert found.gap >= 0


def test_layers_of_the_genuine_update():
    update = lb.load_example()
    spectra = {name: lb.decompose(dW, lb.Global()).spectra[0] for name, dW in update.items()}
    costs = {name: sum(dW.shape) for name, dW in update.items()}
    budget = 8 * sum(costs.values())

    found = lb.allocate_ranks(spectra, costs, budget)

    norm = math.hypot(*(np.linalg.norm(s) for s in spectra.values()))
    same = math.hypot(*(np.linalg.norm(s[8:]) for s in spectra.values())) / norm
    error = math.hypot(*(np.linalg.norm(s[found.ranks[name] :]) for name, s in spectra.items())) / norm
    assert found.relative_error == pytest.approx(error, abs=1e-12)
    assert found.relative_error < same
    assert found.n_parameters <= budget


def test_extreme_scales():
    for scale in (1e300, 1e-300):
        found = lb.allocate_ranks({"a": [3 * scale, scale], "b": [2 * scale]}, {"a": 2, "b": 2}, 4)
        assert found.ranks == {"a": 1, "b": 1}
        assert found.relative_error == pytest.approx(math.sqrt(1 / 14))


@pytest.mark.parametrize(
    ("spectra", "costs", "error", "message"),
    [
        ([[1.0]], {"a": 2}, TypeError, "layers must be a dict by the names of the matrices, got a list"),
        ({"a": [1.0]}, 8, TypeError, "costs must be a dict .*, got 8; a budget goes by its name: budget=8"),
        ({"a": [1.0]}, {"b": 2}, ValueError, r"got only one of both for \['a', 'b'\]"),
        (
            {"a": [1.0, 2.0]},
            {"a": 2},
            ValueError,
            r"layers\['a'\] must be finite, non-negative and descending",
        ),
        ({"a": [1.0]}, {"a": 0}, ValueError, r"costs\['a'\] must be a positive integer, got 0"),
        ({}, {}, ValueError, "layers must hold at least one matrix"),
    ],
)
def test_bad_input(spectra, costs, error, message):
    with pytest.raises(error, match=message):
        lb.allocate_ranks(spectra, costs, 4)
