"""Blocks in float32: widened part by part, with no copy of all of them in float64."""

import math
import tracemalloc

import numpy as np
import pytest
from kernel_cases import rotated

import lowrank_blocks as lb
from lowrank_blocks.linalg import energies, gram, projection, questions

LAYOUTS = {
    "rows": np.ascontiguousarray,
    "columns": np.asfortranarray,
    "part": lambda block: np.pad(block, 3)[3:-3, 3:-3],
    "turned part": lambda block: np.pad(block.T, 3)[3:-3, 3:-3].T,
}


def laid(layout, block):
    """Return the block in float32 in one of the ways in which it may lie in memory."""
    found = LAYOUTS[layout](block.astype(np.float32))
    assert found.dtype == np.float32
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("slab", [1, 50, 10**6])
@pytest.mark.parametrize("shape", [(1, 1), (40, 30), (30, 41), (3, 700)])
def test_energies_are_those_of_the_block_in_float64(shape, slab, layout, monkeypatch):
    monkeypatch.setattr(energies, "_SLAB", slab)
    block = laid(layout, np.random.default_rng(0).standard_normal(shape))
    exact = math.fsum(float(x) ** 2 for x in block.flat)  # these squares have no rounding
    assert abs(energies.energy(block) - exact) <= energies.energy_rounding(exact)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [7, 64, 10**6])
def test_a_projection_is_that_of_the_block_in_float64(size, layout, monkeypatch):
    """Whether panels are small enough for BLAS to copy nothing, or not."""
    monkeypatch.setattr(gram, "_WIDENED", size)
    block = laid(layout, rotated(70, 90, np.arange(1, 71.0) ** -1))
    basis = np.linalg.qr(np.random.default_rng(1).standard_normal((70, 5)))[0]
    exact = basis.T @ block.astype(np.float64)
    for uncopied in (0, 40 * basis.size, 10**6):
        monkeypatch.setattr(gram, "_UNCOPIED", uncopied)
        for vectors in (np.ascontiguousarray(basis), np.asfortranarray(basis)):
            part = projection.projected(block, vectors)
            made = part.basis @ (part.values[:, None] * part.rows)
            np.testing.assert_allclose(vectors.T @ made, exact, rtol=0, atol=1e-15)
    assert questions.Question(block, 5, 1e-9).rows.dtype == np.float64


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rank", [8, 20])
def test_a_proof_in_single_precision_needs_no_copy_in_float64(rank, layout):
    block = laid(layout, rotated(256, 1024, np.arange(1, 257.0) ** -0.5))
    lb.approximate(block, lb.Global(), rank=rank)  # imports take memory
    tracemalloc.start()
    try:
        made = lb.approximate(block, lb.Global(), rank=rank)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert made.accuracy.methods == ("single",)
    assert peak < 2 * block.nbytes  # of the copy alone


def test_a_value_that_single_precision_misses_is_found_in_float64():
    """The same block answers both, so that what is proved of it holds for what was given."""
    block = (rotated(240, 250, np.r_[np.ones(12), np.full(228, 1e-6)]) * 3).astype(np.float32)
    made = lb.approximate(block, lb.Global(), rank=16)
    tails = np.linalg.svd(block.astype(np.float64), compute_uv=False)
    assert made.accuracy.methods != ("single",)
    assert abs(made.error - np.linalg.norm(tails[16:])) <= made.accuracy.bounds[0]
