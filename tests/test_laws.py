"""Laws that every structure obeys on every target."""

import math
from itertools import pairwise, product

import numpy as np
import pytest
from oracles import best_error, block_costs, coverage, held, outside_energy, pick, residual, tolerance
from registry import COVERING, GENERIC, KINDS, SMALL, VIEWS, budgets, built, each
from toy import Checkerboard, TransposedCheckerboard

import lowrank_blocks as lb

SHAPES = {
    f"{m}×{n}": np.zeros((m, n)) for m, n in [(12, 12), (8, 20), (20, 8), (13, 11), (7, 9), (1, 1), (5, 1)]
}
ALLOCATIONS = (lb.uniform, lb.adaptive)
NOT_ZERO = {name: W for name, W in SMALL.items() if W.any()}


def integers(shape, seed):
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(np.float64)


@each(targets=SHAPES)
def test_blocks_are_where_the_oracle_says_and_disjoint(kind, W):
    structure, blocks = built(kind, W)
    V = integers(W.shape, 0)

    layout = structure.layout(W.shape)

    assert layout.block_shapes == tuple(block.shape for block in blocks)
    assert layout.rank_costs.tolist() == block_costs(blocks)
    assert layout.max_ranks.tolist() == [min(block.shape) for block in blocks]
    assert coverage(blocks, W.shape).max() == 1
    for part, block in zip(layout.split(V), blocks, strict=True):
        np.testing.assert_allclose(part, pick(V, block), rtol=0, atol=tolerance(V))


@each(kinds=VIEWS, targets=SHAPES)
def test_rectangles_are_views_and_cells_index_them(kind, W):
    structure, _ = built(kind, W)
    V = integers(W.shape, 0)
    layout = structure.layout(W.shape)

    assert all(np.shares_memory(part, V) for part in layout.split(V))
    for part, cell in zip(layout.split(V), layout.cells(), strict=True):
        np.testing.assert_array_equal(V[cell.index], part)


@each(targets=SHAPES)
def test_join_of_split_keeps_covered_entries_and_zeroes_the_rest(kind, W):
    structure, blocks = built(kind, W)
    V = integers(W.shape, 1)

    layout = structure.layout(V.shape)
    joined = layout.join(layout.split(V))

    np.testing.assert_allclose(joined, held(V, blocks), rtol=0, atol=tolerance(V))
    assert not np.shares_memory(joined, V)


@each(targets=SHAPES)
def test_uncovered_holds_the_energy_outside_the_blocks(kind, W):
    structure, blocks = built(kind, W)
    V = integers(W.shape, 2)

    rest = sum(np.square(part).sum() for part in structure.layout(V.shape).outside(V))
    assert rest == pytest.approx(outside_energy(V, blocks), rel=0, abs=tolerance(V) * np.linalg.norm(V))


@each(targets=SHAPES)
def test_split_and_join_are_adjoint(kind, W):
    structure, _ = built(kind, W)
    V = integers(W.shape, 3)
    layout = structure.layout(W.shape)
    parts = [integers(shape, k) for k, shape in enumerate(layout.block_shapes)]

    inside = sum(np.vdot(a, b) for a, b in zip(layout.split(V), parts, strict=True))

    size = np.linalg.norm(V) * math.sqrt(sum(np.vdot(p, p) for p in parts))
    assert inside == pytest.approx(np.vdot(V, layout.join(parts)), rel=0, abs=tolerance(1.0) * size)


@each(targets=SHAPES)
def test_structures_are_frozen_hashable_values_with_a_repr_that_makes_them(kind, W):
    structure, _ = built(kind, W)

    names = {"Checkerboard": Checkerboard, "TransposedCheckerboard": TransposedCheckerboard}
    again = eval(repr(structure), vars(lb) | names)

    assert again == structure
    assert hash(again) == hash(structure)
    assert len({structure, again, kind.make(*W.shape)}) == 1
    with pytest.raises(AttributeError):
        structure.parts = 3


@each()
def test_parameters_are_the_stored_numbers_and_within_the_budget(kind, W):
    structure, blocks = built(kind, W)
    parts = lb.decompose(W, structure)
    for budget, allocate in product(budgets(W), ALLOCATIONS):
        answer = parts.within(budget, allocate=allocate)
        stored = sum(r * c for r, c in zip(answer.ranks.tolist(), block_costs(blocks), strict=True))
        assert answer.n_parameters == stored == int(answer.ranks @ parts.costs) <= budget
        for (B, A), block, rank in zip(answer.factors, blocks, answer.ranks, strict=True):
            assert (B.shape, A.shape) == ((block.shape[0], rank), (rank, block.shape[1]))


@each()
def test_adaptive_error_does_not_increase_with_the_budget(kind, W):
    structure, _ = built(kind, W)
    parts = lb.decompose(W, structure)
    errors = [parts.error(parts.choose_ranks(b).ranks) for b in sorted(budgets(W))]

    assert all(later <= earlier + tolerance(W) for earlier, later in pairwise(errors))
    assert math.isclose(errors[0], np.linalg.norm(W), rel_tol=0, abs_tol=tolerance(W))


@each(targets=GENERIC)
def test_uniform_error_does_not_increase_with_the_budget(kind, W):
    structure, _ = built(kind, W)
    parts = lb.decompose(W, structure)
    choices = [parts.choose_ranks(b, allocate=lb.uniform).ranks for b in range(0, 2 * W.size, 7)]

    assert all((later >= earlier).all() for earlier, later in pairwise(choices))


@each()
def test_transposing_the_matrix_transposes_the_error(kind, W):
    structure, _ = built(kind, W)
    for budget in budgets(W)[3:6]:  # between nothing and everything
        error = lb.approximate(W, structure, budget).error
        turned = lb.approximate(W.T, structure.transposed(), budget).error
        assert turned == pytest.approx(error, abs=tolerance(W), rel=0)


@each(targets=GENERIC)
def test_transposing_the_matrix_transposes_the_answer(kind, W):
    structure, _ = built(kind, W)

    answer = lb.approximate(W, structure, W.size // 2).to_dense()
    turned = lb.approximate(W.T, structure.transposed(), W.size // 2).to_dense()

    np.testing.assert_allclose(turned, answer.T, rtol=0, atol=tolerance(W, 2048))


@each()
def test_scaling_the_matrix_scales_the_error(kind, W):
    structure, _ = built(kind, W)
    error = lb.approximate(W, structure, W.size // 2).error
    for c in (-3.5, 1e-3, 7e4):
        scaled = lb.approximate(c * W, structure, W.size // 2).error
        assert scaled == pytest.approx(abs(c) * error, abs=tolerance(c * W), rel=0)


@each(targets=GENERIC | {name: SMALL[name] for name in ("zeros", "1×1", "identity", "low rank")})
def test_extreme_entries_give_the_same_relative_error(kind, W):
    structure, _ = built(kind, W)
    usual = lb.approximate(W, structure, W.size // 2)
    for scale in (1e200, 1e-200, 1e300, 1e-300):
        extreme = lb.approximate(W * scale, structure, W.size // 2)
        left = residual(W, extreme.to_dense() / scale)
        assert extreme.relative_error == pytest.approx(usual.relative_error, abs=tolerance(1.0), rel=0)
        assert extreme.error / scale == pytest.approx(usual.error, abs=tolerance(W), rel=0)
        assert extreme.error / scale == pytest.approx(left, abs=tolerance(W), rel=0)


@each(targets={name: GENERIC[name] for name in ("square", "ragged")})
@pytest.mark.parametrize("scale", [1e200, 1e-300])
def test_extreme_entries_give_spectra_in_the_units_of_the_matrix(kind, W, scale):
    structure, _ = built(kind, W)

    usual, extreme = lb.decompose(W, structure).spectra, lb.decompose(W * scale, structure).spectra

    for s, t in zip(usual, extreme, strict=True):
        np.testing.assert_allclose(t / scale, s, rtol=0, atol=tolerance(W))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("budget", [0, 40, 10_000])
def test_a_matrix_of_zeros_has_no_error_and_costs_nothing(kind, budget):
    W = np.zeros((10, 10))

    answer = lb.approximate(W, kind.make(10, 10), budget)

    assert (answer.error, answer.relative_error, answer.captured, answer.n_parameters) == (0, 0, 1, 0)
    assert not answer.to_dense().any()


@each(targets=NOT_ZERO)
def test_budget_0_gives_rank_0_everywhere(kind, W):
    structure, blocks = built(kind, W)
    for allocate in ALLOCATIONS:
        answer = lb.approximate(W, structure, 0, allocate=allocate)
        assert answer.ranks.tolist() == [0] * len(blocks)
        assert (answer.n_parameters, answer.relative_error, answer.captured) == (0, 1, 0)
        assert not answer.to_dense().any()
        assert not (answer @ np.ones(W.shape[1])).any()


@each(kinds=COVERING)
def test_a_budget_beyond_full_rank_leaves_rounding_only(kind, W):
    structure, _ = built(kind, W)
    for allocate in ALLOCATIONS:
        answer = lb.approximate(W, structure, 10**30, allocate=allocate)
        assert answer.error <= tolerance(W)
        assert residual(W, answer.to_dense()) <= tolerance(W)


@each()
def test_what_no_block_covers_stays_as_error(kind, W):
    structure, blocks = built(kind, W)

    answer = lb.approximate(W, structure, 10**6)

    outside = math.sqrt(outside_energy(W, blocks))
    assert answer.error == pytest.approx(outside, abs=tolerance(W), rel=0)


@each()
def test_relative_error_and_captured_follow_from_the_error(kind, W):
    structure, _ = built(kind, W)

    answer = lb.approximate(W, structure, W.size // 3)

    norm = float(np.linalg.norm(W))
    assert answer.relative_error == pytest.approx(
        answer.error / norm if norm else 0, abs=tolerance(1.0), rel=0
    )
    assert answer.captured == 1 - answer.relative_error**2


@each(kinds=KINDS[:1], targets=GENERIC)
def test_rotations_leave_the_error_of_global_unchanged(kind, W):
    structure, _ = built(kind, W)
    left, right = (np.linalg.qr(np.random.default_rng(k).standard_normal((k, k)))[0] for k in W.shape)

    for budget in budgets(W):
        error = lb.approximate(W, structure, budget).error
        turned = lb.approximate(left @ W @ right, structure, budget).error
        assert turned == pytest.approx(error, abs=tolerance(W), rel=0)


def _strided(W):
    wide = np.full((2 * W.shape[0], 3 * W.shape[1]), np.nan)
    wide[::2, ::3] = W
    return wide[::2, ::3]


LAYOUTS = {
    "fortran": np.asfortranarray,
    "strided": _strided,
    "backwards": lambda W: W[::-1, ::-1].copy()[::-1, ::-1],
    "list": lambda W: W.tolist(),
}


@each(targets={name: GENERIC[name] for name in ("wide", "ragged")})
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_memory_layout_does_not_matter(kind, W, layout):
    structure, blocks = built(kind, W)

    answer = lb.approximate(layout(W), structure, W.size // 2)

    assert answer.error == pytest.approx(best_error(W, blocks, answer.ranks), abs=tolerance(W), rel=0)
    assert answer.error == pytest.approx(residual(W, answer.to_dense()), abs=tolerance(W), rel=0)
