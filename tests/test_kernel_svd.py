"""LAPACK's SVD of long blocks, by the triangular factors of their panels; sums of squares."""

import math

import numpy as np
import pytest

from lowrank_blocks.linalg import energies, svd
from lowrank_blocks.linalg.bounds import UNIT, lapack_norm

LONG = [(1, 2049), (3, 30000), (2, 5, 4000), (20, 9000), (300, 2500), (40, 20000), (6, 2, 2100)]
LARGE = {(300, 2500), (40, 20000), (256, 2048)}
SHORT = [(1, 2048), (5, 5), (256, 2048), (3, 4, 9)]


@pytest.mark.parametrize(
    "shape",
    [pytest.param(s, marks=pytest.mark.exhaustive if s in LARGE else ()) for s in LONG + SHORT],
    ids=str,
)
def test_the_svd(shape):
    """Against numpy's and the defining equations."""
    stack = np.random.default_rng(sum(shape)).standard_normal(shape)
    before = stack.copy()
    expected = np.linalg.svd(stack, compute_uv=False)
    u, s, vt = svd.lapack_svd(stack)
    assert u.shape == (*shape[:-2], shape[-2], shape[-2])
    assert vt.shape == shape
    eye = np.broadcast_to(np.eye(shape[-2]), u.shape)
    for vectors in (u, vt):
        np.testing.assert_allclose(vectors @ vectors.swapaxes(-1, -2), eye, rtol=0, atol=1e-13)
    np.testing.assert_allclose((u * s[..., None, :]) @ vt, stack, rtol=0, atol=1e-13 * expected.max())
    for values in (s, svd.lapack_values(stack)):
        np.testing.assert_allclose(values, expected, rtol=1e-13)
    assert (stack == before).all()


@pytest.mark.parametrize("shape", [shape for shape in LONG if shape[-2] > 1], ids=str)
def test_lengths_are_those_that_lapack_is_given(shape, monkeypatch):
    given, qr, solve = [], np.linalg.qr, svd.stacks.lapack_values
    monkeypatch.setattr(np.linalg, "qr", lambda a, mode: (given.append(a.shape[-2]), qr(a, mode=mode))[1])
    monkeypatch.setattr(svd.stacks, "lapack_values", lambda a: (given.append(a.shape[-1]), solve(a))[1])
    svd.lapack_values(np.ones(shape))
    *panels, last = svd.lengths(shape)
    assert panels
    assert given[-1] == last
    assert set(panels) <= set(given)
    assert max(given) == max(svd.lengths(shape))


@pytest.mark.parametrize("shape", SHORT, ids=str)
def test_short_blocks_are_not_cut(shape):
    assert svd.lengths(shape) == [shape[-1]]


def test_the_bound_of_long_blocks_is_far_below_the_promise():
    """It counts the lengths of short ones, and those of panels of long ones."""
    assert lapack_norm(1.0, (100, 800)) - lapack_norm(1.0, (100, 300)) >= 500 * UNIT
    for shape in [(1, 10**8), (3, 10**7), (143, 4 * 10**6), (2000, 10**6)]:
        assert 1000 * UNIT <= lapack_norm(1.0, shape) <= 5e-12


@pytest.mark.parametrize("shape", [(1, 1), (3, 255), (3, 256), (5, 257), (100, 700), (1, 20_000)], ids=str)
def test_the_energy_of_a_block(shape):
    """In any order of memory, against exact sums; equal entries are not summed to one side."""
    drawn = np.random.default_rng(0).standard_normal(shape)
    for block in (drawn, np.full(shape, 0.1)):
        exact = math.fsum(math.fsum((x * x, _rounding_of_square(x))) for x in block.ravel().tolist())
        for same in (block, np.asfortranarray(block), np.repeat(block, 2, axis=1)[:, ::2]):
            assert abs(energies.energy(same) - exact) <= energies.energy_rounding(exact)
    assert energies.norm_rounding(1.0) <= 1e-14


def _rounding_of_square(x):
    """Return what is rounded away from the square of a float."""
    high = float(np.float32(x))
    low = x - high
    return ((high * high - x * x) + 2 * high * low) + low * low
