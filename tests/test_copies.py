"""Pickled and copied results are what they were, and their arrays stay read-only."""

import copy
import pickle
from enum import Enum

import numpy as np
import pytest
from registry import GENERIC, KINDS

import lowrank_blocks as lb

W = GENERIC["ragged"]
COPIES = {
    **{f"pickle {k}": lambda x, k=k: pickle.loads(pickle.dumps(x, protocol=k)) for k in range(2, 6)},
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "copy of a pickle": lambda x: copy.deepcopy(pickle.loads(pickle.dumps(x))),
}
RESULTS = {
    "approximation": lambda: lb.approximate(W, lb.Localized(2), 90),
    "transposed": lambda: lb.approximate(W, lb.Localized(2), 90).T,
    "decomposition": lambda: lb.decompose(W, lb.Localized(2)),
    "decomposition with its spectra": lambda: with_spectra(lb.decompose(W * 1e300, lb.DiagonalLocal(2))),
    "curve": lambda: lb.error_curve(W, lb.Localized(2)),
    "curve that solves": lambda: lb.error_curve(W, lb.Localized((0, 1, 13), (0, 2, 11)), [30, 60]),
    "partition curve": lambda: lb.partition_curve(W, [30, 60], max_depth=1),
    "best partition": lambda: lb.best_partition(W, 60, max_depth=1),
}


def with_spectra(parts):
    assert parts.spectra  # kept from now on
    return parts


def arrays(value):
    """Return every array that can be reached from a value."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, (tuple, list)):
        return [array for part in value for array in arrays(part)]
    plain = isinstance(value, (Enum, lb.Structure)) or not hasattr(value, "__dict__")
    return [] if plain else arrays(list(vars(value).values()))


@pytest.mark.parametrize("made", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("result", RESULTS.values(), ids=RESULTS)
def test_copies_are_equal_and_locked(result, made):
    original = result()
    again = made(original)

    assert repr(again) == repr(original)
    assert len(arrays(again)) == len(arrays(original)) >= 2
    for old, new in zip(arrays(original), arrays(again), strict=True):
        np.testing.assert_array_equal(new, old)
        assert (new.dtype, new.shape) == (old.dtype, old.shape)
        assert not old.flags.writeable
        assert not new.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            new[...] = 0


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_copied_decomposition_still_answers(kind):
    parts = lb.decompose(GENERIC["square"], kind.make(12, 12))
    again = pickle.loads(pickle.dumps(parts))

    np.testing.assert_array_equal(again.within(70).to_dense(), parts.within(70).to_dense())
    assert again.accuracy == parts.accuracy
