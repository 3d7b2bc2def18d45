"""What is recomputed of a published figure are optima, by other means, and the page shows them."""

import numpy as np
import pytest
import scipy.linalg
from pages import script

import lowrank_blocks as lb

surm = script("tests/benchmarks/surm.py")


def distance_to_span(target, basis):
    """Return the relative distance of a matrix to all combinations of some, by least squares."""
    columns = np.array([b.ravel() for b in basis]).T
    _, residual, *_ = np.linalg.lstsq(columns, target.ravel())
    return np.sqrt(residual[0]) / np.linalg.norm(target)


def nearest_product(target, side):
    """Return the least relative error of a Kronecker product that alternating least squares finds."""
    n, rng = len(target), np.random.default_rng(0)
    tiles = target.reshape(side, n // side, side, n // side)
    found = []
    for _ in range(5):
        left = rng.standard_normal((side, side))
        for _ in range(500):
            right = np.einsum("ij,iajb->ab", left, tiles) / np.sum(left**2)
            left = np.einsum("ab,iajb->ij", right, tiles) / np.sum(right**2)
        found.append(np.linalg.norm(target - np.kron(left, right)) / np.linalg.norm(target))
    return min(found)


@pytest.mark.parametrize("name", surm.MATRICES)
def test_errors_of_the_figure_are_those_of_other_methods(name):
    n, side = 36, 6
    target = surm.MATRICES[name](np.random.default_rng(3), n)
    values = np.linalg.eigvalsh(target)
    ones = np.eye(n)
    found = surm.errors(target)

    np.testing.assert_allclose(target, target.T, rtol=0, atol=1e-14 * values[-1])
    assert values[0] > -1e-12 * values[-1]
    assert found == pytest.approx(
        {
            "low rank": np.sqrt(np.sum(values[:-1] ** 2)) / np.linalg.norm(target),
            "Kronecker": nearest_product(target, side),
            "circulant": distance_to_span(target, [scipy.linalg.circulant(e) for e in ones]),
            "Toeplitz": distance_to_span(
                target,
                [
                    *(scipy.linalg.toeplitz(e, np.zeros(n)) for e in ones),
                    *(scipy.linalg.toeplitz(np.zeros(n), e) for e in ones[1:]),
                ],
            ),
        },
        rel=1e-9,
        abs=1e-12,
    )


@pytest.mark.parametrize("name", surm.MATRICES)
def test_optima_for_symmetric_matrices_are_symmetric(name):
    target = surm.MATRICES[name](np.random.default_rng(4), 36)
    for structure, numbers, _ in surm.structures(36).values():
        best = lb.approximate(target, structure, numbers)
        dense = best.to_dense()

        assert best.n_parameters == numbers
        np.testing.assert_allclose(dense, dense.T, rtol=0, atol=1e-11 * np.linalg.norm(dense))


@pytest.mark.parametrize("n", [25, 36])
def test_symmetric_optima_have_the_distinct_numbers_that_the_page_says(n):
    target = surm.gram(np.random.default_rng(4).standard_normal((n, n)))
    for name in ("circulant", "Toeplitz"):
        structure, numbers, distinct = surm.structures(n)[name]
        assert len(np.unique(lb.approximate(target, structure, numbers).to_dense().round(9))) == distinct


def test_toeplitz_joins_what_it_splits():
    layout = surm.Toeplitz().layout((3, 5))
    matrix = scipy.linalg.toeplitz([1.0, 2.0, 3.0], [1.0, -4.0, 5.0, -6.0, 7.0])

    np.testing.assert_allclose(layout.join(layout.split(matrix)), matrix, rtol=1e-15)


def test_figure_page_is_what_its_script_computes():
    assert surm.PAGE.read_text(encoding="utf-8") == surm.report()


@pytest.mark.parametrize("n", [25, 36, 64])
def test_what_the_figure_page_says_of_the_kinds_holds_at_other_sides(n):
    """The first is a theorem on expectations, so that the mean over trials comes close to it."""
    found = {name: surm.drawn(make, n) for name, make in surm.MATRICES.items()}
    for name in ("G Gᵀ, G normal", "G Gᵀ, G normal with n / 10 columns", "eigenvalues uniform in [1, 2]"):
        squares = {s: np.mean([trial[s] ** 2 for trial in found[name]]) for s in surm.ORDER}
        assert squares["Kronecker"] < squares["circulant"]
    for name in ("G Gᵀ, G normal with n / 10 columns", "G Gᵀ, G uniform in [0, 1]"):
        assert all(min(trial, key=trial.get) == "low rank" for trial in found[name])
    for trials in found.values():
        assert all(trial["Toeplitz"] <= trial["circulant"] for trial in trials)
