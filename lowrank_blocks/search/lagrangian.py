"""The best tree of cuts for one multiplier of a stored number, by dynamic programming bottom-up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.search.dyadic import COLS, ROWS, Cut, Floats, Pair, Place, Rectangles

Choices = dict[Pair, NDArray[np.int8]]

_ROUNDING = 1e-11  # how far rounding sets apart the energies of nested rectangles, and more


@dataclass(frozen=True)
class LeastValues:
    """Least ``energy + multiplier * n_parameters`` of all rectangles.

    Attributes
    ----------
    multiplier : float
        Energy that one stored number must save.
    leaf, value : dict of (int, int) to array
        Of the rectangles at each pair of levels: if left whole, and at best.
    cuts : dict of Cut to dict of (int, int) to array
        If cut along that axis first.
    """

    multiplier: float
    leaf: dict[Pair, Floats]
    value: dict[Pair, Floats]
    cuts: dict[Cut, dict[Pair, Floats]]

    @property
    def bound(self) -> float:
        """Least value of the whole matrix: no tree with any ranks has less."""
        return float(self.value[0, 0][0, 0])


@dataclass(frozen=True, eq=False)
class Tree:
    """The best tree of cuts at one multiplier: its leaves with their ranks.

    Attributes
    ----------
    multiplier : float
        Energy that one stored number must save.
    n_parameters : int
        Numbers stored.
    energy : float
        Energy discarded.
    bound : float
        ``energy + multiplier * n_parameters`` to rounding: no tree with any ranks has less.
    """

    multiplier: float
    n_parameters: int
    energy: float
    bound: float
    _rectangles: Rectangles
    _choices: Choices

    @cached_property
    def leaves(self) -> tuple[Place, ...]:
        """Disjoint rectangles (i, j, a, b) that cover the matrix: at levels i and j, rows a and columns b."""
        choices = {pair: choice.tolist() for pair, choice in self._choices.items()}
        leaves: list[Place] = []
        pending: list[Place] = [(0, 0, 0, 0)]
        while pending:
            place = pending.pop()
            i, j, a, b = place
            kind = choices[i, j][a][b]
            if kind:
                pending += reversed(self._rectangles.children(place, kind))
            else:
                leaves.append(place)
        return tuple(leaves)


def least_values(rectangles: Rectangles, multiplier: float) -> LeastValues:
    """Return the least values of all rectangles, from the smallest up.

    References
    ----------
    Donoho, "CART and best-ortho-basis: a connection", doi 10.1214/aos/1069362377;
    Coifman & Wickerhauser, "Entropy-based algorithms for best basis selection",
    doi 10.1109/18.119732.
    """
    leaf: dict[Pair, Floats] = {}
    value: dict[Pair, Floats] = {}
    cuts: dict[Cut, dict[Pair, Floats]] = {ROWS: {}, COLS: {}}
    for pair in sorted(rectangles.nodes, reverse=True):
        node = rectangles.nodes[pair]
        leaf[pair] = np.minimum(node.energies, multiplier * node.costs[..., None]).sum(axis=-1)
        for made in cuts.values():
            made[pair] = np.full_like(leaf[pair], np.inf)
        for kind, inner in rectangles.cuts(pair):
            cuts[kind][pair] = rectangles.summed(value[inner], pair, kind)
        value[pair] = np.minimum(leaf[pair], np.minimum(cuts[ROWS][pair], cuts[COLS][pair]))
    return LeastValues(multiplier, leaf, value, cuts)


def best_tree(rectangles: Rectangles, multiplier: float) -> Tree:
    """Return the tree of least ``energy + multiplier * n_parameters``.

    Ties, to rounding, go to the tree with fewer cuts, and to cuts across the rows.
    """
    least = least_values(rectangles, multiplier)
    choices = {pair: _choice(least, pair) for pair in least.value}
    count, energy = 0, 0.0
    for pair, whole in _leaves(rectangles, choices):
        node = rectangles.nodes[pair]
        costs = node.costs[whole]
        ranks = np.count_nonzero(node.energies[whole] > multiplier * costs[:, None], axis=-1)
        count += int(ranks @ costs)
        energy += float(np.take_along_axis(node.tails[whole], ranks[:, None], axis=-1).sum())
    return Tree(multiplier, count, energy, least.bound, rectangles, choices)


def _leaves(rectangles: Rectangles, choices: Choices) -> Iterator[tuple[Pair, NDArray[np.bool_]]]:
    """Yield which rectangles at a pair of levels are leaves of the tree, for the pairs that have some."""
    reached = {pair: np.zeros(choice.shape, np.bool_) for pair, choice in choices.items()}
    reached[0, 0][...] = True
    for pair in sorted(choices):
        here = np.where(reached[pair], choices[pair], -1)
        for kind, inner in rectangles.cuts(pair):
            if (cut := here == kind).any():
                reached[inner] |= rectangles.spread(cut, pair, kind)
        if (whole := here == 0).any():
            yield pair, whole


def _choice(least: LeastValues, pair: Pair) -> NDArray[np.int8]:
    """Return 0 where a rectangle is best left whole, else the axis to cut."""
    rows, cols, leaf = least.cuts[ROWS][pair], least.cuts[COLS][pair], least.leaf[pair]
    cut = np.minimum(rows, cols) < (1 - _ROUNDING) * leaf
    return np.where(cut, np.where(rows <= (1 + _ROUNDING) * cols, ROWS, COLS), 0).astype(np.int8)
