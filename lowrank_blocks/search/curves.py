"""The error of the best partition against the budget, with its bound."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from lowrank_blocks._results import locked
from lowrank_blocks._validation import as_matrix
from lowrank_blocks.allocation.adaptive import adaptive
from lowrank_blocks.allocation.base import Points
from lowrank_blocks.allocation.staircases import Envelope, Point, Staircase
from lowrank_blocks.search.candidates import (
    Answer,
    Candidate,
    best_answer,
    energy_bound,
    named_candidates,
    rectangles_of,
    search,
)
from lowrank_blocks.search.dyadic import Rectangles
from lowrank_blocks.search.lagrangian import Tree
from lowrank_blocks.solver.curves import ErrorCurve, as_budgets, pareto
from lowrank_blocks.structures.axes import Axis

_BUDGETS = 24  # at which a curve searches by default
_STEPS = 6  # from one of them to the next, both included


def partition_curve(
    dW: ArrayLike,
    budgets: Sequence[int] | None = None,
    *,
    max_depth: int = 5,
    min_block: int = 1,
    rows: Axis = 1,
    cols: Axis = 1,
) -> ErrorCurve:
    """Return the error of the best partition against the budget, together with its lower bound.

    The curve is the least error of all partitions that it holds: those that `best_partition` finds at
    some budgets, the named structures among the candidates, and points of the lower convex hull that
    are met on the way. At every other budget, `ErrorCurve.at` gives each of them its best ranks and
    takes the least; it is never above a named structure, and never below what is computed.
    `ErrorCurve.budget_for` returns the least budget at which one of them reaches an error. Between
    the given budgets `best_partition` may find a partition that the curve does not hold.

    Parameters
    ----------
    dW : (m, n) array_like
        Real finite matrix; never written to.
    budgets : sequence of int, optional
        Increasing budgets at which `best_partition` is evaluated; by default 24 between half a
        global rank and the count that leaves nothing but rounding, and four steps between each two
        of them.
    max_depth, min_block, rows, cols : optional
        As for `best_partition`.

    Returns
    -------
    ErrorCurve
        Its steps are stored numbers, at most the budgets. With `lower_bound`, which touches the curve
        at the points of the hull, and where the search of `best_partition` ends.

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
    from tqdm import tqdm

    matrix = as_matrix(dW)
    m, n = matrix.shape
    rectangles = rectangles_of(matrix, max_depth=max_depth, min_block=min_block, rows=rows, cols=cols)
    asked = _spread(rectangles, m, n) if budgets is None else [min(b, 2 * m * n) for b in as_budgets(budgets)]
    named = list(named_candidates(rectangles))
    trees: list[Tree] = []
    answers: dict[int, Answer] = {}
    for budget in tqdm(asked, desc="budgets", disable=None, leave=False, delay=1):
        met = search(rectangles, budget)
        answers[budget] = best_answer(rectangles, named, met, budget)
        trees += met
    least = _envelope([*named, *(answer.candidate for answer in answers.values())])
    vertices = [tree for tree in trees if tree.n_parameters <= asked[-1]]
    steps = [0, *(asked if budgets is not None else _finer(asked))]
    counts, errors = _points(rectangles, least, steps, vertices)
    bounds = np.array([_bound(trees, answers, int(count)) for count in counts])
    lower = np.minimum(np.sqrt(bounds / (rectangles.energy or 1.0)), errors)
    return ErrorCurve("best partition", (m, n), locked(counts), locked(errors), locked(lower), least)


def _envelope(candidates: Sequence[Candidate]) -> Envelope:
    """Return the least error of candidates at every budget."""
    distinct = {candidate.structure: candidate for candidate in candidates}
    return Envelope(tuple(Staircase(candidate.ledger, adaptive) for candidate in distinct.values()))


def _points(
    rectangles: Rectangles, least: Envelope, budgets: Sequence[int], vertices: Sequence[Tree]
) -> Points:
    """Return the steps of the curve: what the budgets store, and vertices of the hull."""
    known = [least(budget) for budget in budgets]
    for tree in vertices:
        error = math.sqrt(tree.energy / (rectangles.energy or 1.0))
        known.append(Point(tree.n_parameters, min(error, least(tree.n_parameters).relative_error)))
    return pareto(known)


def _bound(trees: Sequence[Tree], answers: Mapping[int, Answer], count: int) -> float:
    """Return the best bound on the energy that candidates within a count discard."""
    later = (answer.bound for budget, answer in answers.items() if budget >= count)
    return max(energy_bound(trees, count), *later, 0.0)


def _spread(rectangles: Rectangles, m: int, n: int) -> list[int]:
    """Return budgets from half a global rank to what leaves rounding only."""
    last = max(1, search(rectangles, 2 * m * n)[-1].n_parameters)
    first = min(max(1, (m + n) // 2), last)
    return _geometric(first, last, _BUDGETS)


def _finer(budgets: Sequence[int]) -> list[int]:
    """Return budgets with some more between each two."""
    return [b for pair in pairwise(budgets) for b in _geometric(*pair, _STEPS)[:-1]] + [budgets[-1]]


def _geometric(first: int, last: int, count: int) -> list[int]:
    return [int(b) for b in np.unique(np.geomspace(first, last, count).round().astype(np.int64))]
