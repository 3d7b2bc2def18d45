"""Bounds on the eigenvalues that leading vectors leave: by norms and by Cholesky, in both precisions."""

import math

import numpy as np
import pytest
from kernel_cases import hard_matrices, rotated

from lowrank_blocks.linalg import beyond, krylov
from lowrank_blocks.linalg.gram import gram
from lowrank_blocks.linalg.projection import projected
from lowrank_blocks.linalg.sources import Source

SHAPES = [(96, 96), (70, 300), (200, 210)]
PRECISIONS = [np.float64, np.float32]
UNITS = {np.float64: 2.0**-53, np.float32: 2.0**-24}


def largest_beside(block, columns):
    """The largest eigenvalue of the Gram matrix on the complement of some columns."""
    outside = np.linalg.svd(columns, full_matrices=True)[0][:, columns.shape[1] :]
    return float(np.linalg.norm(outside.T @ block, 2)) ** 2


@pytest.mark.parametrize("kind", PRECISIONS)
@pytest.mark.parametrize("rank", [1, 4, 12])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_no_eigenvalue_beyond_exceeds_its_bound(shape, rank, kind):
    """By both proofs, against gesvd of the complement; the bounds are close to the ceiling."""
    constant = {f"all {x}": np.full(shape, x) for x in (1 / 3, 4 / 3, 0.1)}
    proved = 0
    for name, matrix in (dict(hard_matrices(*shape)) | constant).items():
        if not matrix.any():
            continue
        exact = matrix / np.linalg.norm(matrix)
        block = exact.astype(kind)
        exact = block.astype(np.float64)
        u, s, _ = np.linalg.svd(exact)
        vectors, values = u[:, :rank], s[:rank] ** 2
        part = projected(exact, vectors)
        norm, left = np.linalg.norm(exact), np.linalg.norm(exact - part.basis * part.values @ part.rows)
        true = largest_beside(exact, part.basis)
        for ceiling in (true * 0.98, (values[-1] + true) / 2, values[-1] * 1.02):
            deflated, narrower = (
                beyond.beyond_deflated(
                    gram(block, both_halves=True), vectors.astype(kind), values, ceiling, shape, precision
                )
                for precision in (kind, np.float32)
            )
            rest = beyond.beyond_rest(exact, part, left, norm, ceiling, kind)
            assert true <= narrower, name
            assert narrower == math.inf or narrower - ceiling >= 16 * UNITS[np.float32] * ceiling
            for bound in (deflated, rest):
                assert true <= bound, name
                assert bound == math.inf or bound <= ceiling + 3e4 * UNITS[kind], name
                proved += bound < values[-1]
            rounding = beyond.rest_rounding(ceiling, shape, kind)
            assert rest == math.inf or rest <= ceiling + 2 * rounding + 1e-14, name
            least = ceiling * (1 + 16 * UNITS[kind])  # rounding is charged, whether any is seen or not
            assert deflated >= least, name
            assert rest >= (math.sqrt(least) + UNITS[kind] * left) ** 2, name
    assert proved >= 10


@pytest.mark.parametrize("kind", PRECISIONS)
def test_a_vector_that_was_missed_shows(kind):
    """A proof by Cholesky fails when a larger eigenvalue was left out."""
    block = rotated(200, 220, 1 / np.arange(1, 201.0)).astype(kind)
    u, s, _ = np.linalg.svd(block.astype(np.float64))
    for chosen, seen in [([0, 1, 2, 3], True), ([0, 1, 3, 4], False), ([1, 2, 3, 4], False)]:
        vectors, values = u[:, chosen], s[chosen] ** 2
        ceiling = (values[-1] + s[chosen[-1] + 1] ** 2) / 2
        matrix = gram(block, both_halves=True)
        kept = np.tril if kind is np.float32 else np.triu  # the half that later methods read
        for precision in (np.float32, kind):
            own = matrix.copy()
            columns = vectors.astype(kind)
            found = beyond.beyond_deflated(own, columns, values, ceiling, block.shape, precision)
            assert (found < values[-1]) == seen
            np.testing.assert_array_equal(kept(own), kept(matrix))
        part = projected(block.astype(np.float64), vectors)
        left = float(np.sqrt(np.sum(s**2) - np.sum(values)))
        found = beyond.beyond_rest(block.astype(np.float64), part, left, np.linalg.norm(s), ceiling, kind)
        assert (found < values[-1]) == seen


@pytest.mark.parametrize("exponent", [-300, -120, 0, 120])
@pytest.mark.parametrize("turned", [False, True])
def test_what_is_left_may_be_of_any_size(exponent, turned):
    """Squares in single precision neither overflow nor vanish, however small the rest is."""
    matrix = rotated(80, 90, np.append([1.0, 0.9], 1e-9 / np.arange(1, 79)))
    matrix = np.ldexp(np.asfortranarray(matrix) if turned else matrix, exponent // 2)
    u, s, _ = np.linalg.svd(matrix)
    part = projected(matrix, u[:, :2])
    left, norm = np.linalg.norm(s[2:]), np.linalg.norm(s)
    for kind in PRECISIONS:
        found = beyond.beyond_rest(matrix, part, left, norm, 1.1 * s[2] ** 2, kind)
        assert s[2] ** 2 <= found <= 1.102 * s[2] ** 2
        assert beyond.beyond_rest(matrix, part, left, norm, 0.9 * s[2] ** 2, kind) == math.inf
    own = gram(matrix, both_halves=True)
    for ceiling, expected in ((0.5 * s[1] ** 2, 0.501 * s[1] ** 2), (0.9 * s[1] ** 2, 0.901 * s[1] ** 2)):
        found = beyond.beyond_deflated(own.copy(), u[:, :2], s[:2] ** 2, ceiling, own.shape, np.float32)
        assert ceiling < found < expected
    found = beyond.beyond_deflated(own, u[:, :1], s[:1] ** 2, 0.5 * s[1] ** 2, own.shape, np.float32)
    assert found == math.inf


@pytest.mark.parametrize("rank", [1, 4, 12])
def test_nothing_is_beyond_what_lanczos_leaves(rank, monkeypatch):
    """The bound from norms holds for the complement, and is infinite where a large value is hidden."""
    monkeypatch.setattr(krylov, "_FLAT", 0)
    proved = 0
    for name, matrix in hard_matrices(240, 250).items():
        if not matrix.any():
            continue
        block = matrix / np.linalg.norm(matrix)
        source = Source(block, 1.0)
        ritz = krylov.leading_ritz(source, rank, 1.0)
        least = ritz.ceilings[0]
        bound = beyond.beyond_by_norms(source.gram, *ritz.space, rank, ritz.width, least)
        assert largest_beside(block, ritz.vectors) <= bound, name
        assert least <= bound, name
        proved += bound <= ritz.values[-1]
    assert proved >= 2


@pytest.mark.parametrize("hidden", [1.0, 0.05, 0.011])
def test_what_the_krylov_space_misses_shows_in_the_norm(hidden):
    """A larger value on a vector that the whole space is orthogonal to: no bound below it."""
    u, s, v = np.linalg.svd(hard_matrices(200, 220)["power law"], full_matrices=False)
    block = (u[:, :-1] * s[:-1] / s[0]) @ v[:-1]
    ritz = krylov.leading_ritz(Source(block, float(np.vdot(block, block))), 8, 1e-10)
    basis, images = ritz.space
    own, least = gram(block, both_halves=True), float(ritz.values[-1])
    other = own + hidden * np.outer(u[:, -1], u[:, -1])
    assert beyond.beyond_by_norms(own, basis, images, 8, ritz.width, least) == least
    assert beyond.beyond_by_norms(other, basis, images, 8, ritz.width, least) >= hidden
    basis[:, -1], images[:, -1] = basis[:, 0], images[:, 0]  # counted twice, it hides what is outside
    assert beyond.beyond_by_norms(other, basis, images, 8, ritz.width, least) == np.inf


def test_what_couples_the_outside_to_the_krylov_space_is_counted():
    """The largest eigenvalue of the complement is above those of both of its parts."""
    matrix = np.array([[1.0, 0.0, 0.0], [0.0, 0.3, 0.2], [0.0, 0.2, 0.1]])
    basis, largest = np.eye(3)[:, :2], float(np.linalg.eigvalsh(matrix[1:, 1:])[-1])
    bound = beyond.beyond_by_norms(matrix, basis, matrix @ basis, 1, 1, 0.35)
    assert largest <= bound == pytest.approx(0.3 + 0.2**2 / (0.35 - 0.1), rel=1e-9)
