"""The energy that a candidate leaves at every count at which buying in order of energy per number stops."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._results import ReadOnly
from lowrank_blocks.allocation.adaptive import adaptive
from lowrank_blocks.linalg import scaled
from lowrank_blocks.models.candidates import Candidate, Floats, joint_ledger


class Taken(NamedTuple):
    """What is bought of a candidate at a multiplier.

    Attributes
    ----------
    stored : int
        Numbers that it stores.
    lagrangian : float
        Energy that it leaves, plus the multiplier times `stored`.
    least : float
        The least that this can be, whatever the values that were not computed; `lagrangian` if they do
        not matter.
    """

    stored: int
    lagrangian: float
    least: float


@dataclass(frozen=True, eq=False)
class Steps(ReadOnly):
    """The steps of one candidate: convex, so that a multiplier picks one of them.

    Attributes
    ----------
    critical : (k,) array
        The multiplier at which every value is bought, its energy per stored number, times -1; ascending.
    counts, energies : (k + 1,) arrays
        Numbers stored, and energy left, after every purchase.
    unseen, ceilings : (n,) arrays
        For the blocks whose values are not all known: the energy of the unknown values, and the most that
        one of them holds per stored number.
    known : list of (k_b,) arrays
        For the same blocks: the energies per stored number of the known values.
    costs : (n,) array
        For the same blocks: numbers stored for one unit of rank.
    """

    critical: Floats
    counts: NDArray[np.int64]
    energies: Floats
    unseen: Floats
    ceilings: Floats
    known: list[Floats]
    costs: NDArray[np.int64]

    @classmethod
    def of(cls, candidate: Candidate, exponent: int) -> Steps:
        """Return the steps of a candidate whose values are divided by ``2**exponent``."""
        ledger, costs = joint_ledger([candidate], exponent), candidate.costs
        counts, discarded = adaptive.steps(ledger.offer)
        offered = ledger.offer.energies
        critical = np.sort(-offered.flat / np.repeat(costs, offered.lengths))[: len(counts) - 1]
        partial = np.flatnonzero(candidate.ceilings)
        return cls(
            critical=ledger.in_unit(critical),
            counts=counts,
            energies=ledger.outside + ledger.in_unit(discarded),
            unseen=scaled(candidate.left[partial], exponent) ** 2,
            ceilings=scaled(candidate.ceilings[partial], exponent) ** 2 / costs[partial],
            known=[scaled(candidate.values[int(b)], exponent) ** 2 / costs[b] for b in partial],
            costs=costs[partial],
        )

    @property
    def richest(self) -> float:
        """The most energy per stored number of any value."""
        return float(max(-self.critical[:1].sum(), self.ceilings.max(initial=0.0)))

    def at(self, multiplier: float) -> Taken:
        """Return what is bought at a multiplier: all values that hold more than it per number."""
        k = self.critical.searchsorted(-multiplier)
        count = int(self.counts[k])
        lagrangian = float(self.energies[k]) + multiplier * count
        if not len(self.ceilings):
            return Taken(count, lagrangian, lagrangian)
        # An unseen value of energy e pays at least e * min(1, multiplier / ceiling).
        shares = np.minimum(1.0, multiplier / self.ceilings)
        return Taken(count, lagrangian, lagrangian - float(((1 - shares) * self.unseen).sum()))

    def at_all(self, multipliers: Floats) -> tuple[NDArray[np.int64], Floats]:
        """Return the counts and the energies of what is bought at each of some multipliers."""
        k = self.critical.searchsorted(-multipliers)
        return self.counts[k], self.energies[k]

    def within(self, budget: int) -> float:
        """Return the energy left by the last step within a budget."""
        return float(self.energies[self.counts.searchsorted(budget, side="right") - 1])

    def penalty_of_unseen(self, multiplier: float) -> float:
        """Return the least penalty of buying a value that was not computed; infinite if there is none."""
        penalties = [
            cost * (np.maximum(multiplier - known, 0.0).sum() + max(multiplier - ceiling, 0.0))
            for cost, known, ceiling in zip(
                self.costs.tolist(), self.known, self.ceilings.tolist(), strict=True
            )
        ]
        return float(min(penalties, default=math.inf))
