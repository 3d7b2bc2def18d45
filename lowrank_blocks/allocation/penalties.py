"""Exact searches with a Lagrangian bound: states with penalties, widened limits, the Pareto prune.

At a multiplier, every choice within a budget discards::

    bound - multiplier * budget + penalty + multiplier * unspent

The penalty of a choice is its ``energy + multiplier * count`` less the bound. It adds up over the parts
of the choice, and all three terms are non-negative. A choice whose penalty exceeds the loss of a known
answer cannot beat that answer, so a search through all other choices is exhaustive.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Answer = TypeVar("Answer")

_SLAB = 1 << 21  # states made at a time


@dataclass(frozen=True)
class States:
    """Choices for some of the parts: numbers stored, energy discarded, penalty, and what was chosen.

    Attributes
    ----------
    count : (k,) array of int
        Numbers stored.
    energy, penalty : (k,) arrays
        Energy discarded, and penalty.
    chosen : (k, parts) array of int
        What was chosen for every part.
    """

    count: Counts
    energy: Floats
    penalty: Floats
    chosen: Counts

    def __getitem__(self, index: Any) -> States:
        return States(self.count[index], self.energy[index], self.penalty[index], self.chosen[index])

    def __len__(self) -> int:
        return len(self.count)

    @classmethod
    def none(cls) -> States:
        """Return the one choice for no parts at all."""
        zero = np.zeros(1)
        return cls(np.zeros(1, dtype=np.int64), zero, zero, np.zeros((1, 0), dtype=np.int64))

    @classmethod
    def joined(cls, states: Sequence[States]) -> States:
        """Return the undominated among several sets of choices for the same parts."""
        if len(states) == 1:
            return states[0]
        fields = ("count", "energy", "penalty", "chosen")
        return cls(*(np.concatenate([getattr(s, f) for s in states]) for f in fields)).undominated()

    def undominated(self) -> States:
        """Return the states that discard less than every state of no greater count, by count."""
        return self[undominated(self.count, self.energy)]

    def combined(self, other: States, most: int, limit: float) -> States:
        """Combine every choice with every one of `other`, and drop what cannot win.

        Parameters
        ----------
        other : States
            Choices for other parts.
        most : int
            Most numbers that may be stored.
        limit : float
            Greatest penalty that is kept.
        """
        step = max(1, _SLAB // max(1, len(other)))
        slabs = [self[i : i + step]._product(other, most, limit) for i in range(0, len(self), step)]
        return States.joined(slabs) if slabs else self._product(other, most, limit)

    def _product(self, other: States, most: int, limit: float) -> States:
        count = self.count[:, None] + other.count
        penalty = self.penalty[:, None] + other.penalty
        mine, its = np.nonzero((count <= most) & (penalty <= limit))
        return States(
            count[mine, its],
            self.energy[mine] + other.energy[its],
            penalty[mine, its],
            np.column_stack([self.chosen[mine], other.chosen[its]]),
        ).undominated()


def undominated(counts: Counts, values: Floats) -> NDArray[np.intp]:
    """Return the indices of the points of less value than every point of no greater count, by count."""
    order = np.lexsort((values, counts))
    lowest = np.minimum.accumulate(values[order])
    keep = np.ones(len(order), dtype=bool)
    keep[1:] = values[order][1:] < lowest[:-1]
    return order[keep]


def combine_all(parts: Sequence[States], most: int, limit: float) -> States:
    """Return the combined choices for all parts, one part after another."""
    return reduce(lambda left, right: left.combined(right, most, limit), parts)


@dataclass(frozen=True)
class Found(Generic[Answer]):
    """An answer, the energy that it discards, and its loss: how far that is above the bound."""

    answer: Answer
    energy: float
    loss: float


def widened(
    search: Callable[[float], tuple[Found[Answer] | None, bool]],
    known: Found[Answer],
    limit: float,
    *,
    factor: int = 8,
    capped: bool = True,
) -> tuple[Found[Answer], bool]:
    """Search with greater and greater limits on the penalty, until the limit covers the best loss.

    Parameters
    ----------
    search : callable
        Takes a limit; returns the best answer with penalties up to it, if any, and whether all of
        them were looked at.
    known : Found
        An answer to beat.
    limit : float
        The first limit.
    factor : int, optional
        By which it grows.
    capped : bool, optional
        Whether no limit exceeds the best loss, which makes fewer states.

    Returns
    -------
    (Found, bool)
        The best answer, and whether it is proved that none is better.
    """
    best = known
    while best.loss > 0:
        limit = min(limit, best.loss) if capped else limit
        found, complete = search(limit)
        if found is not None and found.energy < best.energy:
            best = found
        if not complete or limit >= best.loss:
            return best, complete
        limit *= factor
    return best, True
