"""The search for the critical multiplier, its bound, and which of two equal candidates is the answer."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import least_energies
from registry import examples, integer_matrices

import lowrank_blocks as lb
from lowrank_blocks.search import candidates


def rectangles(W, depth):
    return candidates.rectangles_of(W, max_depth=depth, min_block=1, rows=1, cols=1)


def exact_value(found, rate, place=(0, 0, 0, 0)):
    """Return the least energy + rate * count over all trees, in fractions, for the spectra as they are."""
    cost = sum(found.block(place).shape)
    options = [sum(min(Fraction(float(s)) ** 2, rate * cost) for s in found.spectra_of([place]).values[0])]
    for kind, levels, level in ((1, found.rows, place[0]), (2, found.cols, place[1])):
        if level + 1 < len(levels):
            options.append(sum(exact_value(found, rate, child) for child in found.children(place, kind)))
    return min(options)


@pytest.mark.parametrize("seed", range(8))
def test_rounding_never_lifts_the_bound(seed):
    """In exact arithmetic on the spectra that were computed, the bound is below the dual function."""
    rng = np.random.default_rng(seed)
    found = rectangles(rng.standard_normal((6, 5)) * 10.0 ** rng.integers(-3, 4), 1)
    for budget in range(3, 60, 8):
        for tree in candidates.search(found, budget):
            exact = exact_value(found, Fraction(tree.multiplier)) - Fraction(tree.multiplier) * budget
            bound = candidates.energy_bound([tree], budget)
            assert Fraction(bound) <= max(exact, 0)
            assert bound >= float(exact) - 1e-12 * found.energy


@examples(15)
@given(integer_matrices(8, 8), st.integers(1, 100))
def test_the_last_two_trees_enclose_the_best_bound(W, budget):
    """The bound is the height of the convex hull of all trees above the budget (theorems 5 and 6)."""
    found = rectangles(W, 1)
    least = least_energies(W, (0, 8), (0, 8), (1, 1), 128)
    trees = candidates.search(found, budget)

    chords = [
        least[i] + (least[j] - least[i]) * (budget - i) / (j - i)
        for i in range(budget + 1)
        for j in range(budget + 1, 129)
    ]
    height = min([float(least[budget]), *chords])
    assert candidates.energy_bound(trees, budget) == pytest.approx(height, abs=1e-9 * max(1.0, found.energy))
    if W.any():
        low, high = trees[-2:]
        assert low.n_parameters <= budget
        assert budget < high.n_parameters or high.energy <= 1e-20 * found.energy


def test_the_search_ends_where_only_rounding_is_left_to_tell_apart():
    """All values differ by rounding: the first chord is an edge of the hull, and its multiplier the last."""
    W = np.diag(1 + 4e-15 * np.arange(64))
    found = rectangles(W, 0)
    for budget in (200, 3000, 8000):
        assert len(candidates.search(found, budget)) == 3  # one, and the two trees beside it


@pytest.mark.parametrize(("least", "stored"), [(5e-15, 3), (2.5e-15, 2)])
def test_what_is_left_out_as_noise(least, stored):
    """A value counts from an energy of 1e-28 / mn a number on: 3.5e-15 of the norm on a 16×16 matrix."""
    W = np.zeros((16, 16))
    W[3, 7], W[8, 2], W[12, 12] = 1.0, 1e-7, least
    last = candidates.search(rectangles(W, 0), 10**6)[-1]
    assert last.n_parameters == 32 * stored


# Which answer: the least error; to 1e-12, the fewest numbers above rounding; then the fewest blocks.


def two_blocks(off=0.0):
    """Return two blocks of rank 1 on the diagonal, with something of size `off` beside them."""
    rng = np.random.default_rng(1)
    W = np.zeros((8, 8))
    W[:4, :4], W[4:, 4:] = (np.outer(*rng.standard_normal((2, 4))) for _ in range(2))
    W /= np.linalg.norm(W)
    W[0, 7] = off
    return W


@pytest.mark.parametrize("budget", [16, 40, 64, 100])
def test_fewest_numbers_then_fewest_blocks_among_equals(budget):
    """`Global` stores 32 numbers, `Localized(2)` holds two more blocks; from 40 on all have no error."""
    found = lb.best_partition(two_blocks(), budget)
    assert found.structure == lb.DiagonalLocal(2)
    assert found.relative_error <= 1e-12


@pytest.mark.parametrize(("off", "structure"), [(1e-9, False), (1e-14, True)])
def test_fewer_numbers_do_not_win_over_less_error(off, structure):
    found = lb.best_partition(two_blocks(off), 64)
    assert (found.structure == lb.DiagonalLocal(2)) == structure
    assert found.relative_error <= 1e-12


def test_a_tie_is_not_its_own_bound():
    """To 1e-12 of the norm fewer numbers are preferred; their error is not the least, and not reported so."""
    W = two_blocks(off=3e-13)
    found = lb.best_partition(W, 64)
    least = lb.approximate(W, lb.Global(), 64).relative_error
    assert found.structure == lb.DiagonalLocal(2)
    assert found.relative_error == pytest.approx(3e-13, rel=0.01)
    assert found.lower_bound <= least < 1e-14


def test_one_block_wins_over_its_parts():
    """All ones: any partition with rank 1 everywhere is exact; the whole stores fewest numbers."""
    assert lb.best_partition(np.ones((8, 8)), 128).structure == lb.Global()


def test_the_answer_at_no_budget_is_one_block():
    """Nothing is stored, so that all candidates are equal: the one with fewest blocks."""
    W = np.random.default_rng(0).standard_normal((8, 8))
    assert lb.best_partition(W, 0).structure == lb.Global()
