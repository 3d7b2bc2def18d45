"""Weighted norms: the best in them, against a dense oracle, and what has no closed form under them."""

import math

import mpmath
import numpy as np
import pytest
from oracles import best_error, residual, tolerance
from registry import GENERIC, KINDS, TARGETS, built, each

import lowrank_blocks as lb

M, N = 9, 7
UPDATE = np.random.default_rng(0).standard_normal((M, N))
FLAT = [kind for kind in KINDS if kind.make(24, 24).layout((24, 24)).takes_weights]
ROWS = [kind for kind in FLAT if kind.name in ("global", "row stripes", "rows", "diagonal 1")]
FEW = {name: TARGETS[name] for name in ("ragged", "tall", "integers", "power law", "query")}


def vectors(W, seed=1):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.1, 5, W.shape[0]), rng.uniform(1e-3, 3, W.shape[1])


def moment(n, rank=None, seed=2, decay=0.0):
    x = np.random.default_rng(seed).standard_normal((rank or 2 * n, n)) * np.exp(-decay * np.arange(n))
    return x.T @ x / len(x)


def norm(E, rows=None, cols=None):
    """Return the norm of E under a vector or a matrix for rows and columns, by its definition."""
    G, C = (
        np.eye(k) if w is None else np.diag(w) if np.ndim(w) == 1 else w
        for w, k in zip((rows, cols), E.shape, strict=True)
    )
    return math.sqrt(max(float(np.trace(G @ E @ C @ E.T)), 0.0))


@each(kinds=FLAT, targets=FEW)
def test_vectors_weight_any_disjoint_blocks(kind, W):
    structure, blocks = built(kind, W)
    g, c = vectors(W)

    best = lb.approximate(W, structure, W.size // 3, row_weights=g, col_weights=c)

    scaled = np.sqrt(g)[:, None] * W * np.sqrt(c)
    assert best.error == pytest.approx(best_error(scaled, blocks, best.ranks), abs=tolerance(scaled), rel=0)
    X = best.to_dense()
    assert best.error == pytest.approx(
        residual(scaled, np.sqrt(g)[:, None] * X * np.sqrt(c)), abs=tolerance(scaled), rel=0
    )
    assert best.relative_error == pytest.approx(
        best.error / np.linalg.norm(scaled), abs=tolerance(1.0), rel=0
    )
    assert best.plain.error == pytest.approx(residual(W, X), abs=tolerance(W), rel=0)
    assert best.n_parameters <= W.size // 3
    assert "in the weighted norm" in repr(best)


@each(kinds=FLAT, targets={name: W for name, W in TARGETS.items() if W.any()})
def test_weighted_is_never_worse_than_plain_in_the_weighted_norm(kind, W):
    structure, _ = built(kind, W)
    g, c = vectors(W)
    for rank in (1, 2):
        best = lb.approximate(W, structure, rank=rank, row_weights=g, col_weights=c)
        plain = lb.approximate(W, structure, rank=rank)
        assert (
            best.error <= norm(W - plain.to_dense(), g, c) + tolerance(W) * 4
            or best.guarantee == "greedy ranks"
        )
        assert best.plain.error >= plain.error - tolerance(W) or plain.guarantee == "greedy ranks"


@each(kinds=FLAT, targets={"ragged": GENERIC["ragged"], "wide": GENERIC["wide"]})
def test_constant_weights_change_nothing_but_the_unit(kind, W):
    structure, _ = built(kind, W)
    plain = lb.approximate(W, structure, rank=1)
    same = lb.approximate(
        W, structure, rank=1, row_weights=np.full(len(W), 4.0), col_weights=np.ones(W.shape[1])
    )

    np.testing.assert_allclose(same.to_dense(), plain.to_dense(), rtol=0, atol=tolerance(W, 4096))
    assert same.error == pytest.approx(2 * plain.error, abs=tolerance(2 * W), rel=0)
    assert same.relative_error == pytest.approx(plain.relative_error, abs=tolerance(1.0), rel=0)
    assert same.plain.relative_error == pytest.approx(plain.relative_error, abs=tolerance(1.0), rel=0)


def oracle(W, rank, G, C):
    """Return the least weighted error of a rank, in 50 digits."""
    with mpmath.workdps(50):

        def root(A):
            values, vectors = mpmath.eigsy(mpmath.matrix(A.tolist()))
            return vectors * mpmath.diag([mpmath.sqrt(max(v, 0)) for v in values])

        s = mpmath.svd_r(root(G).T * mpmath.matrix(W.tolist()) * root(C), compute_uv=False)
        return float(mpmath.sqrt(sum(s[k] ** 2 for k in range(rank, len(s)))))


CASES = {
    "plain": (moment(M), moment(N)),
    "ill-conditioned": (moment(M, decay=2.0), moment(N, decay=2.5)),
    "singular columns": (None, moment(N, rank=4)),
    "singular rows": (moment(M, rank=3), None),
    "both singular": (moment(M, rank=5), moment(N, rank=4)),
    "vector and matrix": (vectors(UPDATE)[0], moment(N)),
    "matrix and vector": (moment(M, rank=6), vectors(UPDATE)[1]),
}


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("case", CASES)
def test_matrices_weight_the_global_structure_as_a_50_digit_oracle_says(case, rank):
    G, C = CASES[case]

    best = lb.approximate(UPDATE, lb.Global(), rank=rank, row_weights=G, col_weights=C)

    dense = [np.eye(k) if w is None else np.diag(w) if w.ndim == 1 else w for w, k in ((G, M), (C, N))]
    size = norm(UPDATE, G, C)
    least = oracle(UPDATE, rank, *dense)
    assert best.error == pytest.approx(least, abs=(1e-7 if "singular" in case else 1e-12) * size, rel=0)
    assert norm(UPDATE - best.to_dense(), G, C) == pytest.approx(least, abs=1e-7 * size, rel=0)
    assert best.plain.error == pytest.approx(np.linalg.norm(UPDATE - best.to_dense()), rel=1e-12)
    assert best.n_parameters == rank * (M + N)


@each(kinds=ROWS, targets={"ragged": GENERIC["ragged"], "tall": GENERIC["tall"]})
def test_blocks_that_span_all_columns_take_a_matrix(kind, W):
    structure, _ = built(kind, W)
    C = moment(W.shape[1])
    g, _ = vectors(W)
    for rows in (None, g):
        best = lb.approximate(W, structure, rank=1, row_weights=rows, col_weights=C)
        root = np.linalg.cholesky(C)
        scaled = (W if rows is None else np.sqrt(rows)[:, None] * W) @ root
        again = lb.approximate(scaled, structure, sum(W.shape))
        assert best.error == pytest.approx(again.error, abs=tolerance(scaled), rel=0)
        assert norm(W - best.to_dense(), rows, C) == pytest.approx(
            best.error, abs=1e-9 * np.linalg.norm(scaled), rel=0
        )
        turned = lb.approximate(W.T, structure.transposed(), rank=1, row_weights=C, col_weights=rows)
        np.testing.assert_allclose(turned.to_dense(), best.to_dense().T, rtol=0, atol=1e-8)


def test_activations_are_their_second_moment_without_forming_it():
    x = np.random.default_rng(3).standard_normal((40, N)) * 10.0 ** -np.arange(N)
    best = lb.approximate(UPDATE, lb.Global(), rank=2, col_weights=lb.Activations(x))

    outputs = np.linalg.norm(x @ (UPDATE - best.to_dense()).T) / math.sqrt(len(x))
    assert best.error == pytest.approx(outputs, rel=1e-9)
    values = np.linalg.svd(UPDATE @ x.T / math.sqrt(len(x)), compute_uv=False)
    assert best.error == pytest.approx(np.linalg.norm(values[2:]), rel=1e-9)
    few = lb.approximate(UPDATE, lb.Global(), rank=3, col_weights=lb.Activations(x[:3]))
    assert few.relative_error < 1e-12
    np.testing.assert_allclose(x[:3] @ few.to_dense().T, x[:3] @ UPDATE.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_a_planted_target_comes_back_under_weights(case):
    G, C = CASES[case]
    planted = lb.synthetic.low_rank((M, N), rank=2).matrix

    best = lb.approximate(planted, lb.Global(), rank=2, row_weights=G, col_weights=C)

    assert best.relative_error < 1e-14
    assert best.n_parameters == 2 * (M + N)
    if case in ("plain", "vector and matrix"):
        assert best.plain.relative_error < 1e-12


def test_few_samples_and_whole_blocks_stay_within_the_budget():
    x = np.random.default_rng(7).standard_normal((2, N))
    dense = lb.Adaptive(dense=True)
    for budget in range(0, 70, 3):
        best = lb.approximate(
            UPDATE, lb.Localized(3, 1), budget, allocate=dense, col_weights=lb.Activations(x)
        )
        stored = sum(21 if r == 3 else r * 10 for r in best.ranks.tolist())  # blocks of 3 by 7
        assert best.n_parameters == stored <= budget
        left = np.linalg.norm(x @ (UPDATE - best.to_dense()).T) / math.sqrt(2)
        assert best.error == pytest.approx(left, abs=1e-12 * np.linalg.norm(UPDATE))


@pytest.mark.parametrize("case", CASES)
def test_the_order_of_rows_and_columns_does_not_matter_to_one_block(case):
    G, C = CASES[case]
    rng = np.random.default_rng(8)
    mixed = lb.Reordered(lb.Global(), rows=rng.permutation(M), cols=rng.permutation(N))

    best, same = (
        lb.approximate(UPDATE, structure, rank=2, row_weights=G, col_weights=C)
        for structure in (mixed, lb.Global())
    )

    assert best.error == pytest.approx(same.error, rel=1e-6)
    np.testing.assert_allclose(best.to_dense(), same.to_dense(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_nothing_near_the_weighted_optimum_is_better(seed):
    rng = np.random.default_rng(seed)
    C = moment(N, seed=seed)
    best = lb.approximate(UPDATE, lb.Global(), rank=2, col_weights=C)
    ((b, a),) = best.factors
    for size in (1e-4, 1e-2, 1.0):
        other = (b + size * rng.standard_normal(b.shape)) @ (a + size * rng.standard_normal(a.shape))
        assert norm(UPDATE - other, None, C) > best.error


def test_curves_comparisons_and_partitions_are_in_the_weighted_norm():
    W = TARGETS["query"][:64, :48]
    g, c = vectors(W)
    scaled = np.sqrt(g)[:, None] * W * np.sqrt(c)
    options = {"row_weights": g, "col_weights": c}

    curve = lb.error_curve(W, lb.Localized(2), **options)
    assert curve.label == "Localized(2), weighted"
    np.testing.assert_allclose(
        curve.relative_error, lb.error_curve(scaled, lb.Localized(2)).relative_error, rtol=0, atol=1e-12
    )
    structures = [lb.Global(), lb.Localized(4), lb.Sparse()]
    report, again = (
        lb.compare(W, structures, rank=4, best=True, **options),
        lb.compare(scaled, structures, rank=4, best=True),
    )
    for row, other in zip(report.rows, again.rows, strict=True):
        assert row.relative_error == pytest.approx(other.relative_error, abs=1e-12)
        assert row.plain_relative_error is not None
    assert "plain_relative_error" in report.to_text()
    assert "plain_relative_error" not in again.to_text()
    found = lb.best_partition(W, rank=4, **options)
    assert found.error == pytest.approx(
        residual(scaled, np.sqrt(g)[:, None] * found.to_dense() * np.sqrt(c)), rel=1e-9
    )
    assert found.plain.error == pytest.approx(residual(W, found.to_dense()), rel=1e-9)


def test_sources_of_few_bits_are_weighted_in_float64():
    W = UPDATE.astype(np.float32)
    best = lb.approximate(W, lb.Global(), rank=2, row_weights=np.arange(1.0, M + 1))
    assert best.factors[0][0].dtype == np.float64
    wide = lb.approximate(W.astype(np.float64), lb.Global(), rank=2, row_weights=np.arange(1.0, M + 1))
    assert best.error == wide.error


REFUSED = {
    "zero": ({"row_weights": np.zeros(M)}, r"row_weights must be positive, got row_weights\[0\] = 0.0"),
    "negative": ({"col_weights": -np.ones(N)}, r"col_weights must be positive, got col_weights\[0\] = -1.0"),
    "nan": ({"col_weights": np.full(N, np.nan)}, "col_weights must be finite"),
    "short": ({"row_weights": np.ones(3)}, "row_weights must be 9 weights.*got 3"),
    "asymmetric": ({"col_weights": np.triu(np.ones((N, N)))}, "col_weights must be symmetric"),
    "indefinite": (
        {"col_weights": np.diag([1.0] * 6 + [-1.0])},
        "col_weights must be positive semidefinite.*negative",
    ),
    "all zero": ({"col_weights": np.zeros((N, N))}, "col_weights must be positive semidefinite.*zeros"),
    "wrong size": (
        {"col_weights": np.eye(4)},
        r"col_weights must be a vector of 7 or a matrix of shape \(7, 7\)",
    ),
    "samples": ({"col_weights": np.ones((30, N))}, r"write lb.Activations\(x\)"),
    "activations": ({"col_weights": lb.Activations(np.ones((3, 4)))}, "samples of length 7, got 4"),
    "huge": ({"col_weights": np.full(N, 1e308), "row_weights": np.full(M, 1e308)}, None),
    "text": ({"col_weights": "much"}, "col_weights"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_weights_are_refused(name):
    weights, message = REFUSED[name]
    if message is None:
        with pytest.raises(ValueError, match="overflow"):
            lb.approximate(UPDATE * 1e10, lb.Global(), rank=1, **weights)
        return
    with pytest.raises((TypeError, ValueError), match=message):
        lb.approximate(UPDATE, lb.Global(), rank=1, **weights)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in FLAT], ids=lambda kind: kind.name)
def test_structures_that_mix_entries_are_refused_under_weights(kind):
    W = GENERIC["square"]
    with pytest.raises(ValueError, match="structure must have a closed form under weights"):
        lb.decompose(W, kind.make(*W.shape), row_weights=np.arange(1.0, 13))


def test_a_matrix_is_refused_where_it_couples_blocks():
    with pytest.raises(
        ValueError, match=r"col_weights must be a vector for Localized\(2\): .* Localized\(4, 1\)"
    ):
        lb.approximate(UPDATE, lb.Localized(2), rank=1, col_weights=moment(N))
    with pytest.raises(ValueError, match=r"row_weights must be a vector for Localized\(3, 1\)"):
        lb.approximate(UPDATE, lb.Localized(3, 1), rank=1, row_weights=moment(M))
    with pytest.raises(ValueError, match="vectors for partitions"):
        lb.best_partition(UPDATE, rank=1, col_weights=moment(N))
