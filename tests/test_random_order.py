"""Statement 7: averaged over all row orders, localized is at least as good as diagonal-local."""

from itertools import combinations, pairwise, permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from oracles import best_error, diagonal, grid, tolerance
from registry import examples, integer_matrices

import lowrank_blocks as lb


@examples(40)
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


def compositions(total, parts):
    """Yield all ways to write a number as an ordered sum of positive ones."""
    for cuts in combinations(range(1, total), parts - 1):
        edges = (0, *cuts, total)
        yield tuple(b - a for a, b in pairwise(edges))


def admissible(lengths, t):
    """Whether p_(k) >= p_(1) - (k - 1) t for all k."""
    longest = max(lengths)
    return all(p >= longest - k * t for k, p in enumerate(sorted(lengths, reverse=True)))


CUTS = [(p, t) for m in range(2, 7) for K in (2, 3) for t in (1, 2) for p in compositions(m, K)]
ADMITTED = [cut for cut in CUTS if admissible(*cut)]


def deals(rows, lengths):
    """Yield all ways to deal rows into parts of these lengths."""
    if not lengths:
        yield ()
        return
    for part in combinations(sorted(rows), lengths[0]):
        for others in deals(rows - set(part), lengths[1:]):
            yield (part, *others)


def leading(blocks, count):
    """Return the energy of the leading singular values of every block of a stack."""
    return np.square(np.linalg.svd(blocks, compute_uv=False)[..., :count]).sum(axis=-1)


def mean_captured(W, lengths, columns, t):
    """Return the means of C_L(t) and C_D(Kt) over all deals of the rows."""
    K, edges = len(lengths), np.cumsum((0, *columns))
    parts = [np.array(rows) for rows in zip(*deals(set(range(len(W))), lengths), strict=True)]
    local = sum(leading(W[rows, a:b], t).mean() for rows in parts for a, b in pairwise(edges))
    on = sum(leading(W[rows, edges[j] : edges[j + 1]], K * t).mean() for j, rows in enumerate(parts))
    return local, on


@st.composite
def dealt(draw):
    """Draw row lengths that the condition admits, t, any column lengths, and a matrix."""
    lengths, t = draw(st.sampled_from(ADMITTED))
    columns = tuple(draw(st.integers(1, 3)) for _ in lengths)
    m, n = sum(lengths), sum(columns)
    if draw(st.booleans()):
        return draw(integer_matrices(m, n)), lengths, columns, t
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    return rng.standard_normal((m, n)) * 4.0 ** -rng.integers(0, 4, (m, 1)), lengths, columns, t


@examples(200)
@given(dealt())
def test_7_holds_for_all_row_lengths_that_its_condition_admits(case):
    W, lengths, columns, t = case

    local, on = mean_captured(W, lengths, columns, t)

    assert on <= local + tolerance(W) * np.linalg.norm(W)


def mean_group(V, p, k, t):
    """Return the mean energy of the k-th group of t singular values over all sets of p rows."""
    rows = np.array(list(combinations(range(len(V)), p)), dtype=int)
    return float((leading(V[rows], k * t) - leading(V[rows], (k - 1) * t)).mean()) if p else 0.0


@given(integer_matrices(6, 3), st.integers(1, 2))
def test_7_later_groups_are_at_most_the_first_of_a_shorter_block(V, t):
    slack = tolerance(V) * np.linalg.norm(V)
    first = [mean_group(V, p, 1, t) for p in range(7)]

    assert all(a <= b + slack for a, b in pairwise(first))
    for p in range(7):
        for k in (2, 3):
            assert mean_group(V, p, k, t) <= first[max(0, p - (k - 1) * t)] + slack


def ones(lengths, j, count):
    """Return a matrix with ones apart from each other in column part j, and its column lengths."""
    columns = tuple(count if k == j else 1 for k in range(len(lengths)))
    W = np.zeros((sum(lengths), sum(columns)))
    W[range(count), range(j, j + count)] = 1
    return W, columns


def leads(lengths, t):
    """Return C_L - C_D for all such matrices; it is a rational number of small denominator."""
    cases = [ones(lengths, j, count) for j in range(len(lengths)) for count in range(1, sum(lengths) + 1)]
    means = (mean_captured(W, lengths, columns, t) for W, columns in cases)
    return np.array([local - on for local, on in means])


def test_7_is_tight_and_its_condition_matters():
    """Ones apart from each other reach equality, and the other way round where the condition fails."""
    admitted = [leads(*cut).min() for cut in ADMITTED]
    two_parts = [leads(*cut).min() for cut in CUTS if cut not in ADMITTED and len(cut[0]) == 2]

    assert min(admitted) > -1e-12
    assert sum(lead < 1e-12 for lead in admitted) > len(admitted) / 4
    assert len(two_parts) > 10
    assert max(two_parts) < -0.05
