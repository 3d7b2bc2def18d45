"""Leading vectors found in single precision: the bounds that prove them, and where they are used."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import hard_matrices, rotated, steady
from registry import examples

import lowrank_blocks as lb
from lowrank_blocks.linalg import leading, narrow
from lowrank_blocks.linalg.projection import projected

RANDOM = examples(60)
SHAPES = [(96, 96), (70, 300), (200, 210)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("rank", [1, 7, 20])
def test_the_next_eigenvalue_is_bounded(shape, rank):
    """Against gesvd in double precision of the same numbers, on matrices whose products are equal, too."""
    constant = {f"all {x}": np.full(shape, x) for x in (1 / 3, 4 / 3, 0.1)}
    for name, matrix in (dict(hard_matrices(*shape)) | constant).items():
        block = matrix.astype(np.float32)
        if not block.any():
            continue
        exact = block.astype(np.float64)
        squares = np.square(np.linalg.svd(exact, compute_uv=False))
        found = narrow.leading_subspace(block, rank, float(squares.sum()))
        assert squares[rank] <= found.beyond <= squares[rank] + 4e-5 * squares[0], name
        skew = found.columns.T @ found.columns - np.eye(rank)
        assert np.abs(skew).max() < 1e-14, name


@pytest.mark.parametrize("exponent", [-120, -31, -9, 0, 9, 31, 100])
def test_squares_neither_overflow_nor_vanish(exponent):
    block = np.ldexp(rotated(80, 90, 1 / np.arange(1, 81.0)).astype(np.float32), exponent)
    exact = np.linalg.svd(block.astype(np.float64), compute_uv=False)
    found = narrow.leading_subspace(block, 3, float(np.square(exact).sum()))
    assert exact[3] ** 2 <= found.beyond <= 1.001 * exact[3] ** 2
    left = np.linalg.norm(exact[3:]) / np.linalg.norm(exact)
    best = lb.approximate(block, lb.Global(), rank=3)
    assert best.accuracy.methods == ("single",)
    assert best.relative_error == pytest.approx(left, rel=1e-9)


@RANDOM
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(-12, -0.5), st.floats(0.05, 1))
def test_what_columns_miss_is_bounded(seed, rank, size, gap):
    """Of columns near the leading vectors, in any direction, with 50 digits; the bound is not much larger."""
    rng = np.random.default_rng(seed)
    values = np.sort(rng.uniform(0.1, 1, 6))[::-1].copy()
    values[:rank] += gap
    matrix = rotated(6, 8, values, seed)
    u = np.linalg.svd(matrix)[0]
    columns = np.linalg.qr(u[:, :rank] + 10**size * rng.standard_normal((6, rank)))[0]
    part = projected(matrix, columns)
    with mpmath.workdps(50):
        squares = sorted(mpmath.eigsy(gram(matrix), eigvals_only=True), reverse=True)
        span = mpmath.qr(mpmath.matrix(part.basis.tolist()), mode="skinny")[0]
        held = mpmath.mnorm(span.T * mpmath.matrix(matrix.tolist()), "f") ** 2
        missed, beyond = float(sum(squares[:rank]) - held), float(squares[rank])
    found = narrow.missed_beside(matrix, part, float(np.linalg.norm(matrix)), beyond * (1 + 1e-15))
    assert missed <= found
    if 10**size < gap / 100:
        spread = (squares[0] - squares[-1]) / (squares[rank - 1] - squares[rank])
        assert found <= 2 * float(spread) * missed + 1e-24


def gram(matrix):
    exact = mpmath.matrix(matrix.tolist())
    return exact * exact.T


def test_vectors_of_another_value_are_refused():
    """The second vector in place of the first couples to nothing: only the next eigenvalue shows it."""
    matrix = rotated(80, 90, np.append([1.0, 0.9], 1e-3 / np.arange(1, 79)))
    u = np.linalg.svd(matrix)[0]
    norm = float(np.linalg.norm(matrix))
    assert narrow.missed_beside(matrix, projected(matrix, u[:, 1:2]), norm, 0.81) == math.inf
    assert narrow.missed_beside(matrix, projected(matrix, u[:, 1:2]), norm, 1.0) == math.inf
    assert narrow.missed_beside(matrix, projected(matrix, u[:, :1]), norm, 0.81) < 1e-25


@steady
@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("shape", [(96, 96), (300, 70)], ids=str)
def test_narrow_sources_have_the_least_error(kind, shape):
    """Whether values are apart at the rank or not, the error is the least within what is certified."""
    used = set()
    for name, matrix in hard_matrices(*shape).items():
        with np.errstate(over="ignore"):
            block = matrix.astype(kind)
        if not np.isfinite(block).all() or not block.any():
            continue
        values = np.linalg.svd(block.astype(np.float64), compute_uv=False)
        for rank in (1, 4, 20):
            best = lb.approximate(block, lb.Global(), rank=rank)
            least = np.linalg.norm(values[rank:]) / np.linalg.norm(values)
            assert abs(best.relative_error - least) <= best.accuracy.relative_bound < 1e-7, name
            b, a = (factor.astype(np.float64) for factor in best.factors[0])
            left = np.linalg.norm(block.astype(np.float64) - b @ a) / np.linalg.norm(values)
            assert left - least <= best.accuracy.relative_bound, name
            used.update(best.accuracy.methods)
    assert {"single", "gram"} <= used


def test_errors_from_energies_are_right():
    """A narrow source is spared the residual where the difference of energies tells the error as well."""
    matrix = rotated(80, 90, 1 / np.arange(1, 81.0))
    values = np.linalg.svd(matrix, compute_uv=False)
    least = np.linalg.norm(values[4:])
    u = np.linalg.svd(matrix)[0]
    for tolerance in (1e-8, 1e-14):
        made = leading._Question(matrix, 4, tolerance, None).project(u[:, :4], "gram")
        assert abs(made.error - least) <= made.excess
        assert (made.excess < 1e-13) == (tolerance == 1e-14)
