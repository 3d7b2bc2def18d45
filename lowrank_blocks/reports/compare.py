"""Compare structures side by side at one budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from numpy.typing import ArrayLike

from lowrank_blocks._validation import Shape, as_matrix
from lowrank_blocks.allocation.adaptive import adaptive
from lowrank_blocks.allocation.base import Allocate, Allocation, Guarantee, as_allocation
from lowrank_blocks.allocation.budgets import as_budget, rank_hint
from lowrank_blocks.allocation.uniform import uniform
from lowrank_blocks.reports.comparison import Comparison, Row
from lowrank_blocks.search.partitions import BestPartition, best_partition
from lowrank_blocks.solver.decomposition import Decomposition
from lowrank_blocks.solver.weighted import decompose_weighted
from lowrank_blocks.solver.weights import Weighting, as_weights
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.checked import as_structure


def compare(
    dW: ArrayLike,
    structures: Iterable[Structure],
    budget: int | None = None,
    *,
    rank: int | None = None,
    allocate: Sequence[Allocate] = (uniform, adaptive),
    best: bool = False,
    row_weights: Weighting = None,
    col_weights: Weighting = None,
) -> Comparison:
    """Compare the best approximations of a matrix by several structures within one budget.

    A structure with one block has one rank to choose, so where both `uniform` and `adaptive` are
    asked for it gets one row.

    Parameters
    ----------
    dW : (m, n) array_like
        Real finite matrix; never written to.
    structures : sequence of Structure
        At least one.
    budget : int
        Most numbers that each approximation may store.
    rank : int
        In place of `budget`: that of a global factorisation of this rank, ``rank * (m + n)``.
    allocate : sequence of callable, optional
        Allocations to compare.
    best : bool, optional
        Whether to add what `best_partition` finds as a row, with the partition in a column of its own.
    row_weights, col_weights : array_like or Activations, optional
        As for `approximate`; errors are then in the weighted norm, and `Row.plain_relative_error` has the
        plain one beside it.

    Returns
    -------
    Comparison

    Raises
    ------
    TypeError, ValueError
        As for `approximate`; and if `structures` or `allocate` is not a nonempty sequence.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> report = lb.compare(np.eye(4), [lb.Global(), lb.DiagonalLocal(2), lb.Localized(2)], budget=16)
    >>> for row in report.rows:
    ...     print(row.label, row.allocation, row.ranks, round(row.error**2, 9))
    Global() adaptive (2,) 2.0
    DiagonalLocal(2) uniform (2, 2) 0.0
    DiagonalLocal(2) adaptive (2, 2) 0.0
    Localized(2) uniform (1, 1, 1, 1) 2.0
    Localized(2) adaptive (2, 0, 0, 2) 0.0
    >>> report.best.label
    'DiagonalLocal(2)'
    """
    matrix = as_matrix(dW)
    count = as_budget(budget, rank, sum(matrix.shape))
    chosen = [
        as_structure(s, f"structures[{i}]")
        for i, s in enumerate(_listed(structures, "structures", "[lb.Global()]"))
    ]
    allocations = [as_allocation(a) for a in _listed(allocate, "allocate", "(lb.adaptive,)")]
    weights = as_weights(row_weights, col_weights, (matrix.shape[0], matrix.shape[1]))
    found: list[_RowAndCost] = []
    for structure in chosen:
        parts = decompose_weighted(matrix, structure, weights)
        found += [_row(parts, count, a) for a in _distinct(allocations, parts)]
    if best:
        found.append(
            _best_row(best_partition(matrix, count, row_weights=row_weights, col_weights=col_weights), count)
        )
    return Comparison(
        parts.shape, count, parts.norm, tuple(row for row, _ in found), _note(found, count, parts.shape)
    )


_RowAndCost = tuple[Row, int]  # with the least budget that buys any rank


def _row(parts: Decomposition, budget: int, allocation: Allocation) -> _RowAndCost:
    choice = parts.choose_ranks(budget, allocate=allocation)
    spent = parts.price(choice)
    relative_error = parts.relative_error(choice.ranks)
    given = choice.guarantee is Guarantee.GIVEN
    row = Row(
        label=repr(parts.structure),
        allocation=allocation.name,
        ranks=tuple(choice.ranks.tolist()),
        n_parameters=spent,
        slack=budget - spent,
        error=parts.error(choice.ranks),
        relative_error=relative_error,
        captured=1 - relative_error**2,
        guarantee=choice.guarantee.value,
        gap=None if given else relative_error - parts.lower_bound(choice),
        n_with_positions=spent + positions if (positions := parts.positions(choice.ranks)) else None,
        plain_relative_error=parts.plain_relative_error(choice.ranks),
    )
    return row, allocation.unit_cost(parts.costs)


def _best_row(found: BestPartition, budget: int) -> _RowAndCost:
    row = Row(
        label="best partition",
        allocation="adaptive",
        ranks=tuple(found.ranks.tolist()),
        n_parameters=found.n_parameters,
        slack=budget - found.n_parameters,
        error=found.error,
        relative_error=found.relative_error,
        captured=found.captured,
        guarantee=str(found.guarantee),
        gap=found.gap,
        partition=found.verdict,
        plain_relative_error=found.plain.relative_error if found.plain else None,
    )
    return row, found.unit_cost or 0


def _note(found: Sequence[_RowAndCost], budget: int, shape: Shape) -> str:
    """Say in which rows the budget buys no rank; nothing if in none."""
    empty = [(f"{row.label} {row.allocation}", unit) for row, unit in found if budget < unit]
    if not empty:
        return ""
    (first, unit), *others = empty
    names = [f"{first} (one unit of rank costs {unit})", *(f"{name} ({unit})" for name, unit in others)]
    return f"budget {budget} buys no rank for {', '.join(names)}{rank_hint(budget, shape)}"


def _distinct(allocations: list[Allocation], parts: Decomposition) -> list[Allocation]:
    """Of one block, which has one rank to choose, drop those that spend as an optimal one does."""
    if len(parts.costs) > 1 or all(a.guarantee is not Guarantee.OPTIMAL for a in allocations):
        return allocations
    return [a for a in allocations if a.guarantee is Guarantee.OPTIMAL or a.needs_spectra]


def _listed(values: Any, name: str, example: str) -> list[Any]:
    try:
        listed = [] if isinstance(values, str) else list(values)
    except TypeError:
        listed = []
    if not listed:
        raise TypeError(f"{name} must be a nonempty sequence such as {example}, got {values!r}.")
    return listed
