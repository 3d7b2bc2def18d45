"""Structures side by side at one budget."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

from numpy.typing import ArrayLike

from lowrank_blocks._tables import Table
from lowrank_blocks._validation import Matrix, Shape, as_matrix
from lowrank_blocks.allocation.adaptive import adaptive
from lowrank_blocks.allocation.base import Allocate, Allocation, Guarantee, as_allocation
from lowrank_blocks.allocation.budgets import as_budget, rank_hint
from lowrank_blocks.allocation.uniform import uniform
from lowrank_blocks.search.partitions import best_partition
from lowrank_blocks.solver.approximation import TIE
from lowrank_blocks.solver.decomposition import Decomposition, decompose_view
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.checked import as_structure


@dataclass(frozen=True)
class Row:
    """One structure with one allocation at the budget.

    Attributes
    ----------
    label, allocation : str
        The structure and the allocation.
    ranks : tuple of int
        Rank of every block.
    n_parameters, slack : int
        Numbers stored, and what is left of the budget.
    error, relative_error, captured : float
        As in `Approximation`.
    guarantee : str
        What is known of the ranks on these blocks, as in `Approximation`.
    gap : float or None
        How much smaller `relative_error` could be at most with other ranks within the budget, and for
        the row of `best_partition` with other partitions, too; None for ranks that were given, of
        which nothing is claimed.
    partition : str
        For the row of `best_partition`, what its blocks in use are; empty for the others.
    """

    label: str
    allocation: str
    ranks: tuple[int, ...]
    n_parameters: int
    slack: int
    error: float
    relative_error: float
    captured: float
    guarantee: str
    gap: float | None = None
    partition: str = ""


COLUMNS = tuple(field.name for field in fields(Row))


@dataclass(frozen=True, repr=False)
class Comparison:
    """Structures side by side at one budget; made by `compare`.

    It prints as a table, and shows as one in a notebook.

    Attributes
    ----------
    shape : (int, int)
        Shape of the matrix.
    budget : int
        Most numbers that each row may store.
    norm : float
        Frobenius norm of the matrix.
    rows : tuple of Row
        In the order of the structures and allocations given.
    note : str
        Which rows are empty because the budget buys no rank, and what one unit of rank costs there;
        usually empty.
    """

    shape: Shape
    budget: int
    norm: float
    rows: tuple[Row, ...]
    note: str = ""

    @property
    def best(self) -> Row:
        """The row with the least error; among equals (to 1e-12) the one with the fewest numbers."""
        least = min(row.relative_error for row in self.rows)
        ties = [row for row in self.rows if row.relative_error <= least + TIE]
        return min(ties, key=lambda row: row.n_parameters)

    @property
    def table(self) -> Table:
        """The rows as a `Table`."""
        m, n = self.shape
        title = f"{m}×{n} matrix of norm {self.norm:.4g}, budget {self.budget} of {m * n} numbers"
        return Table(COLUMNS, tuple(astuple(row) for row in self.rows), title, self.note)

    def to_text(self) -> str:
        """Return an aligned table, without a column that is empty in all rows."""
        return self.table.without_empty().to_text()

    def to_markdown(self) -> str:
        """Return a Markdown table, without a column that is empty in all rows."""
        return self.table.without_empty().to_markdown()

    def to_csv(self) -> str:
        """Return CSV with every digit; the ranks of all blocks are separated by spaces."""
        return self.table.to_csv()

    def to_json(self) -> str:
        """Return a JSON object with shape, budget, norm, rows and note."""
        return json.dumps(self.to_document(), indent=2, allow_nan=False) + "\n"

    def to_dataframe(self) -> Any:
        """Return a `pandas.DataFrame`, one row a row.

        Raises
        ------
        ModuleNotFoundError
            If pandas is not installed.
        """
        return self.table.to_dataframe()

    def __str__(self) -> str:
        return self.to_text().rstrip("\n")

    def __repr__(self) -> str:
        m, n = self.shape
        best = self.best
        return (
            f"Comparison({len(self.rows)} rows on a {m}×{n} matrix, budget {self.budget}, "
            f"best {best.label} {best.allocation} with relative error {best.relative_error:.4g}"
            f"{self.note and f'; {self.note}'})"
        )

    def _repr_html_(self) -> str:
        return self.table.without_empty().to_html()

    def to_document(self) -> dict[str, Any]:
        """Return what `to_json` writes."""
        return {
            "shape": list(self.shape),
            "budget": self.budget,
            "norm": self.norm,
            "rows": self.table.to_records(),
            "note": self.note,
        }


def compare(
    dW: ArrayLike,
    structures: Iterable[Structure],
    budget: int | None = None,
    *,
    rank: int | None = None,
    allocate: Sequence[Allocate] = (uniform, adaptive),
    best: bool = False,
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
    found: list[_Priced] = []
    for structure in chosen:
        parts = decompose_view(matrix, structure)
        found += [_row(parts, count, a) for a in _distinct(allocations, parts)]
    if best:
        found.append(_best_row(matrix, count))
    return Comparison(
        parts.shape, count, parts.norm, tuple(row for row, _ in found), _note(found, count, parts.shape)
    )


_Priced = tuple[Row, int]  # with the least budget that buys any rank


def _row(parts: Decomposition, budget: int, allocation: Allocation) -> _Priced:
    choice = parts.choose_ranks(budget, allocate=allocation)
    spent = int(choice.ranks @ parts.costs)
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
    )
    return row, allocation.unit_cost(parts.costs)


def _best_row(matrix: Matrix, budget: int) -> _Priced:
    found = best_partition(matrix, budget)
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
    )
    return row, found.unit_cost or 0


def _note(found: Sequence[_Priced], budget: int, shape: Shape) -> str:
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
