"""The certificates: never below the true error, and refused where they would be."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_cases import each_block, exact_tails, gesvd_tails, hard_matrices, rotated, small_matrices
from registry import examples

import lowrank_blocks as lb
from lowrank_blocks.linalg import (
    eigen,
    gram,
    leading,
    leading_factors,
    levels,
    questions,
    tail_energy,
    values,
)
from lowrank_blocks.linalg.bounds import added, eigen_sum, gram_error, largest_rounding
from lowrank_blocks.linalg.energies import UNIT

RANDOM = examples(40)


def gram_spectrum(matrix):
    """Return the Gram route's spectrum and its bounds, whether or not they would be accepted."""
    rows = gram.flat(np.asarray(matrix, dtype=np.float64))
    reduced = eigen.Tridiagonal(gram.gram(rows))
    found = levels._of_gram(np.sqrt(np.maximum(reduced.values, 0.0)), rows.shape)
    return np.sqrt(tail_energy(found.values)), found.bounds


@RANDOM
@given(small_matrices())
def test_bounds_of_gram_spectra_hold(matrix):
    """At every rank, against 50 digits."""
    errors, slack = gram_spectrum(matrix)
    for ours, bound, true in zip(errors, slack, exact_tails(matrix), strict=False):
        assert abs(mpmath.mpf(float(ours)) - true) <= bound


@RANDOM
@given(small_matrices())
def test_bounds_of_lapack_spectra_hold(matrix):
    parts = lb.decompose(matrix, lb.Global())
    (bound,) = parts.accuracy.bounds
    for rank, true in enumerate(exact_tails(matrix)):
        assert abs(mpmath.mpf(parts.error([rank])) - true) <= bound


@RANDOM
@given(small_matrices(), st.integers(1, 6))
def test_bounds_of_stacked_factors_hold(matrix, rank):
    """The error that is reported, and that of the factors, are within the bound of the optimum."""
    rank = min(rank, len(matrix) - 1)
    true = exact_tails(matrix)[rank]
    blocks = [matrix, matrix[::-1]]
    for block, found in zip(blocks, each_block(leading_factors(blocks, [rank, rank])), strict=True):
        with mpmath.workdps(50):
            b, a = (mpmath.matrix(f.tolist()) for f in found.factors)
            rest = mpmath.matrix(block.tolist()) - b * a
            assert mpmath.mnorm(rest, "f") - true <= found.excess
            assert abs(found.error - true) <= found.excess


@RANDOM
@given(small_matrices(), st.integers(1, 6))
def test_bounds_of_factors_hold(matrix, rank):
    """The residual of factors from a Gram matrix is above the optimum by at most their excess."""
    rank = min(rank, len(matrix) - 1)
    true = exact_tails(matrix)[rank]
    question = questions.Question(matrix, rank, np.inf, None)
    values, vectors = leading._top_eigenpairs(gram.gram(matrix, both_halves=True), rank)
    for tolerance in (1e-15, 1.0):
        question.tolerance = tolerance
        found = question.certified(
            vectors.copy(), "gram", lambda made, _: question.missed(made.error, values)
        )
        assert found is not None or tolerance < 1
        if found is not None:
            product = (found.part.basis * found.part.values) @ found.part.rows
            with mpmath.workdps(50):
                left = mpmath.mnorm(mpmath.matrix(matrix.tolist()) - mpmath.matrix(product.tolist()), "f")
            assert left - true <= found.excess
            assert mpmath.mpf(found.error) - true <= found.excess


@pytest.mark.parametrize("shape", [(96, 96), (70, 300), (200, 200)], ids=str)
def test_bounds_hold_on_hard_matrices(shape):
    """At sizes where rounding adds up, against gesvd with its own backward error."""
    for name, matrix in hard_matrices(*shape).items():
        true, exponent = gesvd_tails(matrix)
        errors, slack = gram_spectrum(np.ldexp(matrix, -exponent))
        allowed = slack + 4 * np.finfo(float).eps * true[0]
        assert (np.abs(errors - true)[:-1] <= allowed).all(), name


def test_the_methods_are_those_meant():
    """Generic blocks stay on the fast path; only the blocks that must leave it do."""
    hard = hard_matrices(150, 150)
    for name in ("gaussian", "flat", "power law", "repeated", "zero"):
        assert lb.decompose(hard[name], lb.Global()).accuracy.methods == ("gram",), name
    for name in ("geometric to 1e-16", "steep power law", "low rank and noise", "hilbert"):
        assert lb.decompose(hard[name], lb.Global()).accuracy.methods == ("lapack",), name
    matrix = np.block([[hard["gaussian"], hard["geometric to 1e-16"]]])
    assert lb.decompose(matrix, lb.Localized(1, 2)).accuracy.methods == ("gram", "lapack")


@pytest.mark.parametrize("name", ["gaussian", "flat", "power law", "low rank and noise", "exact low rank"])
def test_factors_come_from_the_cheap_method(name):
    """The proofs succeed on generic blocks: a wrong eigenvector would be refused and seen here."""
    matrix = hard_matrices(120, 150)[name]
    made = lb.approximate(matrix, lb.Global(), lb.rank_budget(matrix.shape, 24))
    assert made.accuracy.methods == ("gram",)
    assert made.accuracy.relative_bound <= 1e-10


def test_lanczos_serves_large_blocks(monkeypatch):
    """Low ranks of decaying spectra by Lanczos; flat ones go on to the dense solver."""
    monkeypatch.setattr(leading, "LANCZOS_FROM", 150)
    for name, method in [("power law", "lanczos"), ("gaussian", "gram")]:
        matrix = hard_matrices(200, 220)[name]
        tails, _ = gesvd_tails(matrix)
        made = lb.approximate(matrix, lb.Global(), lb.rank_budget(matrix.shape, 4))
        assert made.accuracy.methods == (method,), name
        assert made.relative_error == pytest.approx(tails[4] / tails[0], rel=0, abs=1e-12)


def test_vectors_that_are_not_the_leading_ones_are_refused():
    """Exact singular vectors leave no coupling, whichever they are: only the leading ones may pass."""
    matrix = hard_matrices(80, 80)["power law"]
    u = np.linalg.svd(matrix)[0]
    question = questions.Question(matrix, 4, 1e-10, None)
    assert question.certified(u[:, 1:5], "gram", lambda *_: np.inf) is None
    tails, exponent = gesvd_tails(matrix)
    known = questions.Known(np.ldexp(tails[4], exponent), 1e-14)
    question = questions.Question(matrix, 4, 1e-10, known)
    assert question.certified(u[:, 1:5], "gram", lambda *_: np.inf) is None
    assert question.certified(u[:, :4], "gram", lambda *_: np.inf) is not None


@pytest.mark.parametrize("gap", [1e-12, 1e-11, 1e-9, 1e-3])
def test_what_vectors_miss_is_measured(gap):
    """The second of two vectors in place of the first: its excess is certified, or it is refused."""
    values = np.append([1.0, 1 - gap], 1e-3 / np.arange(1, 79))
    matrix = rotated(80, 90, values)
    u = np.linalg.svd(matrix)[0]
    question = questions.Question(matrix, 1, 1e-10, None)
    squares = np.linalg.eigvalsh(matrix @ matrix.T)[:-2:-1]
    found = question.certified(u[:, 1:2], "gram", lambda made, _: question.missed(made.error, squares))
    left = np.sqrt(np.sum(values[1:] ** 2) + np.array([0.0, 1 - (1 - gap) ** 2]))
    if gap >= 1e-9:
        assert found is None
    else:
        assert left[1] - left[0] <= found.excess <= left[1] - left[0] + 2e-13
    right = question.certified(u[:, :1], "gram", lambda made, _: question.missed(made.error, squares))
    assert right.excess <= 2e-13


def test_what_eigenvalues_lack_is_charged():
    """They may be as wrong as a Gram matrix allows: what is missed is no less for that."""
    values = np.append([1.0, 1 - 1e-11], 1e-4 / np.arange(1, 999))
    matrix = np.diag(values)
    question = questions.Question(matrix, 1, 1e-10, None)
    lacking = eigen_sum(np.array([1.0]), question.norm**2, matrix.shape, 1)
    error = np.sqrt(np.sum(values**2) - values[1] ** 2)
    assert 0 < lacking < 1e-13
    assert question.missed(error, 1 - lacking) >= 1 - values[1] ** 2


@pytest.mark.parametrize("length", [100, 256, 4096, 40000])
def test_sums_of_equal_products_are_charged(length):
    """In panels, each summed from zero as BLAS does: nearly as wrong as is charged, and no more."""
    worst, (full, rest) = 0.0, divmod(length, 256)
    for product in np.random.default_rng(length).uniform(1.2, 1.5, 300) / min(length, 256):
        panels = [one_by_one([product] * 256)] * full + [one_by_one([product] * rest)] * bool(rest)
        found, exact = one_by_one(panels), length * np.longdouble(product)
        off = abs(found - exact)
        worst = max(worst, float(off / exact) / UNIT / added(length))
        values, shape = np.sqrt(np.array([2 * found, 0.0])), (2, length)
        assert abs(values[0] - np.sqrt(2 * exact)) <= gram_error(values, shape)[0]
        assert 2 * off <= eigen_sum(values, 2 * found, shape, 1)[0]
    assert 0.5 <= worst <= 1


def one_by_one(numbers):
    return np.cumsum([0.0, *numbers])[-1]


def test_eigenvectors_that_are_not_found_are_no_harm(monkeypatch):
    """Where LAPACK's eigenvalue routines do not converge, its SVD solves the block."""

    def failing(*args):
        raise np.linalg.LinAlgError

    matrix = hard_matrices(150, 160)["power law"]
    budget = lb.rank_budget(matrix.shape, 4)
    exact = lb.approximate(matrix, lb.Global(), budget), lb.decompose(matrix, lb.Global())
    monkeypatch.setattr(eigen.Tridiagonal, "vectors", failing)
    made = lb.approximate(matrix, lb.Global(), budget)
    assert (exact[0].accuracy.methods, made.accuracy.methods) == (("gram",), ("lapack",))
    assert made.error == pytest.approx(exact[0].error, rel=1e-12)
    monkeypatch.setattr(eigen.Tridiagonal, "__init__", failing)
    parts = lb.decompose(matrix, lb.Global())
    assert (exact[1].accuracy.methods, parts.accuracy.methods) == (("gram",), ("lapack",))
    np.testing.assert_allclose(parts.spectra[0], exact[1].spectra[0], rtol=0, atol=1e-12)
    small = hard_matrices(115, 120)["gaussian"]
    exact = lb.decompose(small, lb.Global())
    monkeypatch.setattr(values, "eigenvalues", failing)
    parts = lb.decompose(small, lb.Global())
    assert (exact.accuracy.methods, parts.accuracy.methods) == (("gram",), ("lapack",))
    np.testing.assert_allclose(parts.spectra[0], exact.spectra[0], rtol=0, atol=1e-12)


def test_accuracy_reads_well():
    parts = lb.decompose(np.diag([3.0, 4.0]), lb.Localized(2))
    assert parts.accuracy.norm == 5.0
    assert repr(parts.accuracy).endswith("blocks: 4 by norm)")
    assert lb.decompose(np.zeros((2, 2)), lb.Global()).accuracy.relative_bound == 0.0


def test_the_surer_driver_takes_over(monkeypatch):
    """Where LAPACK's fast SVD does not converge, gesvd does the block."""
    matrix = np.random.default_rng(1).standard_normal((8, 6))
    expected = lb.approximate(matrix, lb.Global(), 28)

    def fail(*args, **kwargs):
        raise np.linalg.LinAlgError

    monkeypatch.setattr(np.linalg, "svd", fail)
    made = lb.approximate(matrix, lb.Global(), 28)
    np.testing.assert_allclose(made.to_dense(), expected.to_dense(), atol=1e-13)


@pytest.mark.parametrize("shape", [(64, 64), (100, 4000), (384, 1536), (2048, 2048)], ids=str)
@pytest.mark.parametrize("trace", [1.0, 1.5, 300.0])
def test_the_rounding_of_one_eigenvalue_is_that_of_a_sum_of_one(shape, trace):
    for largest in (0.0, 1e-3, 1.0):
        of_sum = eigen_sum(np.array([largest**0.5]), trace, shape, 1)[0]
        assert largest_rounding(largest, trace, shape) == pytest.approx(of_sum, rel=1e-14, abs=0)


def test_what_couples_a_part_is_charged_for_products_that_are_summed_as_one():
    block = np.full((64, 7800), 0.75, order="F")
    question = questions.Question(block, 1, 1e-9)
    made = question.project(np.full((64, 1), 1 / 8), "gram")
    assert question.by_coupling(made) >= 2 * 0.375 * 7800 * UNIT * question.norm
