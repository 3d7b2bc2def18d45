"""Nested cuts of both axes, and the best tree of cuts for one price of a stored number.

Level i of an axis is a tuple of edges; every level refines the one before. A rectangle is an
interval of the rows at one level times an interval of the columns at another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.partition import Block
from lowrank_blocks.spectra import Spectrum, tail_energy

Edges = tuple[int, ...]
Floats = NDArray[np.float64]
Pair = tuple[int, int]
Place = tuple[int, int, int, int]

_SUMS = 1e-11  # how far rounding sets apart the energies of nested rectangles, and more


def halvings(edges: Edges, max_depth: int, min_block: int) -> list[Edges]:
    """Return the levels of an axis: the whole, the given parts, and their halves of halves.

    The j-th halving of a part [a, b) cuts at ``a + i * (b - a) // 2**j``. Halving stops at
    `max_depth`, and before any part would be shorter than `min_block`.
    """
    levels: list[Edges] = [(0, edges[-1])] if len(edges) > 2 else []
    for depth in range(max_depth + 1):
        cuts = [a + i * (b - a) // 2**depth for a, b in pairwise(edges) for i in range(2**depth)]
        level = (*cuts, edges[-1])
        if depth and min(b - a for a, b in pairwise(level)) < min_block:
            break
        levels.append(level)
    return levels


@dataclass(frozen=True)
class Node:
    """All rectangles at one pair of levels: energies of their singular values, and their costs.

    Attributes
    ----------
    energies : (rows, cols, k) array
        Squared singular values, descending, padded with zeros.
    tails : (rows, cols, k + 1) array
        Energy left by every truncation.
    costs : (rows, cols) array
        Numbers stored for one unit of rank.
    """

    energies: Floats
    tails: Floats
    costs: Floats


@dataclass(frozen=True)
class Tree:
    """The best tree of cuts at one price: its leaves with their ranks.

    Attributes
    ----------
    price : float
        Energy that one stored number must save.
    leaves : tuple of (i, j, a, b)
        Disjoint rectangles that cover the matrix: at levels i and j, the a-th rows and b-th columns.
    n_parameters : int
        Numbers stored.
    energy : float
        Energy discarded.
    bound : float
        ``energy + price * n_parameters`` to rounding: no tree with any ranks has less.
    """

    price: float
    leaves: tuple[Place, ...]
    n_parameters: int
    energy: float
    bound: float


class Rectangles:
    """The spectra of all rectangles of nested cuts, and the best tree of cuts for any price.

    Parameters
    ----------
    rows, cols : sequence of edges
        Levels of both axes, as from `halvings`.
    spectra : dict of (int, int) to list of arrays
        Singular values of the blocks of the grid at each pair of levels, row by row.
    """

    def __init__(
        self, rows: Sequence[Edges], cols: Sequence[Edges], spectra: dict[Pair, list[Spectrum]]
    ) -> None:
        self.rows, self.cols = list(rows), list(cols)
        self.spectra = spectra
        self.nodes = {(i, j): _node(self.rows[i], self.cols[j], found) for (i, j), found in spectra.items()}

    @property
    def energy(self) -> float:
        """Squared norm of the matrix."""
        return float(self.nodes[0, 0].tails[0, 0, 0])

    def spectrum(self, place: Place) -> Spectrum:
        """Return the singular values of one rectangle."""
        i, j, a, b = place
        return self.spectra[i, j][a * (len(self.cols[j]) - 1) + b]

    def block(self, place: Place) -> Block:
        """Return where a rectangle lies."""
        i, j, a, b = place
        rows, cols = self.rows[i], self.cols[j]
        return Block(slice(rows[a], rows[a + 1]), slice(cols[b], cols[b + 1]))

    def grid(self, i: int, j: int) -> list[Place]:
        """Return all rectangles at a pair of levels, row by row."""
        return [(i, j, a, b) for a in range(len(self.rows[i]) - 1) for b in range(len(self.cols[j]) - 1)]

    def best_tree(self, price: float) -> Tree:
        """Return the tree of least ``energy + price * n_parameters``, by dynamic programming bottom-up.

        Ties go to the tree with fewer cuts, and to cuts across the rows.

        References
        ----------
        Donoho, "CART and best-ortho-basis: a connection", doi 10.1214/aos/1069362377;
        Coifman & Wickerhauser, "Entropy-based algorithms for best basis selection",
        doi 10.1109/18.119732.
        """
        value: dict[Pair, Floats] = {}
        choice: dict[Pair, NDArray[np.int8]] = {}
        for i in reversed(range(len(self.rows))):
            for j in reversed(range(len(self.cols))):
                leaf = self.leaf_values(i, j, price)
                options = [leaf, self._cut_rows(value, i, j, leaf), self._cut_cols(value, i, j, leaf)]
                best = np.minimum(options[1], options[2])
                # A cut must gain more than rounding, or noise would cut every leaf.
                cut = best < (1 - _SUMS) * leaf
                choice[i, j] = np.where(cut, np.where(options[1] <= options[2], 1, 2), 0).astype(np.int8)
                value[i, j] = np.minimum(best, leaf)
        return self._read_tree(choice, price, float(value[0, 0][0, 0]))

    def leaf_values(self, i: int, j: int, price: float) -> Floats:
        """Return ``sum(min(sigma**2, price * cost))`` of every rectangle at a pair of levels."""
        node = self.nodes[i, j]
        return np.asarray(np.minimum(node.energies, price * node.costs[..., None]).sum(axis=-1))

    def _cut_rows(self, value: dict[Pair, Floats], i: int, j: int, leaf: Floats) -> Floats:
        if i + 1 == len(self.rows):
            return np.full_like(leaf, np.inf)
        return np.add.reduceat(value[i + 1, j], _first_children(self.rows[i], self.rows[i + 1]), axis=0)

    def _cut_cols(self, value: dict[Pair, Floats], i: int, j: int, leaf: Floats) -> Floats:
        if j + 1 == len(self.cols):
            return np.full_like(leaf, np.inf)
        return np.add.reduceat(value[i, j + 1], _first_children(self.cols[j], self.cols[j + 1]), axis=1)

    def _read_tree(self, choice: dict[Pair, NDArray[np.int8]], price: float, bound: float) -> Tree:
        leaves: list[Place] = []
        count, energy = 0, 0.0
        pending = [(0, 0, 0, 0)]
        while pending:
            i, j, a, b = pending.pop()
            kind = choice[i, j][a, b]
            if kind == 1:
                children = _children(self.rows[i], self.rows[i + 1], a)
                pending += [(i + 1, j, child, b) for child in reversed(children)]
            elif kind == 2:
                children = _children(self.cols[j], self.cols[j + 1], b)
                pending += [(i, j + 1, a, child) for child in reversed(children)]
            else:
                node = self.nodes[i, j]
                cost = int(node.costs[a, b])
                rank = int(np.count_nonzero(node.energies[a, b] > price * cost))
                leaves.append((i, j, a, b))
                count += rank * cost
                energy += float(node.tails[a, b, rank])
        return Tree(price, tuple(leaves), count, energy, bound)


def _node(rows: Edges, cols: Edges, spectra: Sequence[Spectrum]) -> Node:
    heights, widths = np.diff(rows), np.diff(cols)
    longest = max(map(len, spectra))
    padded = np.zeros((len(spectra), longest))
    tails = np.zeros((len(spectra), longest + 1))
    for k, spectrum in enumerate(spectra):
        padded[k, : len(spectrum)] = np.square(spectrum)
        tails[k, : len(spectrum) + 1] = tail_energy(spectrum)
    grid = (len(heights), len(widths))
    costs = (heights[:, None] + widths).astype(np.float64)
    return Node(padded.reshape(*grid, -1), tails.reshape(*grid, -1), costs)


def _first_children(parents: Edges, children: Edges) -> list[int]:
    position = {edge: k for k, edge in enumerate(children)}
    return [position[edge] for edge in parents[:-1]]


def _children(parents: Edges, children: Edges, k: int) -> range:
    position = {edge: n for n, edge in enumerate(children)}
    return range(position[parents[k]], position[parents[k + 1]])
