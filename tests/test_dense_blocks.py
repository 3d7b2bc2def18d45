"""Blocks that may be stored whole, against brute force over all ranks and over which blocks are whole."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import block_costs, outside_energy, pick, residual, tolerance
from registry import GENERIC, KINDS, SMALL, budgets, built, each, examples

import lowrank_blocks as lb

DENSE = lb.Adaptive(dense=True)
SMALL_ENOUGH = [
    kind for kind in KINDS if kind.name in ("grid 2", "diagonal 3", "mixed axes", "tied, low rank", "global")
]


def choices(values, cost, size):
    """Return what can be stored of a block, and the energy that is left: ranks, and all of it."""
    tails = [math.fsum(float(v) ** 2 for v in values[r:]) for r in range(len(values) + 1)]
    return [(r * cost, tails[r]) for r in range(len(values) + 1)] + [(size, 0.0)]


def brute_force(W, blocks, budget):
    """Return the least error of any choice within a budget."""
    options = [
        choices(np.linalg.svd(pick(W, block), compute_uv=False), cost, math.prod(block.shape))
        for block, cost in zip(blocks, block_costs(blocks), strict=True)
    ]
    energies = (
        math.fsum(energy for _, energy in chosen)
        for chosen in itertools.product(*options)
        if sum(count for count, _ in chosen) <= budget
    )
    return math.sqrt(min(energies) + outside_energy(W, blocks))


@given(
    st.integers(0, 60),
    st.integers(0, 200),
    st.sampled_from(["integers", "normal", "decaying"]),
    st.integers(0, 4),
)
@examples(160)
def test_no_choice_of_ranks_and_whole_blocks_is_better(seed, budget, family, which):
    rng = np.random.default_rng(seed)
    W = rng.integers(-3, 4, (6, 7)).astype(float) if family == "integers" else rng.standard_normal((6, 7))
    if family == "decaying":
        W *= 2.0 ** -np.add.outer(np.arange(6), np.arange(7))
    kind = SMALL_ENOUGH[which]
    structure, blocks = built(kind, W)

    best = lb.approximate(W, structure, budget, allocate=DENSE)

    least = brute_force(W, blocks, budget)
    assert best.guarantee == "optimal ranks"
    assert best.error == pytest.approx(least, abs=tolerance(W), rel=0)
    assert best.n_parameters <= budget
    assert residual(W, best.to_dense()) == pytest.approx(best.error, abs=tolerance(W), rel=0)
    bound = lb.decompose(W, structure).choose_ranks(budget, allocate=DENSE).least
    assert bound * sum(np.square(pick(W, b)).sum() for b in blocks) <= least**2 + tolerance(W)


@each(targets={name: SMALL[name] for name in ("ragged", "wide", "integers", "identity", "zeros")})
def test_dense_is_never_worse_and_never_beyond_the_budget(kind, W):
    structure, blocks = built(kind, W)
    parts = lb.decompose(W, structure)
    for budget in budgets(W):
        best, plain = parts.within(budget, allocate=DENSE), parts.within(budget)
        assert best.n_parameters <= budget
        assert best.error <= plain.error + tolerance(W)
        assert best.lower_bound <= best.relative_error
        stored = sum(
            math.prod(block.shape) if rank == min(block.shape) else rank * cost
            for block, rank, cost in zip(blocks, best.ranks, block_costs(blocks), strict=True)
        )
        assert best.n_parameters == stored
    whole = parts.within(sum(math.prod(block.shape) for block in blocks), allocate=DENSE)
    assert whole.error == pytest.approx(math.sqrt(outside_energy(W, blocks)), abs=tolerance(W), rel=0)


def test_a_block_that_is_stored_whole_is_a_factor():
    W = GENERIC["square"].copy()
    W[:4] *= 100
    best = lb.approximate(W, lb.Localized(3), 4 * 16 + 10, allocate=DENSE)

    whole = [k for k, rank in enumerate(best.ranks) if rank == 4]
    assert whole
    for k in whole:
        b, a = best.factors[k]
        np.testing.assert_array_equal(b, W[best.blocks[k].index])
        np.testing.assert_array_equal(a, np.eye(4))
        assert best.accuracy.methods[k] == "dense"
    turned = best.T
    assert turned.n_parameters == best.n_parameters
    np.testing.assert_array_equal(turned.to_dense(), best.to_dense().T)
    x = np.arange(12.0)
    np.testing.assert_allclose(best @ x, best.to_dense() @ x, rtol=1e-12)
    single = lb.approximate(W.astype(np.float32), lb.Localized(3), 4 * 16 + 10, allocate=DENSE)
    assert {f.dtype for pair in single.factors for f in pair} == {np.dtype(np.float32)}


def test_curves_and_comparisons_with_whole_blocks():
    W = GENERIC["square"]
    curve = lb.error_curve(W, lb.Localized(2), allocate=DENSE)
    plain = lb.error_curve(W, lb.Localized(2))
    assert curve.n_parameters[-1] == W.size < plain.n_parameters[-1]
    assert curve.relative_error[-1] == pytest.approx(0, abs=1e-7)
    for budget in (0, 30, 75, 110, 144, 500):
        best = lb.approximate(W, lb.Localized(2), budget, allocate=DENSE)
        assert curve.at(budget) == pytest.approx(best.relative_error, abs=1e-7)
    report = lb.compare(W, [lb.Localized(2)], 144, allocate=[lb.adaptive, DENSE])
    assert [row.allocation for row in report.rows] == ["adaptive", "adaptive, dense"]
    assert report.rows[1].relative_error == pytest.approx(0, abs=1e-7)
    assert report.rows[1].n_parameters == 144


def test_weights_and_whole_blocks_together():
    W, g = GENERIC["square"], np.linspace(0.5, 3, 12)
    best = lb.approximate(W, lb.Localized(3), 100, allocate=DENSE, row_weights=g)
    scaled = np.sqrt(g)[:, None] * W
    again = lb.approximate(scaled, lb.Localized(3), 100, allocate=DENSE)
    np.testing.assert_array_equal(best.ranks, again.ranks)
    assert residual(scaled, np.sqrt(g)[:, None] * best.to_dense()) == pytest.approx(
        best.error, abs=tolerance(scaled), rel=0
    )
    stored = sum(16 if r == 4 else 8 * r for r in best.ranks.tolist())
    assert best.n_parameters == stored <= 100


def test_what_is_refused():
    with pytest.raises(TypeError, match="dense must be a bool, got 1"):
        lb.Adaptive(dense=1)
    with pytest.raises(ValueError, match="shapes of blocks are not known"):
        DENSE([[2.0, 1.0]], [4], 8)
