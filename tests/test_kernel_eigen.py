"""Eigenvalues and vectors that LAPACK is asked for, both ways: right, and in place where it is said."""

import numpy as np
import pytest
from kernel_cases import hard_matrices, rotated, steady

from lowrank_blocks.linalg import leading, projection, questions
from lowrank_blocks.linalg.eigen import Tridiagonal

pytestmark = pytest.mark.usefixtures("lapack_route")

SIDES = [1, 2, 3, 70, 200]


def symmetric(side):
    return np.cov(np.random.default_rng(side).standard_normal((side, side + 9))).reshape(side, side)


@pytest.mark.parametrize("side", SIDES)
def test_values_and_vectors(side):
    """Against numpy's eigenvalues and the defining equations, at both ends and in the middle."""
    matrix = symmetric(side)
    reduced = Tridiagonal(matrix.copy())
    expected = np.linalg.eigvalsh(matrix)[::-1]
    np.testing.assert_allclose(reduced.values, expected, rtol=0, atol=1e-14 * expected[0])
    for first, last in {(0, 1), (0, side), (side - 1, side), (side // 3, side // 3 + side // 4 + 1)}:
        vectors = reduced.vectors(first, last)
        count = min(last, side) - first
        assert vectors.shape == (side, count)
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(count), rtol=0, atol=1e-12)
        claimed = vectors * expected[first:last]
        np.testing.assert_allclose(matrix @ vectors, claimed, rtol=0, atol=1e-13 * expected[0])


def test_the_upper_half_is_read_and_the_lower_is_left():
    matrix = symmetric(20)
    upper = np.triu(matrix) + np.tril(np.full((20, 20), 7.0), -1)
    reduced = Tridiagonal(upper)
    np.testing.assert_allclose(reduced.values, np.linalg.eigvalsh(matrix)[::-1], rtol=1e-12)
    assert (np.tril(upper, -1) == np.tril(np.full((20, 20), 7.0), -1)).all()


@pytest.mark.parametrize(
    "name", ["repeated", "zero rows", "zero block", "one entry", "clusters", "flat", "ones"]
)
def test_vectors_of_matrices_that_fall_into_parts(name):
    """Equal values of several parts have orthogonal vectors all the same."""
    block = steady(lambda: hard_matrices(96, 96)[name])()
    matrix = block @ block.T
    reduced = Tridiagonal(matrix.copy())
    for first, last in [(0, 24), (72, 96)]:
        vectors = reduced.vectors(first, last)
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(24), rtol=0, atol=1e-11)
        left = matrix @ vectors - vectors * reduced.values[first:last]
        assert np.linalg.norm(left) <= 1e-12 * reduced.values[0]


@pytest.mark.parametrize("sizes", [(1, 1, 30), (20, 20, 20), (5, 40, 1, 1, 9)], ids=str)
def test_vectors_are_those_of_the_part_that_has_the_value(sizes):
    """Parts whose leading values are close: the one at a place of all may be in any of them."""
    rng, side = np.random.default_rng(len(sizes)), sum(sizes)
    matrix, ends = np.zeros((side, side)), np.cumsum(sizes)
    for size, end, step in zip(sizes, ends, rng.permutation(len(sizes)), strict=True):
        q = np.linalg.qr(rng.standard_normal((size, size)))[0]
        values = 0.5 * rng.random(size)
        values[0] = 1 + 1e-9 * step
        matrix[end - size : end, end - size : end] = (q * values) @ q.T
    reduced = Tridiagonal(matrix.copy())
    assert len(reduced._parts()[0]) >= len(sizes)
    for first, last in {(0, 1), (1, 2), (0, len(sizes)), (len(sizes) - 1, side // 2), (side - 2, side)}:
        vectors = reduced.vectors(first, last)
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(last - first), rtol=0, atol=1e-13)
        claimed = vectors * reduced.values[first:last]
        np.testing.assert_allclose(matrix @ vectors, claimed, rtol=0, atol=1e-14)


@pytest.mark.parametrize("rank", [1, 23, 24, 69])
def test_leading_pairs_need_no_lower_half(rank):
    """Lanczos may have written there; some pairs or all, they are the same."""
    matrix = symmetric(70)
    upper = np.triu(matrix) + np.tril(np.full((70, 70), 7.0), -1)
    values, vectors = leading._top_eigenpairs(upper, rank)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix)[::-1][:rank], rtol=1e-12)
    np.testing.assert_allclose(matrix @ vectors, vectors * values, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(5, 5), (5, 9), (30, 40), (200, 700)])
@pytest.mark.parametrize("transposed", [False, True])
def test_what_columns_do_not_reach(shape, transposed, monkeypatch):
    """The rest of a block has the singular values of the residual, in fewer rows."""
    monkeypatch.setattr(projection, "_PANEL", 64)
    rng = np.random.default_rng(3)
    block = rng.standard_normal(shape[::-1]).T if transposed else rng.standard_normal(shape)
    before = block.copy()
    basis = np.linalg.qr(rng.standard_normal((shape[0], 3)))[0]
    rest = projection.without(block, basis)
    assert rest.shape == (shape[0] - 3, shape[1])
    residual = block - basis @ (basis.T @ block)
    expected = np.linalg.svd(residual, compute_uv=False)[: len(rest)]
    np.testing.assert_allclose(np.linalg.svd(rest, compute_uv=False), expected, rtol=0, atol=1e-13 * shape[1])
    assert (block == before).all()


@pytest.mark.parametrize("ratio", [1.0, 1.0 + 1e-15, 30.0, 33.0, 1e9, np.inf])
@pytest.mark.parametrize("shape", [(1, 4), (5, 20), (5, 19), (16, 700)])
def test_the_svd_of_few_long_rows(shape, ratio, monkeypatch):
    """By their Gram matrix where their values are alike; values descend, and no skew goes uncounted."""
    solved = []
    by_lapack = projection.lapack_svd
    monkeypatch.setattr(projection, "lapack_svd", lambda a: (solved.append(1), by_lapack(a))[1])
    values = np.geomspace(1.0, 1 / ratio, shape[0]) if np.isfinite(ratio) else np.eye(shape[0])[0]
    rows = rotated(*shape, values)
    u, s, vt, skew = projection._svd_of_few(rows)
    by_gram = shape != (5, 19) and (ratio <= 32 or shape[0] == 1)
    assert solved == ([] if by_gram else [1])
    np.testing.assert_allclose((u * s) @ vt, rows, rtol=0, atol=1e-15 * shape[0])
    np.testing.assert_allclose(u.T @ u, np.eye(shape[0]), rtol=0, atol=1e-15 * shape[0])
    np.testing.assert_allclose(s, values, rtol=0, atol=1e-14)
    assert (np.diff(s) <= 0).all()
    off = np.linalg.norm(vt @ vt.T - np.eye(shape[0]))
    assert off <= (skew + 1e-16 * shape[0] if by_gram else 1e-15 * shape[0])
    assert skew <= 1e-12


def test_skew_of_the_right_vectors_is_certified(monkeypatch):
    """As uncertain as it makes the block and the coupling."""
    block = rotated(70, 300, np.append([4.0, 3.0, 2.0], np.full(67, 1e-3)))
    answers = []
    for skew in (0.0, 1e-13):
        solve = projection._svd_of_few
        monkeypatch.setattr(
            projection, "_svd_of_few", lambda rows, s=skew, solve=solve: (*solve(rows)[:3], s)
        )
        question = questions.Question(block, 3, 1e-9, None)
        made = question.project(np.linalg.svd(block)[0][:, :3], "gram")
        answers.append(question.by_coupling(made))
        monkeypatch.undo()
    assert answers[1] - answers[0] == pytest.approx(4e-13 * np.linalg.norm(block), rel=1e-3)


def test_a_projection_and_its_coupling():
    """The norm of C in [[S, 0], [C, H]], read off in explicit bases."""
    rng = np.random.default_rng(4)
    block = rng.standard_normal((12, 20))
    vectors = np.linalg.qr(rng.standard_normal((12, 4)))[0]
    part = projection.projected(block, vectors)
    product = (part.basis * part.values) @ part.rows
    np.testing.assert_allclose(product, vectors @ (vectors.T @ block), rtol=0, atol=1e-13)
    outside = np.linalg.svd(part.basis, full_matrices=True)[0][:, 4:]
    expected = np.linalg.norm(outside.T @ block @ part.rows.T)
    assert projection.coupling(block, part) == pytest.approx(expected, rel=1e-12)
    assert expected > 1
