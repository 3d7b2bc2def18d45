"""Candidates for the best partition: their spectra, the critical price, the best of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from lowrank_blocks._validation import Matrix, as_count
from lowrank_blocks.approximation import TIE
from lowrank_blocks.budgets import block_cost
from lowrank_blocks.dyadic import Edges, Place, Rectangles, Tree, halvings
from lowrank_blocks.partition import Axis, as_axis, axis_edges
from lowrank_blocks.ranks import best_ranks
from lowrank_blocks.spectra import common_exponent, singular_values, tail_energy
from lowrank_blocks.structures import DiagonalLocal, Global, Localized, Partition, Structure

_ROUNDING = 1e-14  # of the sums behind a bound
_NOISE = 1e-28  # energy, as a share of the whole, below which values are rounding and are not searched for
_TREES = 6  # partitions met on the way whose best ranks at the budget are tried


def rectangles_of(matrix: Matrix, *, max_depth: int, min_block: int, rows: Axis, cols: Axis) -> Rectangles:
    """Compute the spectra of all rectangles that dyadic cuts can make."""
    depth, least = as_count(max_depth, "max_depth"), as_count(min_block, "min_block")
    if least == 0:
        raise ValueError("min_block must be a positive integer, got 0.")
    starts = [
        axis_edges(as_axis(axis, name), length, name)
        for axis, length, name in zip((rows, cols), matrix.shape, ("rows", "cols"), strict=True)
    ]
    row_levels, col_levels = (halvings(edges, depth, least) for edges in starts)
    exponent = common_exponent(matrix)
    pairs = [(i, j) for i in range(len(row_levels)) for j in range(len(col_levels))]
    shown = tqdm(pairs, desc="spectra", disable=None, leave=False, delay=1)
    spectra = {
        (i, j): singular_values(Localized(row_levels[i], col_levels[j]).split(matrix), exponent)
        for i, j in shown
    }
    return Rectangles(row_levels, col_levels, spectra)


def search(rectangles: Rectangles, budget: int) -> list[Tree]:
    """Return the trees met on the way to the critical price of a budget, those around it last."""
    total = rectangles.energy
    low = rectangles.best_tree(2 * total)  # buys nothing
    if total == 0:
        return [low]
    m, n = rectangles.rows[0][-1], rectangles.cols[0][-1]
    high = rectangles.best_tree(_NOISE * total / (m * n))
    met = [low, high]
    while high.n_parameters > budget > low.n_parameters:
        price = (low.energy - high.energy) / (high.n_parameters - low.n_parameters)
        tree = rectangles.best_tree(price)
        met.append(tree)
        chord = low.energy + price * low.n_parameters
        between = low.n_parameters < tree.n_parameters < high.n_parameters
        if tree.bound >= chord * (1 - 1e-12) or not between:
            break  # low and high are neighbours on the hull
        if tree.n_parameters <= budget:
            low = tree
        else:
            high = tree
    return met


def relative_bound(rectangles: Rectangles, trees: Sequence[Tree], budget: int) -> float:
    """Return a lower bound on the relative error of every candidate within the budget."""
    energies = [(1 - _ROUNDING) * tree.bound - tree.price * budget for tree in trees]
    return math.sqrt(max(0.0, *energies) / rectangles.energy) if rectangles.energy else 0.0


@dataclass(frozen=True)
class Candidate:
    """A structure, its rectangles, and the energy in none of them."""

    structure: Structure
    places: Sequence[Place]
    uncovered: float = 0.0


def best_candidate(rectangles: Rectangles, trees: Sequence[Tree], budget: int) -> Candidate:
    """Return the candidate of least error at the budget; among equals the one with the fewest blocks."""
    best, least = None, math.inf
    slack = TIE**2 * rectangles.energy
    price = trees[-1].price
    for candidate in sorted(_candidates(rectangles, trees, budget), key=lambda c: len(c.places)):
        if best is not None and _floor(rectangles, candidate, price) - price * budget >= least:
            continue
        energy = least_energy(rectangles, candidate, budget)
        if best is None or math.sqrt(energy) < math.sqrt(least) - math.sqrt(slack):
            best, least = candidate, energy
    assert best is not None
    return best


def _candidates(rectangles: Rectangles, trees: Sequence[Tree], budget: int) -> Iterator[Candidate]:
    yield from _named(rectangles)
    nearest = sorted(trees, key=lambda tree: abs(tree.n_parameters - budget))
    for leaves in list(dict.fromkeys(tree.leaves for tree in nearest))[:_TREES]:
        yield Candidate(Partition.of_blocks([rectangles.block(p) for p in leaves]), leaves)


def _named(rectangles: Rectangles) -> Iterator[Candidate]:
    """Yield the named structures among the candidates."""
    for i, rows in enumerate(rectangles.rows):
        for j, cols in enumerate(rectangles.cols):
            grid = rectangles.grid(i, j)
            yield Candidate(_grid(rows, cols), grid)
            if len(rows) == len(cols) > 2 and _is_even(rows) and _is_even(cols):
                off = math.fsum(rectangles.nodes[i, j].tails[a, b, 0] for _, _, a, b in grid if a != b)
                yield Candidate(DiagonalLocal(len(rows) - 1), [p for p in grid if p[2] == p[3]], off)


def _floor(rectangles: Rectangles, candidate: Candidate, price: float) -> float:
    """Return the least of ``energy + price * n_parameters`` over the ranks of a candidate."""
    spectra = [rectangles.spectrum(p) for p in candidate.places]
    costs = _costs(rectangles, candidate.places)
    kept = (float(np.minimum(np.square(s), price * c).sum()) for s, c in zip(spectra, costs, strict=True))
    return candidate.uncovered + math.fsum(kept)


def least_energy(rectangles: Rectangles, candidate: Candidate, budget: int) -> float:
    """Return the energy that a candidate discards with its best ranks at a budget."""
    spectra = [rectangles.spectrum(p) for p in candidate.places]
    ranks = best_ranks(spectra, _costs(rectangles, candidate.places), budget).ranks
    tails = (float(tail_energy(s)[r]) for s, r in zip(spectra, ranks, strict=True))
    return math.fsum([candidate.uncovered, *tails])


def _costs(rectangles: Rectangles, places: Sequence[Place]) -> list[int]:
    return [block_cost(rectangles.block(p).shape) for p in places]


def _grid(rows: Edges, cols: Edges) -> Structure:
    if len(rows) == len(cols) == 2:
        return Global()
    return Localized(*(len(edges) - 1 if _is_even(edges) else edges for edges in (rows, cols)))


def _is_even(edges: Edges) -> bool:
    parts = len(edges) - 1
    return edges == tuple(i * edges[-1] // parts for i in range(parts + 1))
