"""Every bad allocation is refused with an error that names the argument, the rule and the value."""

import numpy as np
import pytest
from refusals import refuse

import lowrank_blocks as lb

EYE = np.eye(4)
ALLOCATIONS = {
    "too many": ([1, 0, 0, 1, 0], ValueError, ["must be 4 ranks, one a block", "got 5"]),
    "too few": ([1], ValueError, ["must be 4 ranks, one a block", "got 1"]),
    "negative": ([1, 0, -1, 1], ValueError, ["[2] must be a non-negative integer", "got -1"]),
    "floats": ([1, 0.5, 0, 1], TypeError, ["[1] must be a non-negative integer", "got 0.5"]),
    "float array": (np.zeros(4), TypeError, ["[0] must be a non-negative integer", "0.0"]),
    "bools": ([True, 0, 0, 0], TypeError, ["[0] must be a non-negative integer", "the bool True"]),
    "beyond the block": ([3, 0, 0, 0], ValueError, ["must be at most 2 for block 0", "got 3"]),
    "beyond the budget": ([2, 0, 0, 2], ValueError, ["must stay within the budget of 12 numbers", "got 16"]),
    "one more": ([1, 1, 1, 1], ValueError, ["must stay within the budget of 12 numbers", "got 16"]),
    "not a sequence": (3, TypeError, ["must be a sequence of non-negative integers", "got 3"]),
    "text": ("1001", TypeError, ["must be a sequence of non-negative integers", "got '1001'"]),
    "none": (None, TypeError, ["must be a sequence of non-negative integers", "got None"]),
}


@pytest.mark.parametrize(("ranks", "error", "fragments"), ALLOCATIONS.values(), ids=ALLOCATIONS)
def test_bad_allocations(ranks, error, fragments):
    def mine(spectra, costs, budget):
        return ranks

    with refuse(error, "the ranks from mine", *fragments):
        lb.approximate(EYE, lb.Localized(2), 12, allocate=mine)
    with refuse(error, "the ranks from mine", *fragments):
        lb.compare(EYE, [lb.Localized(2)], 12, allocate=[mine])


def test_an_allocation_one_number_beyond_the_budget():
    with refuse(ValueError, "must stay within the budget of 15 numbers", "got 16"):
        lb.approximate(EYE, lb.Localized(2), 15, allocate=lambda *_: [1, 1, 1, 1])
    assert lb.approximate(EYE, lb.Localized(2), 16, allocate=lambda *_: [1, 1, 1, 1]).n_parameters == 16


@pytest.mark.parametrize("allocate", ["adaptive", None, 3])
def test_an_allocation_that_is_no_function(allocate):
    with refuse(TypeError, "allocate must be a function", "lb.adaptive", f"got {allocate!r}"):
        lb.approximate(EYE, lb.Global(), 8, allocate=allocate)


@pytest.mark.parametrize(
    ("spectra", "costs", "error", "fragments"),
    [
        ([[1.0, 2.0]], [1], ValueError, ["spectra[0] must be", "descending", "[1. 2.]"]),
        ([[2.0], [1.0, -1.0]], [1, 1], ValueError, ["spectra[1] must be", "non-negative", "[ 1. -1.]"]),
        ([[np.nan]], [1], ValueError, ["spectra[0] must be finite", "nan"]),
        ([[np.inf, 1.0]], [1], ValueError, ["spectra[0] must be finite", "inf"]),
        ([[1.0, np.nan, 0.0]], [1], ValueError, ["spectra[0] must be finite", "nan"]),
        ([[[1.0]]], [1], ValueError, ["spectra[0] must be 1-D", "(1, 1)"]),
        ([[1.0]], [1, 2], ValueError, ["spectra and costs must be of one length", "1 and 2"]),
        ([], [], ValueError, ["spectra and costs must be of one length, at least 1", "0 and 0"]),
        ([[1.0], [1.0]], [1, 0], ValueError, ["costs must be positive", "costs[1] = 0"]),
        ([[1.0]], 3, TypeError, ["costs must be a sequence", "got 3"]),
    ],
)
@pytest.mark.parametrize("allocate", [lb.uniform, lb.adaptive])
def test_bad_spectra_and_costs(allocate, spectra, costs, error, fragments):
    with refuse(error, *fragments):
        allocate(spectra, costs, 5)
