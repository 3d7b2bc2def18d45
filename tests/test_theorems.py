"""The statements of the theory at a matched budget r(m+n): W is m×n, cut into K×K equal blocks, t = r/K.

G is global with rank r, D has rank r on each of K diagonal blocks, L has rank t on each of K² blocks.
Errors are taken from the package at the ranks of the statement; a rank beyond full rank is full rank.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import block_spectra, diagonal, grid, outside_energy, tolerance
from registry import integer_matrices, with_spectrum

import lowrank_blocks as lb


def squared(W, structure, rank):
    """Return the squared error with one rank for all blocks, capped at full rank."""
    parts = lb.decompose(W, structure)
    return parts.error([min(rank, len(s)) for s in parts.spectra]) ** 2


def energy(W):
    return float(np.square(W).sum())


def slack(W):
    """Return what rounding may change in a squared error."""
    return tolerance(W) * np.linalg.norm(W)


SEEDED = {
    "gaussian": lambda m, n, rng: rng.standard_normal((m, n)),
    "low rank": lambda m, n, rng: rng.standard_normal((m, 2)) @ rng.standard_normal((2, n)),
    "decaying": lambda m, n, rng: with_spectrum(
        (m, n), 2.0 ** -np.arange(min(m, n)), seed=int(rng.integers(99))
    ),
    "permutation": lambda m, n, rng: np.eye(max(m, n))[rng.permutation(max(m, n))][:m, :n],
    "diagonal": lambda m, n, rng: np.eye(m, n) * rng.standard_normal((m, 1)),
}


@st.composite
def situations(draw):
    """Draw W, K and r with K dividing both sides and r."""
    K = draw(st.sampled_from([2, 3]))
    p, q = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    m, n, r = K * p, K * q, K * draw(st.integers(1, min(p, q)))
    if draw(st.booleans()):
        return draw(integer_matrices(m, n)), K, r
    make = SEEDED[draw(st.sampled_from(sorted(SEEDED)))]
    return make(m, n, np.random.default_rng(draw(st.integers(0, 999)))), K, r


def matched(W, K, r):
    """Return the squared errors of G, D and L at the matched budget."""
    return squared(W, lb.Global(), r), squared(W, lb.DiagonalLocal(K), r), squared(W, lb.Localized(K), r // K)


@given(situations())
def test_the_three_budgets_match(situation):
    W, K, r = situation
    (m, n), budget = W.shape, lb.rank_budget(W.shape, r)
    full = min(m, n) // K

    structures = [lb.Global(), lb.Localized(K)] + ([lb.DiagonalLocal(K)] if r <= full else [])
    for structure in structures:
        answer = lb.approximate(W, structure, budget, allocate=lb.uniform)
        assert answer.n_parameters == budget


@given(situations())
def test_1_the_same_rank_in_every_block_is_at_least_as_good(situation):
    W, K, r = situation

    local = squared(W, lb.Localized(K), r)

    assert local <= squared(W, lb.Global(), r) + slack(W)
    assert local <= squared(W, lb.DiagonalLocal(K), r) + slack(W)


@given(situations())
def test_2_bracket_at_the_matched_budget(situation):
    W, K, r = situation
    _, D, L = matched(W, K, r)

    assert squared(W, lb.Global(), K * r) <= L + slack(W)
    assert squared(W, lb.Global(), r // K) >= L - slack(W)
    assert squared(W, lb.Global(), K * r) <= D + slack(W)


@given(situations())
def test_3_localized_and_global_capture_within_a_factor_of_k(situation):
    W, K, r = situation
    G, _, L = matched(W, K, r)

    assert (energy(W) - G) / K <= energy(W) - L + slack(W)
    assert energy(W) - L <= K * (energy(W) - G) + K * slack(W)


@pytest.mark.parametrize("K", [2, 3])
def test_3_both_ends_are_reached(K):
    tiled_identity = np.tile(np.eye(2 * K), (K, K))
    G, _, L = matched(tiled_identity, K, 2 * K)
    assert energy(tiled_identity) - L == pytest.approx((energy(tiled_identity) - G) / K, rel=1e-13)

    shuffle = np.eye(K * K)[np.arange(K * K).reshape(K, K).T.ravel()]  # one entry in every block
    G, _, L = matched(shuffle, K, K)
    assert energy(shuffle) - L == pytest.approx(K * (energy(shuffle) - G), rel=1e-13)


@given(situations())
def test_4_localized_captures_at_least_a_kth_of_diagonal_local(situation):
    W, K, r = situation
    _, D, L = matched(W, K, r)

    assert energy(W) - L >= (energy(W) - D) / K - slack(W)


@pytest.mark.parametrize("K", [2, 3])
def test_4_is_reached_and_has_no_bound_the_other_way(K):
    identity = np.eye(2 * K * K)
    _, D, L = matched(identity, K, 2 * K)
    assert energy(identity) - L == pytest.approx((energy(identity) - D) / K, rel=1e-13)

    beside = np.roll(np.eye(2 * K), 2, axis=1)  # all outside the diagonal blocks
    _, D, L = matched(beside, K, K)
    assert pytest.approx(energy(beside), abs=slack(beside), rel=0) == D
    assert energy(beside) - L == pytest.approx(K)


def sums(W, blocks, low, high):
    """Return Σ over blocks of σ_l² for low < l ≤ high, by the oracle."""
    return sum(float(np.square(s[low:high]).sum()) for s in block_spectra(W, blocks))


def check_difference(worse, better, gained, lost, W):
    """Assert worse − better = gained − lost, and with it that the one wins exactly when the other does."""
    assert worse - better == pytest.approx(gained - lost, abs=4 * slack(W), rel=0)
    if abs(gained - lost) > 4 * slack(W):
        assert (better < worse) == (gained > lost)


@given(situations())
def test_5_when_localized_beats_diagonal_local(situation):
    W, K, r = situation
    _, D, L = matched(W, K, r)
    on = diagonal(K, *W.shape)
    beside = [block for k, block in enumerate(grid(K, K, *W.shape)) if k % (K + 1)]

    check_difference(D, L, sums(W, beside, 0, r // K), sums(W, on, r // K, r), W)


@given(situations())
def test_6_when_localized_beats_global(situation):
    W, K, r = situation
    G, _, L = matched(W, K, r)
    (m, n) = W.shape

    check_difference(G, L, sums(W, grid(K, K, m, n), 0, r // K), sums(W, grid(1, 1, m, n), 0, r), W)


@given(situations())
def test_8_free_ranks_are_never_worse_than_either(situation):
    W, K, r = situation
    _, D, L = matched(W, K, r)

    free = lb.approximate(W, lb.Localized(K), lb.rank_budget(W.shape, r)).error ** 2

    assert free <= min(D, L) + slack(W)


@given(situations())
def test_8_free_ranks_keep_the_largest_pooled_values(situation):
    W, K, r = situation
    blocks = grid(K, K, *W.shape)
    pooled = np.sort(np.concatenate(block_spectra(W, blocks)))[::-1]

    free = lb.approximate(W, lb.Localized(K), lb.rank_budget(W.shape, r)).error ** 2

    assert outside_energy(W, blocks) == 0
    assert free == pytest.approx(float(np.square(pooled[K * r :]).sum()), abs=slack(W), rel=0)


TABLE = {  # W, then the squared errors of G, D, L and L with free ranks, and the digits that are given
    "diag(1,1,0,0)": (np.diag([1.0, 1, 0, 0]), (0, 0, 1, 0), 12),
    "identity": (np.eye(4), (2, 0, 2, 0), 12),
    "swap rows 2 and 3": (np.eye(4)[[0, 2, 1, 3]], (2, 2, 0, 0), 12),
    "rank 2": (
        np.array([[1, 0], [0, 1], [1, 1], [1, -1]]) @ np.array([[1, 0, 1, 2], [0, 1, 1, -1]]),
        (0, 11, 8.092, 5.697),
        3,
    ),
    "ones": (np.ones((4, 4)), (0, 8, 0, 0), 12),
}


@pytest.mark.parametrize(("W", "errors", "digits"), TABLE.values(), ids=TABLE)
def test_the_4_by_4_table(W, errors, digits):
    """K = 2, r = 2, t = 1: no structure wins on all five."""
    structures = [lb.Global(), lb.DiagonalLocal(2), lb.Localized(2)]
    rows = [lb.approximate(W, s, 16, allocate=lb.uniform) for s in structures]
    rows.append(lb.approximate(W, lb.Localized(2), 16))

    assert [round(row.error**2, digits) for row in rows] == list(errors)
    assert [row.n_parameters for row in rows[:3]] == [16, 16, 16]
