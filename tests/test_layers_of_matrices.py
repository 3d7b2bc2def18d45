"""One budget over many decompositions or matrices: their ranks, their approximations, a table."""

import copy
import math
import pickle

import numpy as np
import pytest
from oracles import block_costs, block_spectra, diagonal, grid, kept_energy, most_energy, outside_energy
from parsing import Cells

import lowrank_blocks as lb
from lowrank_blocks.allocation import knapsack

RNG = np.random.default_rng(5)
MATRICES = {"q": RNG.standard_normal((6, 4)), "up": 2 * RNG.standard_normal((8, 4)), "eye": np.eye(4)}
STRUCTURES = {  # with their blocks by the oracle
    "q": (lb.Localized(2, 1), grid(2, 1, 6, 4)),
    "up": (lb.DiagonalLocal(2), diagonal(2, 8, 4)),
    "eye": (lb.Global(), grid(1, 1, 4, 4)),
}


def norm(matrices):
    return math.sqrt(sum(float(np.sum(W**2)) for W in matrices.values()))


NORM = norm(MATRICES)


def parts():
    return {name: lb.decompose(W, STRUCTURES[name][0]) for name, W in MATRICES.items()}


def whole():
    return {name: grid(1, 1, *W.shape) for name, W in MATRICES.items()}


def least_error(blocks, budget, matrices=MATRICES):
    """Return the least relative error of all together by trying every choice of ranks."""
    spectra = [s for name, W in matrices.items() for s in block_spectra(W, blocks[name])]
    costs = [c for name in matrices for c in block_costs(blocks[name])]
    outside = sum(outside_energy(W, blocks[name]) for name, W in matrices.items())
    left = sum(float(np.sum(s**2)) for s in spectra) - most_energy(spectra, costs, budget) + outside
    return math.sqrt(max(left, 0)) / norm(matrices)


def facts(found):
    return found.ranks, found.n_parameters, found.relative_error, found.guarantee, found.budget


@pytest.mark.parametrize("budget", [0, 7, 20, 33, 60, 10**6])
def test_matrices_get_the_ranks_of_their_spectra(budget):
    found = lb.allocate_ranks(MATRICES, budget=budget)
    spectra = {name: np.linalg.svd(W, compute_uv=False) for name, W in MATRICES.items()}
    costs = {name: sum(W.shape) for name, W in MATRICES.items()}
    known = lb.allocate_ranks(spectra, costs, budget)

    assert found.n_parameters <= budget
    assert found.relative_error == pytest.approx(known.relative_error, abs=1e-12)
    assert found.relative_error == pytest.approx(least_error(whole(), budget), abs=1e-7)
    assert facts(found) == facts(lb.allocate_ranks(globals_(), budget=budget))


def globals_():
    return {name: lb.decompose(W, lb.Global()) for name, W in MATRICES.items()}


@pytest.mark.parametrize("budget", [0, 6, 20, 33, 60, 10**6])
def test_blocks_of_all_decompositions_share_the_budget(budget):
    found = lb.allocate_ranks(parts(), budget=budget)
    blocks = {name: b for name, (_, b) in STRUCTURES.items()}

    assert found.relative_error == pytest.approx(least_error(blocks, budget), abs=1e-7)
    assert found.guarantee == "optimal ranks"
    assert found.lower_bound == found.relative_error
    stored = 0
    for name, ranks in found.ranks.items():
        listed = [ranks] if name == "eye" else list(ranks)
        stored += sum(r * c for r, c in zip(listed, block_costs(blocks[name]), strict=True))
        assert type(ranks) is (int if name == "eye" else tuple)
    assert found.n_parameters == stored <= budget


@pytest.mark.parametrize("layers", [lambda: MATRICES, parts, lambda: parts() | {"eye": np.eye(4)}])
def test_it_gives_the_approximations(layers):
    found = lb.allocate_ranks(layers(), budget=40)

    assert list(found.approximations) == list(MATRICES)
    left = 0.0
    for name, best in found.approximations.items():
        assert isinstance(best, lb.Approximation)
        expected = found.ranks[name]
        assert best.ranks.tolist() == ([expected] if type(expected) is int else list(expected))
        left += float(np.sum((MATRICES[name] - np.asarray(best)) ** 2))
        assert found.relative_errors[name] == pytest.approx(best.relative_error, abs=1e-13)
        assert found.stored[name] == best.n_parameters
    assert found.relative_error == pytest.approx(math.sqrt(left) / NORM, abs=1e-13)


def test_of_spectra_there_are_no_approximations():
    found = lb.allocate_ranks({"a": [3.0, 1.0]}, {"a": 5}, 5)

    with pytest.raises(ValueError, match=r"approximations must come from .*, got spectra only"):
        _ = found.approximations
    assert found.relative_errors["a"] == pytest.approx(math.sqrt(0.1))


def test_matrices_stay_the_callers():
    matrices = {name: W.copy() for name, W in MATRICES.items()}
    found = lb.allocate_ranks(matrices, budget=40)
    before = {name: best.to_dense() for name, best in found.approximations.items()}
    for name, W in matrices.items():
        np.testing.assert_array_equal(W, MATRICES[name])
        assert W.flags.writeable
        W[:] = 0
    for name, best in found.approximations.items():
        np.testing.assert_array_equal(best.to_dense(), before[name])


def test_a_rank_stands_for_the_budget_of_all():
    units = {name: sum(W.shape) for name, W in MATRICES.items()}
    for layers, costs in [(MATRICES, None), (parts(), None), ({n: [3.0, 2.0, 1.0] for n in units}, units)]:
        by_rank = lb.allocate_ranks(layers, costs, rank=2)
        assert facts(by_rank) == facts(lb.allocate_ranks(layers, costs, budget=2 * sum(units.values())))
        assert by_rank.budget == 2 * (10 + 12 + 8)


def test_it_prints_as_a_table():
    found = lb.allocate_ranks(parts(), budget=40)
    title, names, _, *lines = str(found).splitlines()
    cells = Cells(found._repr_html_()).found

    assert "3 matrices" in title
    assert f"{found.n_parameters} of 40 numbers" in title
    assert "optimal ranks" in title
    assert names.split() == cells["th"] == ["name", "rank", "n_parameters", "relative_error"]
    assert [line.split()[0] for line in lines] == list(MATRICES)
    for line, name in zip(lines, MATRICES, strict=True):
        assert line.split()[2] == str(found.stored[name])
        assert float(line.split()[3]) == pytest.approx(found.relative_errors[name], rel=1e-3)
    assert len(cells["td"]) == 12
    assert "\n" not in repr(found)
    assert repr(found).startswith("LayerRanks(3 matrices")


def test_a_budget_that_buys_nothing_says_so():
    found = lb.allocate_ranks(MATRICES, budget=2)
    note = "budget 2 buys no rank: one unit of rank costs 8; rank=2 is a budget of 60"

    assert found.note == note
    assert note in str(found)
    assert note in repr(found)
    assert lb.allocate_ranks(MATRICES, budget=8).note == ""
    assert lb.allocate_ranks(MATRICES, budget=5).note == "budget 5 buys no rank: one unit of rank costs 8"


@pytest.mark.parametrize("made", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x, 4))])
def test_copies_keep_locked_factors(made):
    found = made(lb.allocate_ranks(MATRICES, budget=40))

    assert str(found) == str(lb.allocate_ranks(MATRICES, budget=40))
    arrays = [f for best in found.approximations.values() for pair in best.factors for f in pair]
    assert not any(array.flags.writeable for array in arrays)


def test_extreme_scales_of_matrices():
    for scale in (1e300, 1e-300):
        found = lb.allocate_ranks({name: W * scale for name, W in parts_dense().items()}, budget=30)
        usual = lb.allocate_ranks(parts_dense(), budget=30)
        assert found.ranks == usual.ranks
        assert found.relative_error == pytest.approx(usual.relative_error, rel=1e-12)


def parts_dense():
    return {"a": MATRICES["q"], "b": MATRICES["up"]}


def test_energy_in_no_block_counts():
    W = np.ones((4, 4))
    found = lb.allocate_ranks({"a": lb.decompose(W, lb.DiagonalLocal(2))}, budget=1000)

    assert found.relative_error == pytest.approx(math.sqrt(0.5), rel=1e-14)
    assert found.lower_bound == found.relative_error
    assert kept_energy([np.array([2.0]), np.array([2.0])], found.ranks["a"]) == 8


def test_the_bound_of_greedy_ranks_counts_what_is_in_no_block():
    """Four distinct costs: the search may be cut short."""
    matrices = MATRICES | {"row": np.array([[1.0, 2.0, 2.0]])}
    blocks = {name: b for name, (_, b) in STRUCTURES.items()} | {"row": grid(1, 1, 1, 3)}
    outside = sum(outside_energy(W, blocks[name]) for name, W in matrices.items())
    greedy = 0
    for budget in range(6, 60, 3):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(knapsack, "_MANY_STATES", 0)
            found = lb.allocate_ranks(parts() | {"row": matrices["row"]}, budget=budget)
        optimum = least_error(blocks, budget, matrices)
        assert found.lower_bound <= optimum + 1e-9
        assert optimum <= found.relative_error + 1e-9
        if found.guarantee == "greedy ranks":
            greedy += 1
            assert found.lower_bound > math.sqrt(outside) / norm(matrices)
            assert "greedy ranks, gap at most" in str(found)
    assert greedy >= 3


@pytest.mark.parametrize(
    ("layers", "options", "error", "message"),
    [
        (MATRICES, {"costs": {}, "budget": 8}, ValueError, "costs must have the names of layers"),
        (MATRICES, {"costs": dict.fromkeys(MATRICES, 9), "budget": 8}, ValueError, "leave costs out"),
        (parts(), {"costs": dict.fromkeys(MATRICES, 9), "budget": 8}, TypeError, "leave costs out"),
        ({"a": [3.0, 1.0]}, {"budget": 8}, ValueError, r"layers\['a'\] .*spectr.*costs="),
        ({"a": np.full((2, 2), np.nan)}, {"budget": 8}, ValueError, r"layers\['a'\] must be finite"),
        ({}, {"budget": 8}, ValueError, "layers must hold at least one matrix, got none"),
        (MATRICES, {}, TypeError, "budget must be a non-negative integer, .*rank="),
        (MATRICES, {"budget": 8, "rank": 1}, TypeError, "must not both be given"),
        (list(MATRICES.values()), {"budget": 8}, TypeError, "layers must be a dict .*, got a list"),
        (np.eye(4), {"budget": 8}, TypeError, "layers must be a dict .*, got a ndarray"),
    ],
)
def test_bad_layers(layers, options, error, message):
    with pytest.raises(error, match=message):
        lb.allocate_ranks(layers, **options)
