"""The best tree of cuts for one multiplier of a stored number, by dynamic programming bottom-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.search.dyadic import COLS, ROWS, Cut, Floats, Pair, Place, Rectangles

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


@dataclass(frozen=True)
class Tree:
    """The best tree of cuts at one multiplier: its leaves with their ranks.

    Attributes
    ----------
    multiplier : float
        Energy that one stored number must save.
    leaves : tuple of (i, j, a, b)
        Disjoint rectangles that cover the matrix: at levels i and j, the a-th rows and b-th columns.
    n_parameters : int
        Numbers stored.
    energy : float
        Energy discarded.
    bound : float
        ``energy + multiplier * n_parameters`` to rounding: no tree with any ranks has less.
    """

    multiplier: float
    leaves: tuple[Place, ...]
    n_parameters: int
    energy: float
    bound: float


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
    for i, j in sorted(rectangles.nodes, reverse=True):
        node = rectangles.nodes[i, j]
        leaf[i, j] = np.minimum(node.energies, multiplier * node.costs[..., None]).sum(axis=-1)
        for kind, inner, axis in ((ROWS, (i + 1, j), 0), (COLS, (i, j + 1), 1)):
            if inner in value:
                first = rectangles.first_children(i, j, kind)
                cuts[kind][i, j] = np.add.reduceat(value[inner], first, axis=axis)
            else:
                cuts[kind][i, j] = np.full_like(leaf[i, j], np.inf)
        value[i, j] = np.minimum(leaf[i, j], np.minimum(cuts[ROWS][i, j], cuts[COLS][i, j]))
    return LeastValues(multiplier, leaf, value, cuts)


def best_tree(rectangles: Rectangles, multiplier: float) -> Tree:
    """Return the tree of least ``energy + multiplier * n_parameters``.

    Ties, to rounding, go to the tree with fewer cuts, and to cuts across the rows.
    """
    least = least_values(rectangles, multiplier)
    choice = {pair: _choice(least, pair) for pair in least.value}
    leaves: list[Place] = []
    count, energy = 0, 0.0
    pending: list[Place] = [(0, 0, 0, 0)]
    while pending:
        place = pending.pop()
        i, j, a, b = place
        kind = int(choice[i, j][a, b])
        if kind:
            pending += reversed(rectangles.children(place, kind))
            continue
        node = rectangles.nodes[i, j]
        cost = int(node.costs[a, b])
        rank = int(np.count_nonzero(node.energies[a, b] > multiplier * cost))
        leaves.append(place)
        count += rank * cost
        energy += float(node.tails[a, b, rank])
    return Tree(multiplier, tuple(leaves), count, energy, least.bound)


def _choice(least: LeastValues, pair: Pair) -> NDArray[np.int8]:
    """Return 0 where a rectangle is best left whole, else the axis to cut."""
    rows, cols, leaf = least.cuts[ROWS][pair], least.cuts[COLS][pair], least.leaf[pair]
    cut = np.minimum(rows, cols) < (1 - _ROUNDING) * leaf
    return np.where(cut, np.where(rows <= (1 + _ROUNDING) * cols, ROWS, COLS), 0).astype(np.int8)
