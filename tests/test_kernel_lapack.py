"""LAPACK by address or by wrappers: the same answers, and what becomes of a failure."""

import numpy as np
import pytest
from conftest import PUBLISHED
from kernel_cases import steady, symmetric

import lowrank_blocks as lb
from lowrank_blocks.linalg import addresses, eigen, lapack, projection, reflections, stacks

FAILING = {
    "dsytrd": lambda: eigen.Tridiagonal(symmetric(4)),
    "dsterf": lambda: lapack.tridiagonal_values(np.ones(3), np.ones(2)),
    "dstein": lambda: lapack.inverse_iteration(
        np.ones(3), np.ones(2), np.ones(1), np.zeros(1, np.intp), np.full(1, 3)
    ),
    "dormtr": lambda: lapack.turn_back(np.ones((1, 3)), np.eye(3), np.ones(2)),
    "dormqr": lambda: reflections.reflected(np.ones((3, 2)), np.eye(3)[:1], np.ones(1)),
    "dgeqrf": lambda: reflections.spanned(np.ones((3, 1))),
}


@pytest.mark.parametrize("name", FAILING)
def test_what_fails_says_so(name, monkeypatch):
    for module in (lapack, reflections):
        monkeypatch.setattr(module, "call", lambda *_: 2)
    monkeypatch.setattr(reflections, "prepared", lambda *_: lambda _: 2)
    with pytest.raises(np.linalg.LinAlgError, match=f"{name} failed with status 2"):
        FAILING[name]()


@pytest.mark.parametrize("side", [1, 2, 7, 90])
@pytest.mark.parametrize("least", [1e-3, -1e-3])
def test_cholesky_tells_definite_from_indefinite(side, least, lapack_route):
    """Of the lower half alone, which the factor then takes."""
    values = np.append(np.ones(side - 1), least)
    basis = np.linalg.qr(np.random.default_rng(side).standard_normal((side, side)))[0]
    matrix = np.tril((basis * values) @ basis.T) + np.triu(np.full((side, side), 7.0), 1)
    factor = matrix.copy()
    assert lapack.is_positive_definite(factor) == (least > 0)
    if least > 0:
        lower = np.tril(factor)
        np.testing.assert_allclose(np.tril(lower @ lower.T), np.tril(matrix), rtol=0, atol=1e-14 * side)
    assert (np.triu(factor, 1) == np.triu(matrix, 1)).all()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 2), (80, 30)])
@pytest.mark.parametrize("upper", [False, True])
def test_a_product_less_a_matrix(upper, shape, order, lapack_route):
    columns = np.asarray(np.random.default_rng(2).standard_normal(shape), order=order)
    matrix = symmetric(shape[0])
    found, kept = matrix.copy(), columns.copy()
    lapack.subtract_from_product(columns, found, upper=upper)
    half = np.triu(np.ones_like(matrix)) if upper else np.tril(np.ones_like(matrix))
    expected = np.where(half, columns @ columns.T - matrix, matrix)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)
    assert (found[half == 0] == matrix[half == 0]).all()
    assert (columns == kept).all()


@pytest.mark.parametrize("shape", [(60, 5), (40, 40), (7, 1)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_basis_of_what_columns_span(shape, order, lapack_route):
    columns = np.asarray(np.random.default_rng(6).standard_normal(shape), order=order)
    kept = columns.copy()
    basis = reflections.spanned(columns)
    assert (columns == kept).all()
    np.testing.assert_allclose(basis.T @ basis, np.eye(shape[1]), rtol=0, atol=1e-14)
    expected = np.linalg.qr(columns)[0]
    np.testing.assert_allclose(basis @ basis.T, expected @ expected.T, rtol=0, atol=1e-13)


@pytest.mark.parametrize("count", [1, 16, 60])
def test_columns_that_are_orthonormal_to_single_precision(count):
    exact = np.linalg.qr(np.random.default_rng(count).standard_normal((60, count)))[0]
    columns = exact.astype(np.float32).astype(np.float64)
    basis = lapack.orthonormal_again(columns)
    np.testing.assert_allclose(basis.T @ basis, np.eye(count), rtol=0, atol=1e-14)
    np.testing.assert_allclose(basis @ basis.T @ columns, columns, rtol=0, atol=1e-14)
    assert np.abs(basis - columns).max() < 1e-7  # the nearest


@pytest.mark.parametrize("lacking", [1e-5, 1e-3, 0.05])
def test_columns_that_are_nearly_orthonormal(lacking):
    """More steps make them so, and their span stays."""
    rng = np.random.default_rng(3)
    exact = np.linalg.qr(rng.standard_normal((60, 8)))[0]
    columns = exact @ (np.eye(8) + lacking * rng.uniform(-1, 1, (8, 8)))
    basis = lapack.orthonormal_again(columns)
    np.testing.assert_allclose(basis.T @ basis, np.eye(8), rtol=0, atol=1e-14)
    np.testing.assert_allclose(basis @ basis.T @ columns, columns, rtol=0, atol=1e-14)


@pytest.mark.parametrize("columns", [np.zeros((60, 2)), np.ones((60, 2)) / 60**0.5, np.full((60, 2), np.nan)])
def test_columns_that_are_not_nearly_orthonormal_are_refused(columns):
    with pytest.raises(np.linalg.LinAlgError, match="nearly orthonormal"):
        lapack.orthonormal_again(columns)


def test_reflectors_are_read_only(lapack_route):
    """Several threads reflect with the same ones at once, and LAPACK writes on those that it is given."""
    rng = np.random.default_rng(3)
    columns, block = np.linalg.qr(rng.standard_normal((60, 5)))[0], rng.standard_normal((60, 8))
    rows, factors = reflections.reflectors(columns)
    rows.flags.writeable = False
    turned = reflections.reflected(block, rows, factors)
    expected = np.linalg.qr(columns, mode="complete")[0].T @ block
    np.testing.assert_allclose(turned, expected, rtol=0, atol=1e-13)


def test_the_rest_of_a_block_has_the_same_bits_in_any_thread(monkeypatch, lapack_route):
    monkeypatch.setattr(projection, "_PANEL", 32)
    rng = np.random.default_rng(4)
    block, basis = rng.standard_normal((200, 1600)), np.linalg.qr(rng.standard_normal((200, 20)))[0]
    lb.set_workers(1)
    expected = projection.without(block, basis)
    lb.set_workers(4)
    try:
        assert all((projection.without(block, basis) == expected).all() for _ in range(60))
    finally:
        lb.set_workers(None)


@steady
def answers():
    """Return spectra and products of factors that go through every routine."""
    rng = np.random.default_rng(5)
    flat, decay = rng.standard_normal((200, 190)), np.arange(1.0, 531) ** -0.5
    spiked = 1e4 * rng.standard_normal((300, 9)) @ rng.standard_normal((9, 280)) + rng.standard_normal(
        (300, 280)
    )
    large = rng.standard_normal((530, 540)) * np.append(decay, np.zeros(10))
    parts = np.kron(np.eye(2), np.full((80, 80), 2.0)) + np.eye(160)
    made = [lb.approximate(m, lb.Global(), 8 * sum(m.shape)) for m in (flat, spiked, large, parts)]
    spectra = [
        s / s[0] for m in (flat, flat[:100], spiked, parts) for s in lb.decompose(m, lb.Global()).spectra
    ]
    return [*spectra, *(m.to_dense() / np.linalg.norm(m.to_dense()) for m in made)]


def test_both_ways_lead_to_the_same_answers(monkeypatch):
    called = set()
    callers = (lapack, "call"), (reflections, "call"), (reflections, "prepared"), (stacks, "each")
    for module, caller in callers:
        call = getattr(module, caller)
        monkeypatch.setattr(
            module, caller, lambda name, *rest, call=call: (called.add(name), call(name, *rest))[1]
        )
    noise = np.random.default_rng(6).standard_normal((160, 170)).astype(np.float32)
    power = lb.synthetic.power_law((230, 240), exponent=1).matrix.astype(np.float32)
    found, singles = [], []
    for published in (PUBLISHED, lambda name: None):
        monkeypatch.setattr(addresses, "published", published)
        found.append(answers())
        singles.append([lb.approximate(narrow, lb.Global(), rank=5) for narrow in (noise, power)])
        assert lapack.is_positive_definite(np.eye(3))  # for values that single precision does not tell apart
    assert called == set(addresses.SIGNATURES)
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    for ours, theirs in zip(*singles, strict=True):
        assert ours.accuracy.methods == theirs.accuracy.methods == ("single",)
        assert abs(ours.error - theirs.error) <= 1e-11 * ours.error


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("published", [PUBLISHED, lambda name: None], ids=["by address", "by wrappers"])
def test_one_half_says_whether_a_matrix_is_positive_definite(kind, published, monkeypatch):
    """The other half is neither read nor written."""
    monkeypatch.setattr(addresses, "published", published)
    for shift, definite in ((0.1, True), (-0.1, False)):
        square = symmetric(6)
        matrix = (square - (np.linalg.eigvalsh(square)[0] - shift) * np.eye(6)).astype(kind)
        for upper, other in ((True, np.tri(6, k=-1)), (False, np.tri(6, k=-1).T)):
            mixed = matrix + (1e3 * other).astype(kind)
            before = mixed[other == 1].copy()
            assert lapack.is_positive_definite(mixed, upper=upper) == definite
            np.testing.assert_array_equal(mixed[other == 1], before)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (4, 4), (8, 8), (8, 0), (5, 4)], ids=str)
def test_what_is_not_finite_is_not_positive_definite(kind, bad, place):
    """As where single precision overflows: OpenBLAS reports no failure."""
    for side in (9, 300):
        for upper in (False, True):
            matrix = np.eye(side, dtype=kind)
            i, j = (index + side - 9 if index == 8 else index for index in place)
            matrix[i, j] = matrix[j, i] = bad
            assert not lapack.is_positive_definite(matrix, upper=upper)
