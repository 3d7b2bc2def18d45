"""Spectra of several levels: values far below the largest are split off and solved separately."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import exact_tails, gesvd_tails, rotated, true_residual
from registry import examples

import lowrank_blocks as lb
from lowrank_blocks.linalg import gram, leading, questions

RANDOM = examples(40)

LEVELS = {
    "two": np.where(np.arange(200) < 6, 1.0, 1e-5),
    "three": np.select([np.arange(200) < 3, np.arange(200) < 8], [1.0, 1e-4], 1e-8),
    "two, the lower decays": np.where(np.arange(200) < 6, 1.0, 1e-5 / np.arange(1, 201)),
}


@pytest.mark.parametrize("lanczos_from", [150, 1000])
@pytest.mark.parametrize("name", LEVELS)
def test_what_lies_far_below_is_solved_by_itself(name, lanczos_from, monkeypatch):
    """One Gram matrix resolves only the highest level of a spectrum; no SVD is needed for the others."""
    monkeypatch.setattr(leading, "LANCZOS_FROM", lanczos_from)
    for shape in [(200, 230), (230, 200)]:
        matrix = rotated(*shape, LEVELS[name])
        tails, exponent = gesvd_tails(matrix)
        made = lb.approximate(matrix, lb.Global(), lb.rank_budget(shape, 14))
        assert made.accuracy.methods[0] in {"gram", "lanczos"}
        excess = true_residual(matrix, made, exponent) - tails[14]
        assert abs(excess) <= np.ldexp(made.accuracy.bound, -exponent) <= 1e-10 * tails[0]
        assert abs(excess) <= 1e-14 * tails[0]
        (b, a) = made.factors[0]
        np.testing.assert_allclose(b.T @ b, a @ a.T, rtol=0, atol=1e-13)


@RANDOM
@given(st.integers(1, 5), st.floats(-8, -3), st.integers(0, 6), st.integers(0, 99))
def test_bounds_of_deflated_factors_hold(first, level, more, seed):
    """Against 50 digits, whatever it is that dominates."""
    spectrum = np.where(np.arange(12) < first, 1.0, 10.0**level)
    matrix = rotated(12, 15, spectrum, seed)
    rank, norm = first + 1 + more // 2, float(np.linalg.norm(matrix))
    question = questions.Question(matrix, rank, 1e-9, None)
    made = leading._by_deflation(
        question, *leading._top_eigenpairs(gram.gram(matrix, both_halves=True), rank)
    )
    true = exact_tails(matrix)[rank]
    assert made is not None
    product = (made.part.basis * made.part.values) @ made.part.rows
    assert np.linalg.norm(matrix - product) <= true + made.excess <= true + 1e-9 * norm


def test_a_coupling_is_part_of_what_is_certified():
    """Vectors a little off leave a coupling of a known size, twice of which is uncertain."""
    u, v = (np.linalg.qr(np.random.default_rng(n).standard_normal((80, 80)))[0] for n in (1, 2))
    s = np.where(np.arange(80) < 6, 1.0, 1e-3)
    turned = u.copy()
    turned[:, 0] += 1e-6 * u[:, 70]
    turned = np.linalg.qr(turned)[0]
    made = leading._by_deflation(
        questions.Question((u * s) @ v.T, 8, 1e-5, None), np.square(s[:8]), turned[:, :8]
    )
    assert 1.9e-6 <= made.excess <= 2.2e-6


def test_one_dense_solver_after_lanczos(monkeypatch):
    """Where Lanczos finds values that a Gram matrix cannot resolve, the dense solver gets the rest only."""
    asked, solve = [], leading._top_eigenpairs

    def recorded(matrix, rank, needed):
        asked.append((np.trace(matrix), rank))
        return solve(matrix, rank, needed)

    monkeypatch.setattr(leading, "LANCZOS_FROM", 150)
    monkeypatch.setattr(leading, "_top_eigenpairs", recorded)
    matrix = rotated(400, 430, np.append(np.ones(6), 1e-6 * np.linspace(1, 0.9, 394)))
    lb.approximate(matrix, lb.Global(), lb.rank_budget(matrix.shape, 12))
    ((energy, rank),) = asked
    tails, exponent = gesvd_tails(matrix)
    assert rank == 6
    assert energy == pytest.approx(np.ldexp(tails[6], exponent) ** 2, rel=1e-9)


@pytest.mark.parametrize(("rest", "asked"), [(1e-6, [(0, 6), (0, 34)]), (1e-2, [(0, 40)]), (0, [(0, 40)])])
def test_only_vectors_that_are_split_off_are_computed_where_no_proof_would_do(rest, asked, monkeypatch):
    found, solve = [], leading.Tridiagonal.vectors
    monkeypatch.setattr(
        leading.Tridiagonal, "vectors", lambda own, *ends: (found.append(ends), solve(own, *ends))[1]
    )
    matrix = rotated(200, 230, np.append(np.ones(6), rest * np.linspace(1, 0.9, 194)))
    best = lb.approximate(matrix, lb.Global(), rank=40)
    assert found == asked
    assert best.accuracy.methods == ("gram",)
    tails, exponent = gesvd_tails(matrix)
    assert best.error <= np.ldexp(tails[40], exponent) + 1e-10 * np.linalg.norm(matrix)


def test_vectors_that_do_not_dominate_are_not_deflated():
    """Claimed values are not used: what the vectors hold is computed."""
    matrix = rotated(80, 90, np.where(np.arange(80) < 6, 1.0, 1e-5))
    u = np.linalg.svd(matrix)[0]
    question, claimed = questions.Question(matrix, 8, 1e-10, None), np.where(np.arange(8) < 6, 1.0, 1e-10)
    assert leading._by_deflation(question, claimed, u[:, 1:9]) is None
    assert leading._by_deflation(question, claimed, u[:, :8]) is not None


def test_the_reported_error_is_as_certain_as_it_says():
    """Errors that come from spectra are reported with the bounds of spectra, not with those of factors."""
    matrix = rotated(200, 230, np.where(np.arange(200) < 6, 1.0, 1e-2))
    parts, budget = lb.decompose(matrix, lb.Global()), lb.rank_budget(matrix.shape, 6)
    (of_spectrum,), (made,) = parts.accuracy.bounds, parts.within(budget).accuracy.bounds
    (of_factors,) = lb.approximate(matrix, lb.Global(), budget).accuracy.bounds
    assert of_factors < of_spectrum <= made
