"""Inputs stay as they were; results own their arrays and lock them."""

import numpy as np
import pytest
from registry import GENERIC, KINDS, built, each

import lowrank_blocks as lb

RAGGED = {"ragged": GENERIC["ragged"]}
ENTRIES = {
    "approximate": lambda W, s: lb.approximate(W, s, 60),
    "decompose": lambda W, s: lb.decompose(W, s).within(60),
    "compare": lambda W, s: lb.compare(W, [s], 60),
}


@each(targets=RAGGED)
@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
@pytest.mark.parametrize("scale", [1.0, 1e200])
def test_a_writable_input_stays_writable_and_unchanged(kind, W, entry, scale):
    source = W * scale

    entry(source, built(kind, W)[0])

    assert source.flags.writeable
    np.testing.assert_array_equal(source, W * scale)


@each(targets=RAGGED)
def test_a_decomposition_keeps_a_matrix_of_its_own(kind, W):
    source, structure = W.copy(), built(kind, W)[0]
    parts = lb.decompose(source, structure)

    source[:] = 0

    np.testing.assert_array_equal(parts.within(60).to_dense(), lb.approximate(W, structure, 60).to_dense())


@each(targets=RAGGED)
@pytest.mark.parametrize("scale", [1.0, 1e200])
def test_results_are_locked(kind, W, scale):
    parts = lb.decompose(W * scale, built(kind, W)[0])
    answer = parts.within(60)
    arrays = [answer.ranks, parts.costs, *parts.spectra, *(f for pair in answer.factors for f in pair)]

    assert not any(array.flags.writeable for array in arrays)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_dense_result_is_the_callers(kind):
    W = np.random.default_rng(0).standard_normal((8, 8))
    answer = lb.approximate(W, kind.make(8, 8), 200)

    answer.to_dense()[:] = 0

    assert answer.to_dense().any()


def test_spectra_and_costs_given_to_an_allocation_are_untouched():
    spectra, costs = [np.array([3.0, 1.0]), np.array([2.0])], np.array([4, 3])
    copies = [s.copy() for s in spectra]
    for allocate in (lb.uniform, lb.adaptive):
        allocate(spectra, costs, 8)

    assert costs.tolist() == [4, 3]
    assert all((s == c).all() and s.flags.writeable for s, c in zip(spectra, copies, strict=True))


def test_ranks_given_to_truncate_stay_the_callers():
    ranks = np.array([1, 0, 1, 2])
    answer = lb.decompose(np.eye(4), lb.Localized(2)).truncate(ranks)

    ranks[:] = 0

    assert ranks.flags.writeable
    assert answer.ranks.tolist() == [1, 0, 1, 2]


def test_a_custom_allocation_keeps_its_array():
    held = np.array([1, 0, 0, 1], dtype=np.int64)
    lb.approximate(np.eye(4), lb.Localized(2), 16, allocate=lambda *_: held)

    held[:] = 0

    assert held.flags.writeable
    assert held.tolist() == [0, 0, 0, 0]
