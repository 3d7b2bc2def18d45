"""LAPACK on stacks of matrices: values, eigenvalues and leading eigenvectors, by address and by numpy."""

import numpy as np
import pytest
from kernel_cases import symmetric

from lowrank_blocks.linalg import addresses, stacks


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (5, 2), (40, 40), (30, 90), (90, 30)])
@pytest.mark.parametrize("many", [None, 1, 4])
def test_singular_values_of_a_stack(shape, many, lapack_route, monkeypatch):
    """Of tall and wide blocks, which are left as they are."""
    monkeypatch.setattr(stacks, "ADDRESS_FROM", 1)
    stack = np.random.default_rng(sum(shape)).standard_normal(shape if many is None else (many, *shape))
    stack = stack.swapaxes(-1, -2).copy().swapaxes(-1, -2)
    kept = stack.copy()
    expected = np.linalg.svd(stack, compute_uv=False)
    np.testing.assert_allclose(stacks.lapack_values(stack), expected, rtol=0, atol=1e-13 * expected.max())
    assert (stack == kept).all()


def test_singular_values_that_are_not_found(monkeypatch):
    """LAPACK's slower driver finds them."""
    stack = np.random.default_rng(1).standard_normal((3, 7, 9))
    expected = np.linalg.svd(stack, compute_uv=False)
    monkeypatch.setattr(addresses, "published", lambda name: name)
    monkeypatch.setattr(stacks, "ADDRESS_FROM", 1)
    monkeypatch.setattr(stacks, "each", lambda *_: 2)
    np.testing.assert_allclose(stacks.lapack_values(stack), expected, rtol=0, atol=1e-13)
    with pytest.raises(np.linalg.LinAlgError, match="dsytrd failed with status 2"):
        stacks.eigenvalues(stack @ stack.mT)


@pytest.mark.parametrize("side", [1, 2, 7, 100])
def test_eigenvalues_of_a_stack(side, lapack_route, monkeypatch):
    monkeypatch.setattr(stacks, "ADDRESS_FROM", 1)
    matrices = np.stack([symmetric(side, seed) for seed in range(5)])
    expected = np.linalg.eigvalsh(matrices)
    np.testing.assert_allclose(stacks.eigenvalues(matrices.copy()), expected, rtol=0, atol=1e-13 * side)


def test_blocks_are_solved_together_where_numpy_keeps_the_lock(lapack_route):
    """More than 500 values at a time, or routines that release it."""
    by_address = stacks.addresses.published("dgesdd") is not None
    assert [stacks.least_together(side) for side in (1, 10, 50)] == [501, 51, 11]
    assert stacks.least_together(stacks.ADDRESS_FROM) == (1 if by_address else 6)


@pytest.mark.parametrize(("side", "count"), [(1, 1), (2, 2), (7, 3), (40, 10)])
def test_leading_eigenpairs_of_a_stack(side, count, lapack_route):
    matrices = np.stack([symmetric(side, seed) for seed in range(5)])
    values, vectors = stacks.leading_eigenpairs(matrices.copy(), count)
    assert (values.shape, vectors.shape) == ((5, count), (5, side, count))
    np.testing.assert_allclose(values, np.linalg.eigvalsh(matrices)[:, : -count - 1 : -1], atol=1e-12)
    np.testing.assert_allclose(matrices @ vectors, vectors * values[:, None], atol=1e-12)
    np.testing.assert_allclose(
        vectors.mT @ vectors, np.broadcast_to(np.eye(count), (5, count, count)), atol=1e-12
    )
