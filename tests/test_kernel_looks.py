"""When Lanczos tests convergence: seldom, hardly later than it is reached, and not for ever."""

import math

import pytest

from lowrank_blocks.linalg.looks import Looks

GOAL = 1e-3
DOUBLE = [(512, 16), (640, 8), (768, 32), (1024, 16), (4096, 16), (4096, 64)]
SINGLE = [(300, 16), (384, 16), (384, 36), (768, 48), (1024, 16), (4096, 64)]
SIZES = [(*size, False) for size in DOUBLE] + [(*size, True) for size in SINGLE]


def walked(looks, missed_at, goal=GOAL, *, hopeless=False):
    """Return the columns at which convergence is tested, and whether it was seen."""
    tested = []
    for columns in range(looks.width, looks.most + 1, looks.width):
        if columns < looks.at:
            continue
        tested.append(columns)
        missed = missed_at(columns)
        if missed <= goal:
            return tested, True
        if looks.end(columns, missed, goal, hopeless=hopeless):
            return tested, False
    return tested, False


def falling(looks, decades, start=1e9):
    """Return what is missed if every block takes the same number of decades off it."""
    first = looks.at
    return lambda columns: start * 10 ** (-decades * (columns - first) / looks.width)


@pytest.mark.parametrize(("side", "rank", "single"), SIZES)
@pytest.mark.parametrize("decades", [1.8, 2.5, 4.0, 20.0])
def test_what_falls_evenly_is_tested_a_few_times_and_seen_at_once(side, rank, single, decades):
    looks = Looks(side, rank, single=single)
    missed = falling(looks, decades, 1e6 if single and side < 1024 else 1e9)
    reached = next(c for c in range(looks.at, looks.most + looks.width, looks.width) if missed(c) <= GOAL)
    tested, seen = walked(looks, missed)
    assert seen
    assert len(tested) <= 3
    assert tested[-1] <= max(reached + 2 * looks.width, tested[0] + 5 * looks.width)


def test_low_ranks_are_tested_sooner():
    """In single precision a test costs as much as a few blocks; higher ranks need more of these."""
    assert [Looks(384, rank, single=True).at for rank in (4, 16, 36)] == [4 + 5 * 8, 16 + 8 * 8, 36 + 11 * 8]
    wide = Looks(768, 64, single=True)
    assert (wide.width, wide.at) == (16, 64 + 7 * 16)
    assert [Looks(600, rank).at for rank in (4, 16, 36)] == [4 + 4 * 8, 16 + 4 * 8, 36 + 4 * 8]
    assert Looks(1024, 16, single=True).at == Looks(1024, 16).at == 16 + 4 * 16
    assert [looks.powers for looks in (wide, Looks(600, 4), Looks(1024, 16, single=True))] == [4, 1, 1]


def test_what_falls_faster_and_faster_is_waited_for():
    """The power law of exponent 0.5, 768 by 768: slow at first, then thirty times a block."""
    seen_there = dict(zip(range(32, 104, 8), [4e8, 2e8, 2e7, 1e6, 3e4, 8e2, 1e1, 1e-1, 2e-3], strict=True))
    tested, seen = walked(Looks(768, 16), seen_there.__getitem__, 1e-2)
    assert seen
    assert tested[0] == 48
    assert tested[-1] == 96
    assert len(tested) <= 4


@pytest.mark.parametrize(("side", "rank", "single"), SIZES)
@pytest.mark.parametrize("decades", [0.0, 0.01, -1.0])
def test_what_does_not_fall_ends_soon_but_not_before_it_can_be_judged(side, rank, single, decades):
    looks = Looks(side, rank, single=single)
    tested, seen = walked(looks, falling(looks, decades))
    judged = 2 * rank + 5 * looks.width
    assert not seen
    latest = max(judged, tested[0] + 4 * looks.width) + 2 * looks.width
    assert judged <= tested[-1] <= latest
    assert tested[-1] < looks.most or looks.most <= latest


def test_a_slow_start_does_not_end_it():
    """Nothing falls until it is judged, and then all does: the last block tells."""
    looks = Looks(4096, 64)
    judged = 2 * 64 + 5 * 16
    tested, seen = walked(looks, lambda columns: 1e5 * 10.0 ** -max(0, (columns - judged + 16) // 16))
    assert seen
    assert tested[-1] <= judged + 10 * 16


@pytest.mark.parametrize(("side", "rank", "single"), SIZES)
def test_residuals_that_are_too_large_end_it_where_it_is_judged(side, rank, single):
    looks = Looks(side, rank, single=single)
    tested, seen = walked(looks, falling(looks, 1.0), hopeless=True)
    assert not seen
    judged = 2 * rank + 5 * looks.width
    assert judged <= tested[-1] <= max(tested[0], judged) + 8 * looks.width


def test_the_largest_space_is_always_tested():
    """Also where the goal is expected a block or two beyond it."""
    looks = Looks(4096, 16)
    bend = looks.most - 8 * looks.width

    def missed(columns):
        blocks = (columns - bend) / looks.width
        return GOAL * 10 ** (4.2 - (0.45 if blocks > 0 else 6) * blocks)

    tested, seen = walked(looks, missed)
    assert not seen
    assert tested[-1] == looks.most


def test_nothing_may_be_missed():
    looks = Looks(4096, 16)
    tested, seen = walked(looks, falling(looks, 3.0), 0.0)
    assert not seen
    assert looks.at <= looks.most
    assert math.isfinite(looks.at)
    assert tested[-1] < looks.most
