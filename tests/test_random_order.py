"""Theorem 7: averaged over all row orders, localized is at least as good as diagonal-local."""

from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import best_error, diagonal, grid
from registry import integer_matrices

import lowrank_blocks as lb


@settings(max_examples=40, deadline=None)
@given(integer_matrices(4, 5), st.sampled_from([2, 4]))
def test_7_localized_is_at_least_as_good_on_average_over_row_orders(W, r):
    orders = [W[list(order)] for order in permutations(range(4))]
    budget = lb.rank_budget(W.shape, r)
    means = {
        s: np.mean([lb.approximate(V, s, budget, allocate=lb.uniform).error ** 2 for V in orders])
        for s in (lb.Localized(2), lb.DiagonalLocal(2))
    }
    assert means[lb.Localized(2)] <= means[lb.DiagonalLocal(2)] + 1e-9
    by_hand = np.mean([best_error(V, grid(2, 2, 4, 5), [r // 2] * 4) ** 2 for V in orders])
    assert abs(means[lb.Localized(2)] - by_hand) < 1e-9


def test_7_a_single_order_may_go_the_other_way():
    W = np.kron(np.eye(2), np.array([[2.0, 1.0], [1.0, 2.0]]))
    assert best_error(W, diagonal(2, 4, 4), [2, 2]) == 0 < best_error(W, grid(2, 2, 4, 4), [1] * 4)
