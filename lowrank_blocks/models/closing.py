"""The best plan between two points of the hull: a search through structures and ranks of small penalty.

`allocation.penalties` explains why no choice of larger penalty can be better.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from lowrank_blocks.allocation.ledger import Ledger
from lowrank_blocks.allocation.penalties import Found, States, widened
from lowrank_blocks.linalg import tail_energy
from lowrank_blocks.models.candidates import Candidate, Floats, joint_ledger
from lowrank_blocks.models.duality import ROUNDING, Duality

Chosen = tuple[int, ...]

_MANY_STATES = 1 << 18  # pairs of choices met at once; beyond, there is no search


def closed(dual: Duality, known: Found[Chosen], exponent: int) -> tuple[Found[Chosen], bool]:
    """Search through all structures and ranks that could beat a known plan.

    Parameters
    ----------
    dual : Duality
        Of the candidates and the budget; no value that was not computed may matter.
    known : Found
        The candidates of the plan, and the energy that it leaves.
    exponent : int
        Power of two by which singular values are divided.

    Returns
    -------
    (Found, bool)
        The best choice of candidates, and whether it is proved that none leaves less.
    """
    search = _Search(dual, known.energy, exponent)
    return widened(search.run, replace(known, loss=search.loss), search.loss / 64)


class _Search:
    """Passes over the choices of all matrices with penalties up to a limit.

    Parameters
    ----------
    dual, exponent
        As for `closed`.
    energy : float
        Choices that leave more are dropped.
    """

    def __init__(self, dual: Duality, energy: float, exponent: int) -> None:
        self.multiplier, self.budget = dual.high, dual.usable
        least = [min(s.at(dual.high).lagrangian for s in candidates) for candidates in dual.steps]
        self.bound = math.fsum(least) - self.multiplier * self.budget
        self.loss, self.rounding = energy - self.bound, ROUNDING * math.fsum(least)
        self.dropped = False
        self.options = [
            States.joined([self._states(c, s, value, exponent) for s, c in enumerate(candidates)])
            for candidates, value in zip(dual.matrices, least, strict=True)
        ]

    def run(self, limit: float) -> tuple[Found[Chosen] | None, bool]:
        """Return the best choice with a penalty up to a limit, if any; none if there are too many."""
        room, states = limit + self.rounding, States.none()
        for options in self.options:
            other = options[options.penalty <= room]
            if self.dropped or len(states) * len(other) > _MANY_STATES:
                return None, False
            states = states.combined(other, self.budget, room)
        if not len(states):
            return None, True
        k = int(np.argmin(states.energy))
        energy = float(states.energy[k])
        return Found(tuple(states.chosen[k].tolist()), energy, energy - self.bound), True

    def _states(self, candidate: Candidate, place: int, least: float, exponent: int) -> States:
        """Return what is worth choosing of a candidate; `chosen` is its place."""
        ledger = joint_ledger([candidate], exponent)
        states, room = States.none(), self.loss + self.rounding
        for cost in np.unique(candidate.costs).tolist():
            bought = self._bought(cost, _of_cost(ledger, cost), room)
            self.dropped = self.dropped or len(states) * len(bought) > _MANY_STATES
            if self.dropped:
                break
            states = states.combined(bought, self.budget, np.inf)
        energy = states.energy + ledger.outside
        penalty = energy + self.multiplier * states.count - least
        chosen = np.full((len(states), 1), place)
        return States(states.count, energy, penalty, chosen)[penalty <= room]

    def _bought(self, cost: int, energies: Floats, room: float) -> States:
        """Return how many values of one cost may be bought."""
        count = cost * np.arange(len(energies) + 1)
        tails = tail_energy(np.sqrt(energies))
        penalty = tails + self.multiplier * count
        kept = (penalty - penalty.min() <= room) & (count <= self.budget)
        return States(count, tails, penalty, np.zeros((len(count), 0), dtype=np.int64))[kept]


def _of_cost(ledger: Ledger, cost: int) -> Floats:
    """Return the energies of all values of one cost, descending."""
    offered = ledger.offer.energies
    own = ledger.in_unit(offered.flat[np.repeat(ledger.costs, offered.lengths) == cost])
    return np.asarray(np.sort(own[own > 0])[::-1])
