"""Counting stored numbers."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lowrank_blocks as lb

sides = st.integers(1, 10**6)


@given(sides, sides, st.integers(0, 10**6))
def test_rank_budget_counts_both_factors(m, n, rank):
    assert lb.rank_budget((m, n), rank) == rank * m + rank * n


def test_rank_budget_is_a_plain_int_of_any_size():
    budget = lb.rank_budget((np.int32(2**31 - 1), np.int32(2**31 - 1)), np.int16(32767))

    assert type(budget) is int
    assert budget == 32767 * 2 * (2**31 - 1)


@given(sides, sides, st.integers(0, 1000))
def test_fraction_budget_is_the_floor_of_the_decimal(m, n, thousandths):
    budget = lb.fraction_budget((m, n), thousandths / 1000)

    assert type(budget) is int
    assert budget == floor(Fraction(thousandths, 1000) * m * n)


@pytest.mark.parametrize(
    ("fraction", "budget"),
    [(0, 0), (1, 100), (0.25, 25), (0.29, 29), (0.57, 57), (0.999, 99), (1e-3, 0), (np.float64(0.29), 29)],
)
def test_fractions_are_read_as_decimals(fraction, budget):
    assert lb.fraction_budget((10, 10), fraction) == budget


@given(sides, sides, st.floats(0, 1))
def test_a_fraction_never_buys_more_than_its_share(m, n, fraction):
    """The shortest decimal of a float is within half a unit in the last place of it."""
    exact = Fraction(fraction) * m * n

    assert lb.fraction_budget((m, n), fraction) <= exact * (1 + Fraction(1, 2**52)) + Fraction(1, 10**300)


@pytest.mark.parametrize("shape", [[4, 6], np.array([4, 6]), np.zeros((4, 6)).shape])
def test_a_shape_may_be_any_pair(shape):
    assert lb.rank_budget(shape, 2) == 20
