"""The best tree at a budget between two multipliers: a search through trees of small penalty.

A cut other than the best one has a penalty, and so has a rank other than the best. `allocation.penalties`
explains why no tree of larger penalty can be better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from lowrank_blocks.allocation.penalties import Found, States, combine_all, widened
from lowrank_blocks.search.dyadic import Cut, Floats, Pair, Place, Rectangles
from lowrank_blocks.search.lagrangian import LeastValues, least_values

Leaves = tuple[Place, ...]

_WHOLE: Cut = 0
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

    leaves: Leaves | None
    energy: float
    exhaustive: bool


def refine(rectangles: Rectangles, multiplier: float, budget: int, loss: float) -> Refined:
    """Search through the trees that could beat a known answer at a budget.

    Parameters
    ----------
    rectangles : Rectangles
        The spectra of all rectangles.
    multiplier : float
        The critical multiplier of the budget.
    budget : int
        Most numbers that may be stored.
    loss : float
        Energy of the known answer above ``bound - multiplier * budget``.
    """
    least = least_values(rectangles, multiplier)
    search = _Search(rectangles, least, _outside(rectangles, least), budget)
    nothing: Found[Leaves | None] = Found(None, math.inf, loss)
    best, exhaustive = widened(search.run, nothing, loss / 64)
    return Refined(best.answer, best.energy, exhaustive)


class _Search:
    """Passes over the rectangles that trees with penalties up to a limit can hold."""

    def __init__(
        self, rectangles: Rectangles, least: LeastValues, outside: dict[Pair, Floats], budget: int
    ) -> None:
        self.rectangles, self.least, self.outside, self.budget = rectangles, least, outside, budget
        self.kept: dict[Place, States] = {}
        self.limit, self.dropped = 0.0, False

    def run(self, limit: float) -> tuple[Found[Leaves | None] | None, bool]:
        """Return the best tree within the budget, if any, and whether no tree was dropped."""
        self.kept, self.dropped = {}, False
        self.limit = limit + _ROUNDING * self.least.bound
        if sum(int((out <= self.limit).sum()) for out in self.outside.values()) > _MANY_RECTANGLES:
            return None, False
        root: Place = (0, 0, 0, 0)
        energy = self._states(root).energy
        if not len(energy):
            return None, not self.dropped
        k = int(np.argmin(energy))
        loss = float(energy[k]) - (self.least.bound - self.least.multiplier * self.budget)
        return Found(tuple(self._leaves(root, k)), float(energy[k]), loss), not self.dropped

    def _states(self, place: Place) -> States:
        """Return trees of one rectangle worth keeping; `chosen` is the cut, then a state of every child."""
        if place not in self.kept:
            self.kept[place] = self._made(place)
        return self.kept[place]

    def _made(self, place: Place) -> States:
        i, j, a, b = place
        room = self.limit - self.outside[i, j][a, b]
        value = self.least.value[i, j][a, b]
        made = {_WHOLE: self._whole(place, value, room)}
        for cut, values in self.least.cuts.items():
            if values[i, j][a, b] - value <= room:
                made[cut] = self._cut(place, cut, value, room)
        width = max(states.chosen.shape[1] for states in made.values())
        states = States.joined([_labelled(states, cut, width) for cut, states in made.items()])
        if len(states) > _MANY_STATES:
            self.dropped = True
            states = states[np.sort(np.argsort(states.penalty, kind="stable")[:_MANY_STATES])]
        return states

    def _whole(self, place: Place, value: float, room: float) -> States:
        i, j, a, b = place
        node = self.rectangles.nodes[i, j]
        useful = 1 + int(np.count_nonzero(node.energies[a, b]))
        count = np.arange(useful) * int(node.costs[a, b])
        energy = node.tails[a, b, :useful]
        penalty = energy + self.least.multiplier * count - value
        states = States(count, energy, penalty, np.zeros((useful, 0), dtype=np.int64))
        return states[(penalty <= room) & (count <= self.budget)]

    def _cut(self, place: Place, cut: Cut, value: float, room: float) -> States:
        children = [self._states(child) for child in self.rectangles.children(place, cut)]
        numbered = [replace(states, chosen=np.arange(len(states))[:, None]) for states in children]
        states = combine_all(numbered, self.budget, room)
        penalty = states.energy + self.least.multiplier * states.count - value
        return replace(states, penalty=penalty)[penalty <= room]

    def _leaves(self, place: Place, k: int) -> list[Place]:
        cut, *parts = self.kept[place].chosen[k].tolist()
        if cut == _WHOLE:
            return [place]
        children = zip(self.rectangles.children(place, cut), parts, strict=False)
        return [leaf for child, part in children for leaf in self._leaves(child, part)]


def _labelled(states: States, cut: Cut, width: int) -> States:
    """Put the cut before what was chosen, and fill the rows up to a width."""
    chosen = np.zeros((len(states), 1 + width), dtype=np.int64)
    chosen[:, 0] = cut
    chosen[:, 1 : 1 + states.chosen.shape[1]] = states.chosen
    return replace(states, chosen=chosen)


def _outside(rectangles: Rectangles, least: LeastValues) -> dict[Pair, Floats]:
    """Return the least penalty that any tree with a given rectangle in it has outside of it."""
    outside = {pair: np.full_like(value, np.inf) for pair, value in least.value.items()}
    outside[0, 0][:] = 0.0
    for pair, value in sorted(least.value.items()):
        for kind, inner in rectangles.cuts(pair):
            through = outside[pair] + (least.cuts[kind][pair] - value)
            outside[inner] = np.minimum(outside[inner], rectangles.spread(through, pair, kind))
    return outside
