"""Nested cuts of both axes, and the spectra of all rectangles between them.

Level i of an axis is a tuple of edges; every level refines the one before. A rectangle is an
interval of the rows at one level times an interval of the columns at another.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.allocation.ledger import Ledger
from lowrank_blocks.allocation.offers import Offer
from lowrank_blocks.linalg import BlockSpectra, Ragged, tail_energy
from lowrank_blocks.structures.cells import Block

Edges = tuple[int, ...]
Floats = NDArray[np.float64]
Pair = tuple[int, int]
Place = tuple[int, int, int, int]

Value = TypeVar("Value", np.float64, np.bool_)

Cut = int
ROWS: Cut = 1
COLS: Cut = 2
_AXES = {ROWS: 0, COLS: 1}


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


class Rectangles:
    """The spectra of all rectangles of nested cuts.

    Parameters
    ----------
    rows, cols : sequence of edges
        Levels of both axes, as from `halvings`.
    spectra : dict of (int, int) to BlockSpectra
        Of the blocks of the grid at each pair of levels, row by row.
    """

    def __init__(
        self, rows: Sequence[Edges], cols: Sequence[Edges], spectra: dict[Pair, BlockSpectra]
    ) -> None:
        self.rows, self.cols = list(rows), list(cols)
        self.spectra = spectra
        self.nodes = {
            (i, j): _node(self.rows[i], self.cols[j], found.values) for (i, j), found in spectra.items()
        }
        self._firsts = {ROWS: _first_children(self.rows), COLS: _first_children(self.cols)}

    @property
    def energy(self) -> float:
        """Squared norm of the matrix."""
        return float(self.nodes[0, 0].tails[0, 0, 0])

    @property
    def least_cost(self) -> int:
        """Numbers stored by one unit of rank of the smallest rectangle."""
        return int(min(node.costs.min() for node in self.nodes.values()))

    def spectra_of(self, places: Sequence[Place]) -> BlockSpectra:
        """Return the spectra of some rectangles, as they were computed."""
        alike: dict[Pair, list[int]] = {}
        for k, (i, j, _, _) in enumerate(places):
            alike.setdefault((i, j), []).append(k)
        return BlockSpectra.gathered(
            [
                (
                    np.array(group),
                    self.spectra[pair].chosen(np.array([self._index(places[k]) for k in group])),
                )
                for pair, group in alike.items()
            ]
        )

    def ledger(self, places: Sequence[Place], outside: float = 0.0) -> Ledger:
        """Return the ledger of disjoint rectangles with some energy outside of them."""
        costs = np.array([self.nodes[i, j].costs[a, b] for i, j, a, b in places], dtype=np.int64)
        return Ledger(Offer.made(self.spectra_of(places).values, costs), outside)

    def _index(self, place: Place) -> int:
        _, j, a, b = place
        return a * (len(self.cols[j]) - 1) + b

    def block(self, place: Place) -> Block:
        """Return where a rectangle lies."""
        i, j, a, b = place
        rows, cols = self.rows[i], self.cols[j]
        return Block(slice(rows[a], rows[a + 1]), slice(cols[b], cols[b + 1]))

    def grid_ledger(self, i: int, j: int) -> Ledger:
        """Return the ledger of all rectangles at a pair of levels, row by row."""
        costs = self.nodes[i, j].costs.ravel().astype(np.int64)
        return Ledger(Offer.made(self.spectra[i, j].values, costs), 0.0)

    def grid(self, i: int, j: int) -> list[Place]:
        """Return all rectangles at a pair of levels, row by row."""
        return [(i, j, a, b) for a in range(len(self.rows[i]) - 1) for b in range(len(self.cols[j]) - 1)]

    def children(self, place: Place, kind: Cut) -> list[Place]:
        """Return the rectangles that a cut makes of one, first to last."""
        i, j, a, b = place
        if kind == ROWS:
            first, last = self._firsts[ROWS][i][a : a + 2]
            return [(i + 1, j, child, b) for child in range(first, last)]
        first, last = self._firsts[COLS][j][b : b + 2]
        return [(i, j + 1, a, child) for child in range(first, last)]

    def cuts(self, pair: Pair) -> Iterator[tuple[Cut, Pair]]:
        """Yield the cuts of the rectangles at a pair of levels, each with the levels of the children."""
        i, j = pair
        for kind, inner in ((ROWS, (i + 1, j)), (COLS, (i, j + 1))):
            if inner in self.nodes:
                yield kind, inner

    def summed(self, values: Floats, pair: Pair, kind: Cut) -> Floats:
        """Return for all rectangles at a pair of levels the sum of the values of the children of a cut."""
        axis = _AXES[kind]
        return np.add.reduceat(values, self._firsts[kind][pair[axis]][:-1], axis=axis)

    def spread(self, values: NDArray[Value], pair: Pair, kind: Cut) -> NDArray[Value]:
        """Return for the children of a cut the values of the rectangles at a pair of levels."""
        axis = _AXES[kind]
        return np.repeat(values, np.diff(self._firsts[kind][pair[axis]]), axis=axis)


def _first_children(levels: Sequence[Edges]) -> list[list[int]]:
    """Return where the children of every interval of every level begin, and where the last ends."""
    return [[bisect_left(inner, edge) for edge in outer] for outer, inner in pairwise(levels)]


def _node(rows: Edges, cols: Edges, values: Ragged) -> Node:
    costs = (np.diff(rows)[:, None] + np.diff(cols)).astype(np.float64)
    table = values.padded().reshape(*costs.shape, -1)
    return Node(np.square(table), tail_energy(table), costs)
