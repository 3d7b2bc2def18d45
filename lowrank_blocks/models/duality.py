"""Lagrangian duality over the matrices of a model: what is taken at a multiplier, and what that proves.

At a multiplier every matrix takes the candidate and the ranks of least ``energy + multiplier * count``.
The sum of these over the matrices, less ``multiplier * budget``, bounds the energy that any structures
and ranks within the budget leave (weak duality). It is largest where the count passes the budget.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.models.candidates import Candidate, Floats, common_unit
from lowrank_blocks.models.steps import Steps

_HALVINGS = 200  # at most; a multiplier is found to the last bit long before
_CLOSE = 1e-14  # multipliers, relative to each other, between which nothing is searched
ROUNDING = 1e-13  # of a Lagrangian: what the rounding of its sums may add, many times over


class Duality:
    """The steps of all candidates in one unit, and two multipliers between which the budget is passed.

    Parameters
    ----------
    matrices : sequence of sequences of Candidate
        The candidates of every matrix.
    budget : int
        Most numbers that all may store.
    exponent : int
        Power of two by which singular values are divided.
    """

    def __init__(self, matrices: Sequence[Sequence[Candidate]], budget: int, exponent: int) -> None:
        self.matrices, self.budget = matrices, budget
        self.steps = [[Steps.of(c, exponent) for c in candidates] for candidates in matrices]

    @cached_property
    def _multipliers(self) -> tuple[float, float]:
        return self._around_the_budget()

    @property
    def low(self) -> float:
        """A multiplier at which more than the budget is bought, unless all is bought."""
        return self._multipliers[0]

    @property
    def high(self) -> float:
        """A multiplier at which no more than the budget is bought, as close to `low` as can be."""
        return self._multipliers[1]

    @property
    def complete(self) -> bool:
        """Whether all singular values of all candidates are known."""
        return all(c.complete for candidates in self.matrices for c in candidates)

    def taken(self, multiplier: float) -> tuple[tuple[int, ...], int, float]:
        """Return what every matrix takes at a multiplier, the count of all, and their Lagrangian."""
        chosen, count, total = [], 0, []
        for candidates in self.steps:
            offers = [steps.at(multiplier) for steps in candidates]
            k = min(range(len(offers)), key=lambda s: (offers[s].lagrangian, offers[s].stored))
            chosen.append(k)
            count += offers[k].stored
            total.append(min(offer.least for offer in offers))
        return tuple(chosen), count, math.fsum(total)

    def _around_the_budget(self) -> tuple[float, float]:
        """Return two multipliers close to each other between which the count passes the budget."""
        low, high = 0.0, 2 * max(steps.richest for candidates in self.steps for steps in candidates)
        if self.taken(low)[1] <= self.budget:
            return low, low
        if all(len(candidates) == 1 for candidates in self.steps):
            return self._around_a_critical_multiplier()
        for _ in range(_HALVINGS):
            middle = math.sqrt(low * high) if low else high * 2.0**-8
            if not low < middle < high or high - low <= _CLOSE * high:
                break
            low, high = (middle, high) if self.taken(middle)[1] > self.budget else (low, middle)
        return low, high

    def _around_a_critical_multiplier(self) -> tuple[float, float]:
        """Return the same if every matrix has one candidate: counts change at critical multipliers only."""
        critical = critical_multipliers([steps for (steps,) in self.steps])
        fitting = bisect_right(critical, self.budget, key=lambda multiplier: self.taken(multiplier)[1])
        high = float(critical[fitting - 1])
        return math.nextafter(high, 0.0), high

    @cached_property
    def usable(self) -> int:
        """The most numbers within the budget that can be stored at all."""
        unit = math.gcd(*(cost for m in self.matrices for c in m for cost in c.costs.tolist()))
        return self.budget - self.budget % unit

    @cached_property
    def least_energy(self) -> tuple[float, float]:
        """The Lagrangian bound on the energy left, and what rounding may have added to it."""
        totals = [(self.taken(value)[2], value) for value in {self.low, self.high}]
        return max((max(total - value * self.usable, 0.0), ROUNDING * total) for total, value in totals)

    def lacking(self, loss: float) -> tuple[tuple[int, int], ...]:
        """Return the candidates whose unseen values could change the answer.

        A choice that buys an unseen value buys all values before it, and has the sum of their penalties at
        the multiplier. No choice with a penalty above the loss of the answer against the bound is better.
        """
        found = []
        for k, candidates in enumerate(self.steps):
            least = min(steps.at(self.high).least for steps in candidates)
            for s, steps in enumerate(candidates):
                excess = steps.at(self.high).least - least
                if steps.penalty_of_unseen(self.high) + excess < loss:
                    found.append((k, s))
        return tuple(found)


def critical_multipliers(steps: Sequence[Steps]) -> Floats:
    """Return the multipliers at which values are bought, descending: their energies per stored number."""
    critical: Floats = np.unique(np.concatenate([-s.critical for s in steps]))[::-1]
    return critical


def hull(matrices: Sequence[Sequence[Candidate]], most: int, points: int) -> tuple[NDArray[np.int64], Floats]:
    """Return counts at which no structures and ranks leave less than the relative errors returned with them.

    The counts are those of all matrices at some critical multipliers: from the largest down to where values
    that were not computed could matter, or where the count passes `most`.
    """
    dual = Duality(matrices, most, common_unit([c for candidates in matrices for c in candidates]))
    steps = [s for candidates in dual.steps for s in candidates]
    least = max(dual.high, *(s.ceilings.max(initial=0.0) for s in steps))
    critical = critical_multipliers(steps)
    critical = np.append(critical[critical >= least], least)  # at the last all is bought that is worth it
    picked = np.unique(np.geomspace(1, len(critical), points).astype(np.int64)) - 1
    multipliers = np.append(2 * max(s.richest for s in steps), critical[picked])
    counts, energies = np.zeros(len(multipliers), dtype=np.int64), np.zeros(len(multipliers))
    for candidates in dual.steps:
        count, energy = _cheapest([s.at_all(multipliers) for s in candidates], multipliers)
        counts, energies = counts + count, energies + energy
    kept = np.flatnonzero((counts <= most) & (np.diff(counts, prepend=-1) > 0))
    return counts[kept], np.sqrt(energies[kept] / (energies[0] or 1.0))


def _cheapest(
    offers: Sequence[tuple[NDArray[np.int64], Floats]], multipliers: Floats
) -> tuple[NDArray[np.int64], Floats]:
    """Return the counts and energies of the candidate that is least at each multiplier."""
    counts, energies = (np.array(parts) for parts in zip(*offers, strict=True))
    first = (energies + multipliers * counts).argmin(axis=0), np.arange(len(multipliers))
    return counts[first], energies[first]
