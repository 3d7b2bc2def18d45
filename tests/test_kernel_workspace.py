"""Memory kept by a thread: lent to one borrower at a time, and not used once it is given back."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from kernel_cases import rotated

import lowrank_blocks as lb
from lowrank_blocks.linalg import levels, scaling, values, workspace
from lowrank_blocks.linalg.workspace import workspace as lend


def test_a_second_borrower_gets_memory_of_its_own():
    with lend((1,)):
        pass  # from now on there is one to borrow
    with lend((3, 4)) as first:
        first[:] = 1.0
        with lend((3, 4)) as second, lend((2,)) as third:
            second[:] = 2.0
            third[:] = 3.0
            assert not np.shares_memory(first, second)
            assert not np.shares_memory(second, third)
        assert (first == 1.0).all()
    assert (first.shape, first.dtype, first.flags.carray) == ((3, 4), np.float64, True)


def test_a_thread_keeps_one_and_shares_it_with_no_other():
    def address():
        with lend((5,)) as room:
            return room.ctypes.data

    assert address() == address()
    with lend((5,)) as mine, ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(address).result()
        assert theirs == pool.submit(address).result() != mine.ctypes.data


def test_an_error_gives_it_back():
    with lend((1,)) as room:
        address = room.ctypes.data
    with pytest.raises(KeyboardInterrupt), lend((1,)):
        raise KeyboardInterrupt
    with lend((1,)) as room:
        assert room.ctypes.data == address


@pytest.mark.parametrize("around", [-1, 0, 1])
def test_more_than_is_kept_is_new_memory(around):
    size = workspace._KEPT + around
    with lend((1,)) as room:
        kept = room.ctypes.data
    with lend((size,)) as room:
        room[:] = 0.0
        assert (room.ctypes.data == kept) == (around <= 0)


def test_nothing_is_used_once_it_is_given_back(monkeypatch):
    """The same answers if all that was lent is spoilt at the end, at every level of every solver."""
    least = rotated(200, 210, np.append(np.ones(170), 1e-7 * np.ones(30)))
    dominant = rotated(300, 310, np.append(1e5 * np.ones(20), np.ones(280)))
    steep = rotated(160, 170, 10.0 ** (-np.arange(160) / 10))
    few = np.random.default_rng(0).standard_normal((256, 256))
    cases = [(least, 1), (dominant, 1), (steep, 1), (few, 2), (few, 4), (few, 16), (few.T[:, :200], 8)]

    def solved():
        parts = [lb.decompose(m, lb.Localized(k)) for m, k in cases]
        made = [lb.approximate(m, lb.Localized(k), m.size // 4) for m, k in cases]
        return [*(s for p in parts for s in p.spectra), *(m.to_dense() for m in made)]

    lent = []

    @contextmanager
    def spoilt(shape):
        with lend(shape) as room:
            lent.append(shape)
            yield room
            room[:] = np.nan

    expected = solved()
    for module in (levels, scaling, values):
        monkeypatch.setattr(module, "workspace", spoilt)
    assert all((a == b).all() for a, b in zip(solved(), expected, strict=True))
    assert {len(shape) for shape in lent} == {2, 3}
