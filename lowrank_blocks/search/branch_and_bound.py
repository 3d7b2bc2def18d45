"""The best tree at a budget between two prices: a search through trees of small penalty.

At a price, every tree within the budget discards::

    bound - price * budget + penalty + price * unspent

where the penalty, its ``energy + price * n_parameters`` less the bound, adds up over its parts: a cut
that is not the best one has a penalty, and so has a rank that is not. Trees whose penalty exceeds the
loss of a known answer cannot beat it, so a search through all others is exhaustive.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.search.dyadic import COLS, ROWS, Cut, Floats, Pair, Place, Rectangles
from lowrank_blocks.search.lagrangian import Priced, at_price

_MANY_STATES = 256  # of a rectangle; beyond, the poorest are dropped and nothing is proved
_MANY_RECTANGLES = 800  # beyond, there is no search
_ROUNDING = 1e-12  # of the bound: what rounding may add to a penalty


@dataclass(frozen=True)
class Refined:
    """What a search through trees of small penalty found.

    Attributes
    ----------
    leaves : tuple of (i, j, a, b) or None
        The best tree met, if there was any within the budget.
    energy : float
        Energy that it discards.
    exhaustive : bool
        Whether nothing within the budget discards less than it and the known answer.
    """

    leaves: tuple[Place, ...] | None
    energy: float
    exhaustive: bool


@dataclass(frozen=True)
class _States:
    """Trees of one rectangle worth keeping: numbers stored, energy, penalty, and how they are made."""

    count: NDArray[np.int64]
    energy: Floats
    penalty: Floats
    kind: NDArray[np.int64]  # 0 is a leaf, else the axis that is cut
    parts: NDArray[np.int64]  # which state of each child; of no meaning for a leaf

    def __getitem__(self, index: Any) -> _States:
        return _States(*(getattr(self, field.name)[index] for field in fields(self)))

    def __len__(self) -> int:
        return len(self.count)


def refine(rectangles: Rectangles, price: float, budget: int, loss: float) -> Refined:
    """Search through the trees that could beat a known answer at a budget.

    Parameters
    ----------
    rectangles : Rectangles
        The spectra of all rectangles.
    price : float
        The critical price of the budget.
    budget : int
        Most numbers that may be stored.
    loss : float
        Energy of the known answer above ``bound - price * budget``.
    """
    priced = at_price(rectangles, price)
    outside = _outside(rectangles, priced)
    best: tuple[Place, ...] | None = None
    least, limit = np.inf, loss / 64
    while True:
        limit = min(limit, loss)
        search = _Search(rectangles, priced, outside, budget, limit)
        leaves, energy = search.run()
        if energy < least:
            best, least = leaves, energy
            loss = min(loss, energy - (priced.bound - price * budget))
        if limit >= loss or search.dropped:
            return Refined(best, least, not search.dropped)
        limit *= 8


class _Search:
    """One pass over the rectangles that trees with penalties up to a limit can hold."""

    def __init__(
        self,
        rectangles: Rectangles,
        priced: Priced,
        outside: dict[Pair, Floats],
        budget: int,
        limit: float,
    ) -> None:
        self.rectangles, self.priced, self.outside, self.budget = rectangles, priced, outside, budget
        self.limit = limit + _ROUNDING * priced.bound
        self.kept: dict[Place, _States] = {}
        self.dropped = False

    def run(self) -> tuple[tuple[Place, ...] | None, float]:
        """Return the leaves of the best tree within the budget, if any, and their energy."""
        if sum(int((out <= self.limit).sum()) for out in self.outside.values()) > _MANY_RECTANGLES:
            self.dropped = True
            return None, np.inf
        states = self._states((0, 0, 0, 0))
        if not len(states):
            return None, np.inf
        k = int(np.argmin(states.energy))
        return tuple(self._leaves((0, 0, 0, 0), k)), float(states.energy[k])

    def _states(self, place: Place) -> _States:
        if place not in self.kept:
            self.kept[place] = self._made(place)
        return self.kept[place]

    def _made(self, place: Place) -> _States:
        i, j, a, b = place
        room = self.limit - self.outside[i, j][a, b]
        value = self.priced.value[i, j][a, b]
        made = [self._leaf_states(place, value, room)]
        for kind, cuts in self.priced.cuts.items():
            if cuts[i, j][a, b] - value <= room:
                made.append(self._cut_states(place, kind, value, room))
        return self._worth_keeping(made)

    def _leaf_states(self, place: Place, value: float, room: float) -> _States:
        i, j, a, b = place
        node = self.rectangles.nodes[i, j]
        useful = 1 + int(np.count_nonzero(node.energies[a, b]))
        count = np.arange(useful) * int(node.costs[a, b])
        energy = node.tails[a, b, :useful]
        penalty = energy + self.priced.price * count - value
        fits = (penalty <= room) & (count <= self.budget)
        kind = np.zeros(int(fits.sum()), dtype=np.int64)
        return _States(count[fits], energy[fits], penalty[fits], kind, kind[:, None])

    def _cut_states(self, place: Place, kind: Cut, value: float, room: float) -> _States:
        first, *others = (self._states(child) for child in self.rectangles.children(place, kind))
        count, energy, penalty = first.count, first.energy, first.penalty
        parts = np.arange(len(first))[:, None]
        for other in others:
            sums = penalty[:, None] + other.penalty
            old, new = np.nonzero((count[:, None] + other.count <= self.budget) & (sums <= room))
            count, energy = count[old] + other.count[new], energy[old] + other.energy[new]
            penalty, parts = sums[old, new], np.column_stack([parts[old], new])
        penalty = energy + self.priced.price * count - value
        cut = _States(count, energy, penalty, np.full(len(count), kind), parts)
        return cut[penalty <= room]

    def _worth_keeping(self, made: list[_States]) -> _States:
        width = max(s.parts.shape[1] for s in made)
        wide = [replace(s, parts=np.pad(s.parts, ((0, 0), (0, width - s.parts.shape[1])))) for s in made]
        states = _States(*(np.concatenate([getattr(s, f.name) for s in wide]) for f in fields(_States)))
        states = states[np.lexsort((states.energy, states.count))]
        if len(states):
            lowest = np.minimum.accumulate(states.energy)
            states = states[np.append(True, states.energy[1:] < lowest[:-1])]
        if len(states) > _MANY_STATES:
            self.dropped = True
            states = states[np.sort(np.argsort(states.penalty, kind="stable")[:_MANY_STATES])]
        return states

    def _leaves(self, place: Place, k: int) -> list[Place]:
        states = self.kept[place]
        kind = int(states.kind[k])
        if kind == 0:
            return [place]
        children = self.rectangles.children(place, kind)
        parts = zip(children, states.parts[k].tolist(), strict=False)
        return [leaf for child, part in parts for leaf in self._leaves(child, part)]


def _outside(rectangles: Rectangles, priced: Priced) -> dict[Pair, Floats]:
    """Return the least penalty that any tree with a given rectangle in it has outside of it."""
    outside = {pair: np.full_like(value, np.inf) for pair, value in priced.value.items()}
    outside[0, 0][:] = 0.0
    for (i, j), value in sorted(priced.value.items()):
        for kind, inner, axis in ((ROWS, (i + 1, j), 0), (COLS, (i, j + 1), 1)):
            if inner in outside:
                through = outside[i, j] + (priced.cuts[kind][i, j] - value)
                first = [*rectangles.first_children(i, j, kind), outside[inner].shape[axis]]
                spread = np.repeat(through, np.diff(first), axis=axis)
                outside[inner] = np.minimum(outside[inner], spread)
    return outside
