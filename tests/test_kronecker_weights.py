"""Sums of Kronecker products under weights that are Kronecker products themselves."""

import re

import numpy as np
import pytest
from oracles import best_error, residual, tolerance
from structured import divisor, kronecker
from test_plans import checkpoints

import lowrank_blocks as lb

SHAPES = [(12, 12), (8, 20), (20, 9), (15, 14)]


def target(m, n):
    return np.random.default_rng((m, n)).standard_normal((m, n))


def factors(length, rng):
    """Return positive vectors whose Kronecker product has some length."""
    return rng.uniform(0.1, 5, divisor(length)), rng.uniform(1e-3, 3, length // divisor(length))


def weights_of(m, n, seed=0):
    rng = np.random.default_rng(seed)
    return np.kron(*factors(m, rng)), np.kron(*factors(n, rng))


def structure_of(m, n):
    return lb.Kronecker(divisor(m), divisor(n))


@pytest.mark.parametrize("sides", ["both", "rows", "columns"])
@pytest.mark.parametrize(("m", "n"), SHAPES)
def test_the_best_is_that_of_the_scaled_matrix(m, n, sides):
    W, (g, c) = target(m, n), weights_of(m, n)
    own = {"row_weights": g if sides != "columns" else None, "col_weights": c if sides != "rows" else None}
    roots = [np.ones(k) if w is None else np.sqrt(w) for w, k in zip(own.values(), (m, n), strict=True)]
    for rank in (1, 2):
        best = lb.decompose(W, structure_of(m, n), **own).truncate([rank])

        scaled, X = roots[0][:, None] * W * roots[1], best.to_dense()
        assert best.error == pytest.approx(best_error(scaled, kronecker(m, n), [rank]), abs=tolerance(scaled))
        left = residual(scaled, roots[0][:, None] * X * roots[1])
        assert best.error == pytest.approx(left, abs=tolerance(scaled))
        assert abs(best.error - left) <= best.accuracy.bound
        assert best.plain.error == pytest.approx(residual(W, X), abs=tolerance(W))
        assert residual(X, sum(np.kron(A, B) for A, B in best.structure.pairs(best))) <= tolerance(W)


@pytest.mark.parametrize(("m", "n"), SHAPES)
def test_weighted_is_never_worse_than_plain_in_the_weighted_norm(m, n):
    W, structure, (g, c) = target(m, n), structure_of(m, n), weights_of(m, n)
    best = lb.decompose(W, structure, row_weights=g, col_weights=c).truncate([1])
    plain = lb.decompose(W, structure).truncate([1])
    assert best.error < 0.999 * np.linalg.norm(np.sqrt(g)[:, None] * (W - plain.to_dense()) * np.sqrt(c))


def test_a_planted_sum_comes_back_at_exactly_its_numbers():
    rng = np.random.default_rng(0)
    W = sum(np.kron(rng.standard_normal((3, 2)), rng.standard_normal((5, 4))) for _ in range(2))
    g, c = np.kron([1.0, 9.0, 0.01], rng.uniform(0.1, 9, 5)), np.kron([3.0, 0.2], rng.uniform(0.1, 9, 4))
    best = lb.approximate(W, lb.Kronecker(3, 2), 2 * (6 + 20), row_weights=g, col_weights=c)
    assert best.n_parameters == 52
    assert best.relative_error < 1e-14
    assert best.plain.relative_error < 1e-13


def test_constant_weights_change_the_unit_only():
    W, structure = target(12, 12), structure_of(12, 12)
    same = lb.approximate(W, structure, rank=1, row_weights=np.full(12, 4.0), col_weights=np.ones(12))
    plain = lb.approximate(W, structure, rank=1)
    np.testing.assert_allclose(same.to_dense(), plain.to_dense(), rtol=0, atol=tolerance(W))
    assert same.error == pytest.approx(2 * plain.error, abs=tolerance(W))


def test_the_transposed_and_reordered_matrices_take_the_same_weights():
    W, structure, (g, c) = target(15, 14), structure_of(15, 14), weights_of(15, 14)
    best = lb.approximate(W, structure, rank=3, row_weights=g, col_weights=c)
    turned = lb.approximate(W.T, structure.transposed(), rank=3, row_weights=c, col_weights=g)
    np.testing.assert_allclose(turned.to_dense().T, best.to_dense(), rtol=0, atol=tolerance(W))
    rows, cols = (np.random.default_rng(k).permutation(k) for k in (15, 14))
    other = lb.Reordered(structure, rows=np.argsort(rows), cols=np.argsort(cols))
    moved = lb.approximate(W[rows][:, cols], other, rank=3, row_weights=g[rows], col_weights=c[cols])
    np.testing.assert_allclose(moved.to_dense(), best.to_dense()[rows][:, cols], rtol=0, atol=tolerance(W))
    with pytest.raises(ValueError, match="closed form"):
        lb.approximate(W[rows][:, cols], other, rank=3, row_weights=g, col_weights=c)


@pytest.mark.parametrize("place", range(12))
@pytest.mark.parametrize("off", [1e-14, 1e-3, 1e300])
def test_weights_that_are_no_product_are_refused_with_the_rule(place, off):
    g = weights_of(12, 12)[0]
    g[place] += off * g[place]
    rule = re.escape(
        "got Kronecker(2, 2), which takes weights that are Kronecker products themselves, of 2 and 6 for "
        "rows and of 2 and 6 for columns"
    )
    with pytest.raises(ValueError, match=f"structure must have a closed form under weights, {rule}"):
        lb.approximate(target(12, 12), lb.Kronecker(2, 2), rank=1, row_weights=g)
    with pytest.raises(ValueError, match=rule):
        lb.approximate(target(12, 12), lb.Kronecker(2, 2), rank=1, col_weights=g)


@pytest.mark.parametrize("weights", [np.eye(12), np.ones((12, 12))], ids=["identity", "ones"])
def test_matrices_of_weights_are_refused(weights):
    with pytest.raises(ValueError, match="closed form under weights"):
        lb.approximate(target(12, 12), lb.Kronecker(2, 2), rank=1, col_weights=weights)


def test_products_of_any_size_are_taken():
    W = target(12, 12)
    for unit in (1e-200, 1e200):
        g = unit * weights_of(12, 12)[0]
        best = lb.approximate(W, lb.Kronecker(2, 2), rank=1, row_weights=g)
        again = lb.approximate(W, lb.Kronecker(2, 2), rank=1, row_weights=g / unit)
        assert best.relative_error == pytest.approx(again.relative_error, abs=1e-14)


def test_a_plan_tries_it_where_the_weights_allow():
    W = np.kron(target(2, 2), target(6, 6))
    rows = {"a": weights_of(12, 12)[0], "b": np.arange(1.0, 13)}
    found = lb.plan(
        *checkpoints({"a": W, "b": W}), [lb.Kronecker(2, 2), lb.Global()], budget=88, row_weights=rows
    )
    assert found.structures == {"a": lb.Kronecker(2, 2), "b": lb.Global()}
