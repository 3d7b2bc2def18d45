"""The exact choice of how many values to keep from each cost class within a budget.

Every class holds energies in descending order, all of one cost, so that an answer is one count a
class. The multiplier is the energy per unit of cost at which buying in order of energy/cost stops
(the break point). Departing from the break point by taking a poorer value or leaving a richer one
has a penalty against the Lagrangian bound; `penalties` explains how the search uses that.

With more than three classes the search may stop before it is exhaustive. It then passes through the
same states for all budgets with one break point, so that a larger budget never has the worse answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lowrank_blocks.allocation.penalties import Counts, Floats, Found, States, widened

_ALWAYS_EXACT = 3  # up to so many classes the search is always exhaustive
_MANY_STATES = 1 << 21  # beyond this, with more classes, the best answer found so far stands
_ROUNDING = 1e-14  # of the sums behind a bound
_PENALTY_ROUNDING = 1e-11  # of the largest multiplier * cost: what rounding may add to a penalty
_LIMIT_MARGIN = 1e-9  # by which a limit on penalties is raised, so that no state on it is lost


@dataclass(frozen=True)
class Choice:
    """How many values to keep from each class, and what is known of it.

    Attributes
    ----------
    counts : (D,) array of int
        Values kept from each class.
    discarded : float
        Energy of all others; it does not rise with the budget.
    proved : bool
        Whether no other counts within the budget discard less.
    """

    counts: Counts
    discarded: float
    proved: bool


def best_counts(classes: Sequence[Floats], costs: Sequence[int], budget: int) -> Choice:
    """Choose counts that discard the least energy within a budget.

    Exact for up to three classes, whatever the budget; for more, exact unless the search would
    pass through too many states. The best answer found is then returned unproved.

    Parameters
    ----------
    classes : sequence of (n_d,) arrays
        Positive energies of each class, descending.
    costs : sequence of int
        Cost of one value in each class, positive.
    budget : int
        Most that may be spent.
    """
    point = _break_point(classes, costs, budget)
    search = _Search.at(point, classes, costs, budget)
    known = Found(point.counts, search.discarded(point.counts), point.multiplier * (budget - point.spent))
    first = point.multiplier * (search.most - point.spent) / 64
    if search.is_always_exact:
        best, proved = widened(search.run, known, first)
    else:
        best, proved = widened(search.run, known, first, factor=2, capped=False)
    return Choice(best.answer, best.energy, proved)


def dual_bound(classes: Sequence[Floats], costs: Sequence[int], budget: int) -> float:
    """Return a lower bound on the energy that any counts within a budget discard (weak duality).

    The bound is that at the best multiplier, for as many numbers as counts can store, less its rounding.
    """
    usable = budget - budget % math.gcd(*costs)
    point = _break_point(classes, costs, usable)
    left = sum(float(e[k:].sum()) for e, k in zip(classes, point.counts, strict=True))
    return max(0.0, left - point.multiplier * (usable - point.spent) - _ROUNDING * left)


@dataclass(frozen=True)
class _BreakPoint:
    """Where buying in order of energy/cost stops; one for all budgets from `spent` to `most`."""

    counts: Counts
    spent: int
    most: int
    multiplier: float


def _break_point(classes: Sequence[Floats], costs: Sequence[int], budget: int) -> _BreakPoint:
    """Buy in order of energy/cost until a value does not fit."""
    density = np.concatenate([e / c for e, c in zip(classes, costs, strict=True)])
    owner = np.repeat(np.arange(len(classes)), [len(e) for e in classes])
    order = np.argsort(-density, kind="stable")
    spent = np.append(0, np.cumsum(np.asarray(costs)[owner[order]]))
    bought = int(np.searchsorted(spent, budget, side="right")) - 1
    counts = np.bincount(owner[order[:bought]], minlength=len(classes))
    if bought == len(order):
        return _BreakPoint(counts, int(spent[bought]), budget, 0.0)
    return _BreakPoint(counts, int(spent[bought]), int(spent[bought + 1]) - 1, float(density[order[bought]]))


@dataclass(frozen=True)
class _Class:
    """One cost class, with the penalties of its counts near the break point.

    Attributes
    ----------
    cost : int
        Of one value.
    tails, penalties : (n + 1,) arrays
        Energy discarded by every count, and its penalty.
    near : slice
        Counts near the break point, among which some optimum is.
    """

    cost: int
    tails: Floats
    penalties: Floats
    near: slice

    @classmethod
    def seen(cls, energies: Floats, cost: int, count: int, multiplier: float, largest_cost: int) -> _Class:
        """Return a class with penalties from its count at the break point."""
        tails = np.zeros(len(energies) + 1)
        tails[:-1] = np.cumsum(energies[::-1])[::-1]
        surplus = np.abs(energies - multiplier * cost)
        penalties = np.zeros(len(energies) + 1)
        penalties[count + 1 :] = np.cumsum(surplus[count:])
        penalties[:count] = np.cumsum(surplus[:count][::-1])[::-1]
        # Some optimum differs from the break point by fewer than 4 * largest_cost values: among more,
        # two partial sums of their costs agree and the exchange between them can be undone at no loss.
        reach = 4 * largest_cost
        return cls(cost, tails, penalties, slice(max(0, count - reach), count + reach + 1))

    def states(self, limit: float) -> States:
        """Return the counts near the break point whose penalty is within a limit."""
        kept = np.arange(len(self.tails))[self.near]
        kept = kept[self.penalties[self.near] <= limit]
        return States(self.cost * kept, self.tails[kept], self.penalties[kept], kept[:, None])


@dataclass(frozen=True)
class _Search:
    """A search through the counts of small penalty; the class with most values comes last."""

    classes: list[_Class]
    order: list[int]
    budget: int
    most: int
    multiplier: float

    @classmethod
    def at(cls, point: _BreakPoint, classes: Sequence[Floats], costs: Sequence[int], budget: int) -> _Search:
        """Return the search for a budget from its break point."""
        order = sorted(range(len(classes)), key=lambda d: len(classes[d]))
        seen = [
            _Class.seen(classes[d], costs[d], int(point.counts[d]), point.multiplier, max(costs))
            for d in order
        ]
        most = budget if len(classes) <= _ALWAYS_EXACT else point.most
        return cls(seen, order, budget, most, point.multiplier)

    @property
    def is_always_exact(self) -> bool:
        return len(self.classes) <= _ALWAYS_EXACT

    def discarded(self, counts: Counts) -> float:
        """Return the energy that counts discard, added up as `run` does."""
        return sum(float(c.tails[counts[d]]) for c, d in zip(self.classes, self.order, strict=True))

    def run(self, limit: float) -> tuple[Found[Counts] | None, bool]:
        """Return the best counts with penalties up to a limit; none if there are too many states."""
        rounding = _PENALTY_ROUNDING * self.multiplier * max(c.cost for c in self.classes)
        ceiling = limit * (1 + _LIMIT_MARGIN) + rounding
        states = States.none()
        for group in self.classes[:-1]:
            other = group.states(ceiling)
            if not self.is_always_exact and len(states) * len(other) > _MANY_STATES:
                return None, False
            states = states.combined(other, self.most, ceiling)
        return self._completed(states[states.count <= self.budget]), True

    def _completed(self, states: States) -> Found[Counts]:
        """Give every state as many values of the last class as fit, and return the best."""
        last = self.classes[-1]
        count = np.minimum((self.budget - states.count) // last.cost, len(last.tails) - 1)
        energy = states.energy + last.tails[count]
        k = int(np.argmin(energy))
        unspent = self.budget - int(states.count[k]) - last.cost * int(count[k])
        loss = float(states.penalty[k] + last.penalties[count[k]]) + self.multiplier * unspent
        chosen = np.append(states.chosen[k], count[k])[np.argsort(self.order)]
        return Found(chosen, float(energy[k]), loss)
