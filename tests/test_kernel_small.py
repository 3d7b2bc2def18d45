"""Stacks of small blocks by their Gram matrices: certificates hold, and LAPACK solves what has none."""

import numpy as np
import pytest

import lowrank_blocks as lb
from lowrank_blocks.linalg import leading_factors, small

SHAPES = [(24, 24), (25, 60), (60, 25), (32, 32), (90, 48), (24, 300)]


def with_values(shape, values, seed):
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.standard_normal((n, min(shape))))[0] for n in shape)
    return left * values @ right.T


def stack_of(shape, seed=0):
    """Return blocks of many kinds: flat, steep, of low rank, of equal values, nearly so, constant, zero."""
    k, rng = min(shape), np.random.default_rng(seed)
    ranks = np.arange(k)
    spectra = [
        1.0 / (1 + ranks), 10.0 ** -ranks, (ranks < 2) + 0.0, np.ones(k), 1 + 1e-14 * ranks,
        (ranks < 2) + 1e-6, (ranks < 2) + 1e-9, (ranks < 2) + 1e-13, (ranks < 1) + 1e-3 * (ranks < 3),
    ]  # fmt: skip
    made = [with_values(shape, values, seed + i) for i, values in enumerate(spectra)]
    return [*made, rng.standard_normal(shape), np.full(shape, 0.1), np.zeros(shape), np.eye(*shape)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("accuracy", [9.9e-11, 7e-9])
@pytest.mark.parametrize("scale", [1.0, 1e-90, 1e120])
def test_the_excess_is_within_what_is_certified_and_promised(shape, accuracy, scale):
    blocks = [block * scale for block in stack_of(shape)]
    for rank in (0, 1, 2, 6):
        found = leading_factors(blocks, [rank] * len(blocks), accuracy=accuracy)
        for k, block in enumerate(blocks):
            b, a = found.factors[k]
            unit, norm = np.max(np.abs(block)) or 1.0, np.linalg.norm(block / scale)
            left = np.linalg.norm((block - b @ a) / unit) * (unit / scale)
            values = np.linalg.svd(block / scale, compute_uv=False)
            least = np.sqrt(np.square(values[rank:][::-1]).sum())
            noise = 64 * np.finfo(float).eps * norm  # of this comparison
            assert abs(left - found.error[k] / scale) <= found.excess[k] / scale + noise
            assert left - least <= found.excess[k] / scale + noise
            assert found.excess[k] / scale <= accuracy * norm


def test_every_block_has_its_own_rank():
    blocks = [np.random.default_rng(k).standard_normal((32, 40)) for k in range(9)]
    ranks = [0, 1, 2, 3, 4, 5, 6, 7, 8]
    found = leading_factors(blocks, ranks)
    for k, (block, rank) in enumerate(zip(blocks, ranks, strict=True)):
        b, a = found.factors[k]
        assert (b.shape, a.shape) == ((32, rank), (rank, 40))
        u, s, vt = np.linalg.svd(block, full_matrices=False)
        np.testing.assert_allclose(b @ a, (u[:, :rank] * s[:rank]) @ vt[:rank], atol=1e-11)
        np.testing.assert_allclose(b.T @ b, np.diag(s[:rank]), atol=1e-12)
        np.testing.assert_allclose(a @ a.T, np.diag(s[:rank]), atol=1e-12)
    assert found.methods == ("zero", *["gram"] * 8)


def test_only_blocks_without_a_proof_are_solved_by_lapack():
    shape, steep = (24, 24), (np.arange(24) < 2) + 1e-7
    blocks = [with_values(shape, np.ones(24), 0), with_values(shape, steep, 1), np.zeros(shape)]
    assert leading_factors(blocks, [2, 2, 2]).methods == ("gram", "lapack", "zero")
    assert leading_factors(blocks, [2, 2, 2], accuracy=1e-17).methods == ("lapack", "lapack", "zero")


@pytest.mark.parametrize("scale", [1.0, 2.0**600])
def test_a_known_spectrum_proves_what_the_blocks_alone_do_not(scale):
    steep = 10.0 ** -np.arange(24)
    blocks = [scale * with_values((24, 40), steep, seed) for seed in range(3)]
    values = np.linalg.svd(np.stack(blocks) / scale, compute_uv=False)
    least = np.sqrt(np.square(values[:, 5:]).sum(axis=1))
    exponent = int(np.log2(scale))
    assert set(leading_factors(blocks, [5] * 3, exponent).methods) == {"lapack"}
    found = leading_factors(blocks, [5] * 3, exponent, known=(least, np.full(3, 1e-14)))
    assert set(found.methods) == {"gram"}
    np.testing.assert_allclose(found.error, least, atol=1e-13)
    assert (found.excess < 1e-13).all()
    wrong = leading_factors(blocks, [5] * 3, exponent, known=(least / 2, np.full(3, 1e-14)))
    assert set(wrong.methods) == {"lapack"}


def test_a_stack_whose_eigenvectors_are_not_found_is_solved_by_lapack(monkeypatch):
    def refused(*_):
        raise np.linalg.LinAlgError("Eigenvalues did not converge")

    matrix, structure = lb.synthetic.gaussian((96, 96)).matrix, lb.Localized(4)
    budget = 16 * 2 * 48
    expected = lb.approximate(matrix, structure, budget, allocate=lb.uniform)
    monkeypatch.setattr(small, "leading_eigenpairs", refused)
    found = lb.approximate(matrix, structure, budget, allocate=lb.uniform)
    assert set(expected.accuracy.methods) == {"gram"}
    assert set(found.accuracy.methods) == {"lapack"}
    np.testing.assert_allclose(found.to_dense(), expected.to_dense(), atol=1e-12)


@pytest.mark.parametrize(("side", "rank", "method"), [(23, 1, "lapack"), (24, 6, "gram"), (24, 7, "lapack")])
def test_the_method_follows_side_and_rank(side, rank, method):
    blocks = [np.random.default_rng(k).standard_normal((side, side)) for k in range(4)]
    assert set(leading_factors(blocks, [rank] * 4).methods) == {method}


def test_each_block_is_solved_as_its_rank_suggests():
    blocks = [np.random.default_rng(k).standard_normal((40, 40)) for k in range(6)]
    found = leading_factors(blocks, [0, 3, 20, 10, 11, 40])
    assert found.methods == ("zero", "gram", "lapack", "gram", "lapack", "lapack")
    large = [np.random.default_rng(k).standard_normal((100, 100)) for k in range(3)]
    assert leading_factors(large, [0, 25, 60]).methods == ("zero", "gram", "gram")
    for k, rank in enumerate([0, 25, 60]):
        values = np.linalg.svd(large[k], compute_uv=False)
        error = np.linalg.norm(large[k] - np.matmul(*leading_factors(large, [0, 25, 60]).factors[k]))
        assert error == pytest.approx(np.sqrt(np.square(values[rank:]).sum()), abs=1e-12)
