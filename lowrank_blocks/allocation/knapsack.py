"""The exact choice of how many values to keep from each cost class within a budget.

Every class holds energies in descending order, all of one cost, so that an answer is one count a
class. Let ``rate`` be the energy per unit of cost at which buying in order of energy/cost stops
(the break point). Departing from the break point by taking a poorer value or leaving a richer one
has a *penalty* against the Lagrangian bound, and so has budget left unspent::

    discarded energy = bound + sum of penalties + rate * unspent

All three terms are non-negative, hence a search through the counts whose penalties stay below the
loss of the best answer known is exhaustive. It starts with a small limit and widens it until the
limit covers the best loss found, which proves the answer optimal.

With more than three classes the search may have to be given up. It then passes through the same
states for all budgets with one break point, so that a larger budget never has the worse answer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Energies = NDArray[np.float64]
Counts = NDArray[np.int64]

_SLAB = 1 << 21  # states made at a time
_ALWAYS_EXACT = 3  # classes with which the search is never given up
_MANY_STATES = 1 << 21  # beyond this, with more classes, the best answer found so far stands
_ROUNDING = 1e-14  # of the sums behind a bound


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


@dataclass(frozen=True)
class _BreakPoint:
    """Where buying in order of energy/cost stops; one for all budgets from `spent` to `most`."""

    counts: Counts
    spent: int
    most: int
    rate: float


@dataclass(frozen=True)
class _Class:
    """One cost class seen from the break point: counts near it and their penalties."""

    cost: int
    tails: Energies
    penalties: Energies
    near: slice


@dataclass(frozen=True)
class _States:
    """Partial answers: counts of the classes seen so far, with their weight, tail and penalty."""

    counts: Counts
    weight: Counts
    tail: Energies
    penalty: Energies

    def __getitem__(self, index: NDArray[np.bool_] | Counts | slice) -> _States:
        return _States(self.counts[index], self.weight[index], self.tail[index], self.penalty[index])

    def __len__(self) -> int:
        return len(self.weight)


def best_counts(classes: Sequence[Energies], costs: Sequence[int], budget: int) -> Choice:
    """Choose counts that discard the least energy within a budget.

    Exact for up to three classes, whatever the budget; for more, exact unless the search would
    pass through too many states, when the best answer found stands, unproved.

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
    counts, unspent = point.counts, budget - point.spent
    seen = [
        _view(e, c, int(k), point.rate, max(costs)) for e, c, k in zip(classes, costs, counts, strict=True)
    ]
    best = _discarded(seen, counts)
    loss = point.rate * unspent
    never_given_up = len(classes) <= _ALWAYS_EXACT
    most = budget if never_given_up else point.most
    limit = point.rate * (most - point.spent) / 64
    while loss > 0:
        limit = min(limit, loss) if never_given_up else limit
        found = _search(seen, budget, most, point.rate, limit)
        if found is None:
            return Choice(counts, best, proved=False)
        if found[1] < best:
            counts, best, loss = found
        if limit >= loss:
            break
        limit *= 8 if never_given_up else 2
    return Choice(counts, best, proved=True)


def dual_bound(classes: Sequence[Energies], costs: Sequence[int], budget: int) -> float:
    """Return a lower bound on the energy that any counts within a budget discard (weak duality).

    It is the one at the best price, for as many numbers as counts can store, less what rounding may add.
    """
    usable = budget - budget % math.gcd(*costs)
    point = _break_point(classes, costs, usable)
    left = sum(float(e[k:].sum()) for e, k in zip(classes, point.counts, strict=True))
    return max(0.0, left - point.rate * (usable - point.spent) - _ROUNDING * left)


def _break_point(classes: Sequence[Energies], costs: Sequence[int], budget: int) -> _BreakPoint:
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


def _view(energies: Energies, cost: int, count: int, rate: float, largest_cost: int) -> _Class:
    tails = np.zeros(len(energies) + 1)
    tails[:-1] = np.cumsum(energies[::-1])[::-1]
    surplus = np.abs(energies - rate * cost)
    penalties = np.zeros(len(energies) + 1)
    penalties[count + 1 :] = np.cumsum(surplus[count:])
    penalties[:count] = np.cumsum(surplus[:count][::-1])[::-1]
    # Some optimum differs from the break point by fewer than 4 * largest_cost values: among more,
    # two partial sums of their costs agree and the exchange between them can be undone at no loss.
    reach = 4 * largest_cost
    return _Class(cost, tails, penalties, slice(max(0, count - reach), count + reach + 1))


def _search(
    classes: Sequence[_Class], budget: int, most: int, rate: float, limit: float
) -> tuple[Counts, float, float] | None:
    """Return the best counts with penalties up to `limit`, their discarded energy and their loss.

    The states are those for a budget of `most`; None says that there are too many of them.
    """
    order = _by_length(classes)
    *first, last = (classes[d] for d in order)
    ceiling = limit * (1 + 1e-9) + 1e-11 * rate * max(c.cost for c in classes)  # rounding of penalties
    zero = np.zeros(1)
    states = _States(np.zeros((1, 0), dtype=np.int64), np.zeros(1, dtype=np.int64), zero, zero)
    for group in first:
        kept = np.arange(len(group.tails))[group.near]
        kept = kept[group.penalties[group.near] <= ceiling]
        if len(classes) > _ALWAYS_EXACT and len(states) * len(kept) > _MANY_STATES:
            return None
        states = _extend(states, group, kept, most, ceiling)
    states = states[states.weight <= budget]
    count = np.minimum((budget - states.weight) // last.cost, len(last.tails) - 1)
    discarded = states.tail + last.tails[count]
    k = int(np.argmin(discarded))
    unspent = budget - int(states.weight[k]) - last.cost * int(count[k])
    loss = float(states.penalty[k] + last.penalties[count[k]]) + rate * unspent
    return np.append(states.counts[k], count[k])[np.argsort(order)], float(discarded[k]), loss


def _by_length(classes: Sequence[_Class]) -> list[int]:
    return sorted(range(len(classes)), key=lambda d: len(classes[d].tails))


def _discarded(classes: Sequence[_Class], counts: Counts) -> float:
    """Return the energy that counts discard, added up as the search does."""
    return sum(float(classes[d].tails[counts[d]]) for d in _by_length(classes))


def _extend(states: _States, group: _Class, kept: Counts, budget: int, ceiling: float) -> _States:
    """Combine every state with every count of one more class; drop what cannot win."""
    step = max(1, _SLAB // len(kept))
    slabs = [
        _extend_slab(states[i : i + step], group, kept, budget, ceiling) for i in range(0, len(states), step)
    ]
    if len(slabs) == 1:
        return slabs[0]
    return _undominated(
        _States(
            np.concatenate([s.counts for s in slabs]),
            np.concatenate([s.weight for s in slabs]),
            np.concatenate([s.tail for s in slabs]),
            np.concatenate([s.penalty for s in slabs]),
        )
    )


def _extend_slab(states: _States, group: _Class, kept: Counts, budget: int, ceiling: float) -> _States:
    weight = states.weight[:, None] + group.cost * kept
    penalty = states.penalty[:, None] + group.penalties[kept]
    old, new = np.nonzero((weight <= budget) & (penalty <= ceiling))
    return _undominated(
        _States(
            np.column_stack([states.counts[old], kept[new]]),
            weight[old, new],
            states.tail[old] + group.tails[kept[new]],
            penalty[old, new],
        )
    )


def _undominated(states: _States) -> _States:
    """Keep the states that discard less than every state of no more weight."""
    states = states[np.lexsort((states.tail, states.weight))]
    lowest = np.minimum.accumulate(states.tail)
    return states[np.append(True, states.tail[1:] < lowest[:-1])]
