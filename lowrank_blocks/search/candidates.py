"""Candidates for the best partition: their spectra, the critical multiplier, the best of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from lowrank_blocks._validation import Matrix, as_count
from lowrank_blocks.allocation.adaptive import adaptive
from lowrank_blocks.allocation.ledger import Ledger
from lowrank_blocks.linalg import BlockSpectra, block_spectra, common_exponent, parallel
from lowrank_blocks.search.branch_and_bound import refine
from lowrank_blocks.search.dyadic import Pair, Place, Rectangles, halvings
from lowrank_blocks.search.lagrangian import Tree, best_tree
from lowrank_blocks.solver.approximation import TIE
from lowrank_blocks.structures.axes import Axis, as_axis, axis_edges
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.blocks import Blocks
from lowrank_blocks.structures.grids import DiagonalLocal, Localized, is_even, simplest_grid

_ROUNDING = 1e-14  # of the sums behind a bound
_NOISE = 1e-28  # energy, as a share of the whole, below which values are rounding and are not searched for
_REFINED = 1e-13  # share of the energy: smaller gaps are not searched
_HULL = 1e-12  # of the chord: trees nearer to it are on the hull
_TREES = 6  # partitions met on the way whose best ranks at the budget are tried


def rectangles_of(matrix: Matrix, *, max_depth: int, min_block: int, rows: Axis, cols: Axis) -> Rectangles:
    """Compute the spectra of all rectangles that dyadic cuts can make."""
    depth, least = as_count(max_depth, "max_depth"), as_count(min_block, "min_block", least=1)
    starts = [
        axis_edges(as_axis(axis, name), length, name)
        for axis, length, name in zip((rows, cols), matrix.shape, ("rows", "cols"), strict=True)
    ]
    row_levels, col_levels = (halvings(edges, depth, least) for edges in starts)
    from tqdm import tqdm

    exponent, shape = common_exponent(matrix), (matrix.shape[0], matrix.shape[1])
    pairs = [(i, j) for i in range(len(row_levels)) for j in range(len(col_levels))]
    with tqdm(total=len(pairs), desc="spectra", disable=None, leave=False, delay=1) as shown:

        def solve(pair: Pair) -> BlockSpectra:
            blocks = Localized(row_levels[pair[0]], col_levels[pair[1]]).layout(shape).split(matrix)
            found = block_spectra(blocks, exponent)
            shown.update()
            return found

        found = parallel(solve, pairs)  # the larger rectangles first
    return Rectangles(row_levels, col_levels, dict(zip(pairs, found, strict=True)))


@dataclass(frozen=True, eq=False)
class Candidate:
    """Disjoint rectangles, their ledger, and how to make the structure that they are."""

    places: Sequence[Place]
    ledger: Ledger
    make: Callable[[], Structure]

    @cached_property
    def structure(self) -> Structure:
        """The structure, made when it is asked for."""
        return self.make()


@dataclass(frozen=True)
class Answer:
    """The best structure found at a budget.

    Attributes
    ----------
    candidate : Candidate
        The partition.
    energy : float
        Energy that it discards with its best ranks.
    bound : float
        No candidate within the budget discards less.
    """

    candidate: Candidate
    energy: float
    bound: float


def best_answer(
    rectangles: Rectangles, named: Sequence[Candidate], trees: Sequence[Tree], budget: int
) -> Answer:
    """Return the best structure at a budget: the best candidate, refined where the bound leaves a gap.

    Parameters
    ----------
    rectangles : Rectangles
        The spectra of all rectangles.
    named : sequence of Candidate
        From `named_candidates`.
    trees : sequence of Tree
        From `search` at this budget.
    budget : int
        Most numbers that may be stored.
    """
    bound = energy_bound(trees, budget)
    critical = max(trees, key=lambda tree: tree.bound - tree.multiplier * budget)
    best = _best(rectangles, [*named, *_met(rectangles, trees, budget)], critical.multiplier, budget)
    if best.energy - bound <= _REFINED * rectangles.energy:
        return Answer(best.candidate, best.energy, min(bound, best.energy))
    found = refine(rectangles, critical.multiplier, budget, best.energy - bound)
    if found.leaves is not None:
        choices = [best.candidate, partition_of(rectangles, found.leaves)]
        best = _best(rectangles, choices, critical.multiplier, budget)
    return Answer(best.candidate, best.energy, best.energy if found.exhaustive else bound)


def search(rectangles: Rectangles, budget: int) -> list[Tree]:
    """Return the trees met on the way to the critical multiplier of a budget; the last two enclose it."""
    total = rectangles.energy
    low = best_tree(rectangles, 2 * total)  # buys nothing
    if total == 0:
        return [low]
    m, n = rectangles.rows[0][-1], rectangles.cols[0][-1]
    high = best_tree(rectangles, _NOISE * total / (m * n))
    met = []
    while high.n_parameters > budget > low.n_parameters:
        multiplier = (low.energy - high.energy) / (high.n_parameters - low.n_parameters)
        tree = best_tree(rectangles, multiplier)
        met.append(tree)
        chord = low.energy + multiplier * low.n_parameters
        between = low.n_parameters < tree.n_parameters < high.n_parameters
        if tree.bound >= chord * (1 - _HULL) or not between:
            break  # low and high are neighbours on the hull
        if tree.n_parameters <= budget:
            low = tree
        else:
            high = tree
    return [*met, low, high]


def energy_bound(trees: Sequence[Tree], budget: int) -> float:
    """Return the energy that every candidate within the budget discards at least (weak duality)."""
    return max(0.0, *((1 - _ROUNDING) * tree.bound - tree.multiplier * budget for tree in trees))


@dataclass(frozen=True)
class _Evaluated:
    """A candidate with its best ranks: energy discarded, and numbers stored for more than rounding."""

    candidate: Candidate
    energy: float
    count: int


def _best(
    rectangles: Rectangles, candidates: Sequence[Candidate], multiplier: float, budget: int
) -> _Evaluated:
    """Return the candidate of least error; among equals the one with fewest numbers, then fewest blocks."""
    evaluated: list[_Evaluated] = []
    least, tie = math.inf, TIE * math.sqrt(rectangles.energy)
    for candidate in candidates:
        floor = _floor(candidate, multiplier) - multiplier * budget
        if floor > 0 and math.sqrt(floor) > least + tie:
            continue
        evaluated.append(_evaluate(candidate, budget, tie))
        least = min(least, math.sqrt(evaluated[-1].energy))
    ties = [j for j in evaluated if math.sqrt(j.energy) <= least + tie]
    return min(ties, key=lambda j: (j.count, len(j.candidate.places)))


def _met(rectangles: Rectangles, trees: Sequence[Tree], budget: int) -> Iterator[Candidate]:
    """Yield some partitions met on the way to the critical multiplier, those nearest to the budget first."""
    nearest = [*reversed(trees[-2:]), *sorted(trees[:-2], key=lambda t: abs(t.n_parameters - budget))]
    met = set[tuple[Place, ...]]()
    for tree in nearest:
        if tree.leaves not in met:
            met.add(tree.leaves)
            yield partition_of(rectangles, tree.leaves)
        if len(met) == _TREES:
            return


def partition_of(rectangles: Rectangles, leaves: Sequence[Place]) -> Candidate:
    """Return the candidate with these leaves."""
    ledger = rectangles.ledger(leaves)
    return Candidate(leaves, ledger, lambda: Blocks(tuple(rectangles.block(p) for p in leaves)))


def named_candidates(rectangles: Rectangles) -> Iterator[Candidate]:
    """Yield the named structures among the candidates."""
    for i, rows in enumerate(rectangles.rows):
        for j, cols in enumerate(rectangles.cols):
            grid = rectangles.grid(i, j)
            yield Candidate(grid, rectangles.grid_ledger(i, j), partial(simplest_grid, rows, cols))
            if len(rows) == len(cols) > 2 and is_even(rows) and is_even(cols):
                off = math.fsum(rectangles.nodes[i, j].tails[a, b, 0] for _, _, a, b in grid if a != b)
                places = [p for p in grid if p[2] == p[3]]
                make = partial(DiagonalLocal, len(rows) - 1)
                yield Candidate(places, rectangles.ledger(places, off), make)


def _floor(candidate: Candidate, multiplier: float) -> float:
    """Return the least of ``energy + multiplier * n_parameters`` over the ranks of a candidate."""
    offer = candidate.ledger.offer
    charged = multiplier * np.repeat(offer.costs, offer.max_ranks)
    energies = np.ldexp(offer.energies.flat, 2 * offer.exponent)
    return candidate.ledger.outside + float(np.minimum(energies, charged).sum())


def _evaluate(candidate: Candidate, budget: int, noise: float) -> _Evaluated:
    """Give a candidate its best ranks; values up to `noise` are not counted as stored."""
    ledger = candidate.ledger
    ranks = adaptive.choose(ledger.offer, budget).ranks
    spectra = ledger.offer.spectra
    above = np.bincount(
        spectra.owners, weights=np.ldexp(spectra.flat, ledger.offer.exponent) > noise, minlength=len(spectra)
    )
    count = int(np.minimum(ranks, above.astype(np.int64)) @ ledger.costs)
    return _Evaluated(candidate, ledger.energy(ranks), count)
