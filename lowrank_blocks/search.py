"""The best partition within a budget, with a certificate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from lowrank_blocks._validation import Matrix, as_count, as_matrix
from lowrank_blocks.approximation import Approximation
from lowrank_blocks.budgets import block_cost
from lowrank_blocks.curves import ErrorCurve, as_budgets, frontier
from lowrank_blocks.dyadic import Edges, Place, Rectangles, Tree, halvings
from lowrank_blocks.partition import Axis, as_axis, axis_edges
from lowrank_blocks.ranks import best_ranks
from lowrank_blocks.solve import decompose_view
from lowrank_blocks.spectra import common_exponent, singular_values, tail_energy
from lowrank_blocks.structures import DiagonalLocal, Global, Localized, Partition, Structure
from lowrank_blocks.verdicts import verdict

TIE = 1e-12  # relative errors closer than this differ by rounding only
_ROUNDING = 1e-14  # of the sums behind a bound
_NOISE = 1e-28  # energy, as a share of the whole, below which values are rounding and are not searched for
_TREES = 6  # partitions met on the way whose best ranks at the budget are tried


@dataclass(frozen=True, eq=False, repr=False)
class BestPartition:
    """The best partition found within a budget, and how far from the best it can be.

    Made by `best_partition`.

    Attributes
    ----------
    structure : Structure
        The partition: a named structure where it is one, else a `Partition`.
    approximation : Approximation
        The best approximation with this structure.
    relative_error : float
        Its relative error.
    lower_bound : float
        No dyadic partition with any ranks within the budget has a smaller relative error.
    depth : (int, int)
        Levels of cuts that were searched along the rows and the columns.
    verdict : str
        What the blocks in use are, in a few words.
    """

    structure: Structure
    approximation: Approximation
    relative_error: float
    lower_bound: float
    depth: tuple[int, int]
    verdict: str

    @property
    def gap(self) -> float:
        """How much smaller than `relative_error` the least relative error could be at most."""
        return self.relative_error - self.lower_bound

    def __repr__(self) -> str:
        return (
            f"BestPartition({self.verdict}; {self.approximation.n_parameters} parameters, "
            f"relative error {self.relative_error:.4g}, at least {self.lower_bound:.4g} for any)"
        )


def best_partition(
    dW: ArrayLike,
    budget: int,
    *,
    max_depth: int = 5,
    min_block: int = 1,
    rows: Axis = 1,
    cols: Axis = 1,
) -> BestPartition:
    """Find the best partition of a matrix into low-rank blocks within a budget, and bound the best.

    The candidates are all partitions reached by halving rectangles by rows or by columns, with any
    rank on each part. For a price per stored number the best of them is found exactly, bottom-up;
    the critical price gives a lower bound for every candidate within the budget. The answer is the
    best of the partitions met on the way and of `Global`, `DiagonalLocal` and `Localized` with
    powers of two as parts, each with its best ranks at the budget. It is optimal where `gap` is 0
    to rounding, which it is at the budgets of the lower convex hull; elsewhere `gap` says by how
    much it may miss.

    Parameters
    ----------
    dW : (m, n) array_like
        Real finite matrix; never written to.
    budget : int
        Most numbers that the factors may store; the positions of blocks are not charged.
    max_depth : int, optional
        Halvings along each axis. An axis too short for them is halved as often as `min_block`
        allows; `BestPartition.depth` tells how often that was.
    min_block : int, optional
        Least number of rows, and of columns, of a part; at least 1.
    rows, cols : int or tuple of int, optional
        Parts or edges to start from, for example ``rows=(0, 256, 512, 768)`` for fused query, key
        and value. The axis is then cut there first, and halved within the parts.

    Returns
    -------
    BestPartition

    Raises
    ------
    TypeError, ValueError
        As for `approximate`; if `max_depth` is not a non-negative integer, `min_block` not a
        positive one, or `rows` or `cols` do not fit the axis.

    Notes
    -----
    Spectra of all rectangles at all pairs of levels are computed once, which takes about as long as
    36 grids do at depth 5 and holds fewer numbers than the matrix; the search itself adds
    milliseconds for each price.

    References
    ----------
    Donoho, "CART and best-ortho-basis: a connection", doi 10.1214/aos/1069362377;
    Everett, "Generalized Lagrange multiplier method", doi 10.1287/opre.11.3.399.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> dW = lb.synthetic.block_diagonal((64, 64), parts=4, rank=2).matrix
    >>> found = lb.best_partition(dW, lb.rank_budget(dW.shape, 2))
    >>> found.structure, round(found.gap, 9)
    (DiagonalLocal(4), 0.0)
    """
    matrix = as_matrix(dW)
    budget = as_count(budget, "budget")
    rectangles = rectangles_of(matrix, max_depth=max_depth, min_block=min_block, rows=rows, cols=cols)
    trees = search(rectangles, budget)
    candidate = _best_candidate(rectangles, trees, budget)
    approximation = decompose_view(matrix, candidate.structure).within(budget)
    return BestPartition(
        structure=candidate.structure,
        approximation=approximation,
        relative_error=approximation.relative_error,
        lower_bound=min(relative_bound(rectangles, trees, budget), approximation.relative_error),
        depth=(len(rectangles.rows) - 1, len(rectangles.cols) - 1),
        verdict=verdict(candidate.structure, approximation.blocks, approximation.ranks),
    )


def partition_curve(
    dW: ArrayLike,
    budgets: Sequence[int] | None = None,
    *,
    max_depth: int = 5,
    min_block: int = 1,
    rows: Axis = 1,
    cols: Axis = 1,
) -> ErrorCurve:
    """Return the error of the best partition against the budget, with its lower bound beside it.

    Parameters
    ----------
    dW : (m, n) array_like
        Real finite matrix; never written to.
    budgets : sequence of int, optional
        Increasing budgets at which `best_partition` is evaluated; by default 24 between half a
        global rank and the dense count. Points of the lower convex hull that are met on the way are
        part of the curve, too.
    max_depth, min_block, rows, cols : optional
        As for `best_partition`.

    Returns
    -------
    ErrorCurve
        With `lower_bound`, which touches the curve at the points of the hull.

    Raises
    ------
    TypeError, ValueError
        As for `best_partition` and `error_curve`.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> curve = lb.partition_curve(lb.synthetic.log_distance((32, 32)).matrix, [128, 256], max_depth=2)
    >>> bool((curve.lower_bound <= curve.relative_error).all())
    True
    """
    matrix = as_matrix(dW)
    m, n = matrix.shape
    spread = np.unique(np.geomspace(max(1, (m + n) // 2), m * n, 24).astype(np.int64))
    asked = as_budgets(spread if budgets is None else budgets)
    rectangles = rectangles_of(matrix, max_depth=max_depth, min_block=min_block, rows=rows, cols=cols)
    trees: list[Tree] = []
    points: dict[int, float] = {0: rectangles.energy}
    for budget in tqdm(asked, desc="budgets", disable=None, leave=False, delay=1):
        met = search(rectangles, budget)
        trees += met
        candidate = _best_candidate(rectangles, met, budget)
        points[budget] = _least_energy(rectangles, candidate, budget)
    last = asked[-1]
    for tree in trees:
        if tree.n_parameters <= last:
            points[tree.n_parameters] = min(points.get(tree.n_parameters, math.inf), tree.energy)
    counts, energies = frontier(np.array(list(points)), np.array(list(points.values())))
    errors = np.sqrt(energies / (rectangles.energy or 1.0))
    bounds = np.minimum([relative_bound(rectangles, trees, int(count)) for count in counts], errors)
    return ErrorCurve("best partition", (m, n), _locked(counts), _locked(errors), _locked(bounds))


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
class _Candidate:
    """A structure, its rectangles, and the energy in none of them."""

    structure: Structure
    places: Sequence[Place]
    uncovered: float = 0.0


def _best_candidate(rectangles: Rectangles, trees: Sequence[Tree], budget: int) -> _Candidate:
    """Return the candidate of least error at the budget; among equals the one with the fewest blocks."""
    best, least = None, math.inf
    slack = TIE**2 * rectangles.energy
    price = trees[-1].price
    for candidate in sorted(_candidates(rectangles, trees, budget), key=lambda c: len(c.places)):
        if best is not None and _floor(rectangles, candidate, price) - price * budget >= least:
            continue
        energy = _least_energy(rectangles, candidate, budget)
        if best is None or math.sqrt(energy) < math.sqrt(least) - math.sqrt(slack):
            best, least = candidate, energy
    assert best is not None
    return best


def _candidates(rectangles: Rectangles, trees: Sequence[Tree], budget: int) -> Iterator[_Candidate]:
    yield from _named(rectangles)
    nearest = sorted(trees, key=lambda tree: abs(tree.n_parameters - budget))
    for leaves in list(dict.fromkeys(tree.leaves for tree in nearest))[:_TREES]:
        yield _Candidate(Partition.of_blocks([rectangles.block(p) for p in leaves]), leaves)


def _named(rectangles: Rectangles) -> Iterator[_Candidate]:
    """Yield the named structures among the candidates."""
    for i, rows in enumerate(rectangles.rows):
        for j, cols in enumerate(rectangles.cols):
            grid = rectangles.grid(i, j)
            yield _Candidate(_grid(rows, cols), grid)
            if len(rows) == len(cols) > 2 and _is_even(rows) and _is_even(cols):
                off = math.fsum(rectangles.nodes[i, j].tails[a, b, 0] for _, _, a, b in grid if a != b)
                yield _Candidate(DiagonalLocal(len(rows) - 1), [p for p in grid if p[2] == p[3]], off)


def _floor(rectangles: Rectangles, candidate: _Candidate, price: float) -> float:
    """Return the least of ``energy + price * n_parameters`` over the ranks of a candidate."""
    spectra = [rectangles.spectrum(p) for p in candidate.places]
    costs = _costs(rectangles, candidate.places)
    kept = (float(np.minimum(np.square(s), price * c).sum()) for s, c in zip(spectra, costs, strict=True))
    return candidate.uncovered + math.fsum(kept)


def _least_energy(rectangles: Rectangles, candidate: _Candidate, budget: int) -> float:
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


def _locked(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
