"""Structures beyond grids: what is planted comes back, what they are equal to, and what they refuse."""

import math

import numpy as np
import pytest
from oracles import tolerance
from registry import GENERIC, KINDS, built, each
from structured import divisor

import lowrank_blocks as lb

SHAPES = {f"{m}×{n}": np.zeros((m, n)) for m, n in [(24, 36), (40, 24), (36, 36)]}
W = np.random.default_rng(5).standard_normal((24, 36))


def planted(structure, shape, rank):
    """Return a planted target, and what storing its blocks at this rank costs."""
    target = lb.synthetic.planted(structure, shape, rank, seed=3)
    layout = structure.layout(shape)
    return target, int(np.minimum(rank, layout.max_ranks) @ layout.rank_costs)


@each(targets=SHAPES)
def test_what_is_planted_comes_back_at_exactly_its_numbers(kind, W):
    shape = W.shape
    for rank in (1, 2):
        target, count = planted(kind.make(*shape), shape, rank)

        answer = lb.approximate(target.matrix, target.structure, count)

        assert answer.n_parameters == count
        assert answer.relative_error < 1e-14
        left = np.linalg.norm(target.matrix - answer.to_dense()) / np.linalg.norm(target.matrix)
        assert left < 1e-13
        fewer = lb.approximate(target.matrix, target.structure, count - 1)
        assert fewer.relative_error > 1e-3
        assert math.isclose(fewer.error, target.best_error(fewer.ranks), rel_tol=1e-12)


def test_monarch_is_the_grid_on_the_rows_by_their_remainders():
    for parts in [(2, 3), (4, 4), (24, 1), (1, 5)]:
        order = [i for j in range(parts[0]) for i in range(24) if i % parts[0] == j]
        direct = lb.approximate(W, lb.Monarch(*parts), 300)
        ordered = lb.approximate(W[order], lb.Localized(*parts), 300)

        assert direct.error == ordered.error
        np.testing.assert_array_equal(direct.ranks, ordered.ranks)
        np.testing.assert_array_equal(direct.to_dense()[order], ordered.to_dense())


def test_a_monarch_matrix_of_the_paper_is_one_of_rank_one():
    """P L P^T R, with L and R block-diagonal of b blocks of b by b, and P the transpose of a b by b grid."""
    b, rng = 5, np.random.default_rng(0)
    swap = np.eye(b * b)[np.arange(b * b).reshape(b, b).T.ravel()]
    left, right = (
        np.kron(np.eye(b), np.ones((b, b))) * rng.standard_normal((b * b, b * b)) for _ in range(2)
    )
    monarch = swap @ left @ swap.T @ right

    answer = lb.approximate(monarch, lb.Monarch(b), budget=b * b * 2 * b)

    assert answer.relative_error < 1e-14
    assert set(answer.ranks.tolist()) == {1}


def test_kronecker_is_the_sum_of_the_products_of_its_pairs():
    structure = lb.Kronecker(4, 6)
    answer = lb.approximate(W, structure, 3 * (24 + 36))

    pairs = structure.pairs(answer)

    assert len(pairs) == 3
    assert answer.n_parameters == sum(a.size + b.size for a, b in pairs) == 180
    total = sum(np.kron(a, b) for a, b in pairs)
    np.testing.assert_allclose(answer.to_dense(), total, rtol=0, atol=tolerance(W))
    rearranged = np.array([W[i : i + 6, j : j + 6].ravel() for i in range(0, 24, 6) for j in range(0, 36, 6)])
    values = np.linalg.svd(rearranged, compute_uv=False)
    assert answer.error == pytest.approx(np.linalg.norm(values[3:]), rel=1e-12)
    with pytest.raises(ValueError, match="Kronecker"):
        lb.Kronecker(2, 2).pairs(answer)


def test_no_other_pair_of_factors_is_nearer():
    structure, rng = lb.Kronecker(3, 2), np.random.default_rng(1)
    answer = lb.approximate(W, structure, 6 + 8 * 18)
    ((a, b),) = structure.pairs(answer)
    for size in (1e-3, 1e-1):
        for _ in range(50):
            other = np.kron(a + size * rng.standard_normal(a.shape), b + size * rng.standard_normal(b.shape))
            assert np.linalg.norm(W - other) > answer.error


def test_orders():
    heads = lb.head_order(3).indices(12, "rows")
    assert heads.tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
    assert lb.stride_order(4).indices(10, "rows").tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 3, 7]
    natural = lb.approximate(W, lb.Reordered(lb.Localized(2), rows=range(24)), 200)
    assert natural.error == lb.approximate(W, lb.Localized(2), 200).error
    twice = lb.Reordered(lb.Reordered(lb.Localized(2), rows=range(24)[::-1]), rows=range(24)[::-1])
    np.testing.assert_array_equal(lb.approximate(W, twice, 200).to_dense(), natural.to_dense())


def test_sparse_keeps_the_largest_entries_and_counts_positions():
    answer = lb.approximate(W, lb.Sparse(), 100)

    kept = np.sort(np.abs(W).ravel())[::-1][:100]
    assert (answer.n_parameters, answer.n_with_positions) == (100, 200)
    assert answer.error == pytest.approx(math.sqrt((W**2).sum() - (kept**2).sum()), rel=1e-12)
    large = np.abs(W) >= kept[-1]
    np.testing.assert_allclose(answer.to_dense(), np.where(large, W, 0), rtol=0, atol=tolerance(W))
    assert lb.approximate(W, lb.Global(), 100).n_with_positions == 60  # one rank; nothing is to be pointed at


def test_circulant_blocks_hold_means_along_diagonals():
    X = lb.approximate(W, lb.BlockCirculant(4), 24 * 36 // 4).to_dense()

    block, source = X[4:8, 8:12], W[4:8, 8:12]
    for k in range(4):
        along = [((k + j) % 4, j) for j in range(4)]
        mean = np.mean([source[at] for at in along])
        np.testing.assert_allclose([block[at] for at in along], mean, rtol=0, atol=1e-14)


def test_tied_rows_are_means_and_low_rank_on_top_is_of_the_means():
    classes = [i // 3 for i in range(24)]
    X = lb.approximate(W, lb.Tied(rows=classes), 8 * 36).to_dense()
    means = W.reshape(8, 3, 36).mean(axis=1)
    np.testing.assert_allclose(X, np.repeat(means, 3, axis=0), rtol=0, atol=1e-14)

    low = lb.approximate(W, lb.Tied(rows=8, low_rank=True), 2 * (8 + 36))
    u, s, vt = np.linalg.svd(means)
    best = np.repeat((u[:, :2] * s[:2]) @ vt[:2], 3, axis=0)
    assert low.n_parameters == 88
    np.testing.assert_allclose(low.to_dense(), best, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["ragged", "wide", "square"])
def test_every_structure_fits_a_comparison_a_curve_and_a_plan(name):
    dW = GENERIC[name]
    structures = [built(kind, dW)[0] for kind in KINDS if kind.fits(dW.shape)]
    report = lb.compare(dW, structures, rank=2)
    assert {row.label for row in report.rows} == set(map(repr, structures))
    assert all(row.n_parameters <= 2 * sum(dW.shape) for row in report.rows)
    found = lb.plan({"w": np.zeros(dW.shape)}, {"w": dW}, structures, rank=2)
    assert found.relative_error <= min(row.relative_error for row in report.rows) + 1e-12


REFUSED = {
    "Monarch(0)": (lambda: lb.Monarch(0), "rows must be a positive integer, got 0"),
    "monarch on 24": (
        lambda: lb.approximate(W, lb.Monarch(5), 9),
        "rows must divide .* 24, got 5; 4 and 6 do",
    ),
    "kronecker on 36": (
        lambda: lb.approximate(W, lb.Kronecker(4, 5), 9),
        "cols must divide .* 36, got 5; 4 and 6 do",
    ),
    "HODLR(0)": (lambda: lb.HODLR(0), "depth must be a positive integer, got 0"),
    "HODLR(5)": (lambda: lb.approximate(W, lb.HODLR(5), 9), "depth must leave .* at most 4 .* got 5"),
    "leaves": (lambda: lb.HODLR(1, dense_leaves="yes"), "dense_leaves must be a bool, got 'yes'"),
    "twice": (lambda: lb.Reordered(lb.Global(), rows=[0, 0]), "rows must be an order.* got no 1 among 2"),
    "short": (
        lambda: lb.approximate(W, lb.Reordered(lb.Global(), cols=[1, 0]), 9),
        "cols must list .* 36 .* got 2",
    ),
    "no order": (lambda: lb.Reordered(lb.Global(), rows="abc"), "rows must be an order .* got 'abc'"),
    "no structure": (lambda: lb.Reordered(4, rows=[0]), "structure must be a structure"),
    "stride": (lambda: lb.stride_order(30).indices(24, "rows"), "step of rows must be at most .* 24, got 30"),
    "heads": (
        lambda: lb.head_order(7).indices(24, "rows"),
        "n_heads of rows must divide .* 24, got 7; 6 and 8 do",
    ),
    "circulant": (
        lambda: lb.approximate(W, lb.BlockCirculant(5), 9),
        "size must divide both .* got 5; 4 and 6 do",
    ),
    "family": (
        lambda: lb.approximate(W, lb.peft.LoRA(2), 9),
        r"structure must be a structure, got the family LoRA\(r=2\) of adapters; write its .nearest",
    ),
    "untied": (lambda: lb.Tied(), "Tied must have classes"),
    "classes": (
        lambda: lb.approximate(W, lb.Tied(rows=[0, 1]), 9),
        "rows must have one class .* 24 .* got 2",
    ),
    "no class": (lambda: lb.Tied(cols=[0.5]), r"cols\[0\] must be a non-negative integer, got 0.5"),
    "low rank": (lambda: lb.Tied(cols=2, low_rank=1), "low_rank must be a bool, got 1"),
    "keyword": (lambda: lb.Monarch(blocks=4), r"Monarch: there is no argument blocks; write lb.Monarch\(4\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_with_the_rule_and_the_value(name):
    call, message = REFUSED[name]
    with pytest.raises((TypeError, ValueError), match=message):
        call()


def test_a_heuristic_order_is_never_worse_and_finds_blocks_that_were_mixed():
    rng = np.random.default_rng(2)
    blocks = lb.synthetic.block_diagonal((24, 36), parts=3, rank=1, seed=1).matrix
    mixed = blocks[rng.permutation(24)][:, rng.permutation(36)]
    found = lb.find_order(mixed, lb.DiagonalLocal(3), rank=1)
    natural = lb.approximate(mixed, lb.DiagonalLocal(3), rank=1)
    assert isinstance(found, lb.Reordered)
    assert lb.approximate(mixed, found, rank=1).error < 0.75 * natural.error
    assert lb.find_order(mixed, lb.DiagonalLocal(3), rank=1) == found
    for structure in (lb.Localized(2), lb.HODLR(2), lb.Global()):
        best = lb.approximate(W, lb.find_order(W, structure, rank=2, seed=5), rank=2)
        assert best.error <= lb.approximate(W, structure, rank=2).error + tolerance(W)
    assert lb.find_order(W, lb.Global(), 0) == lb.Global()


def test_the_least_divisor():
    assert [divisor(n) for n in (1, 2, 9, 13, 35)] == [1, 2, 3, 13, 5]
