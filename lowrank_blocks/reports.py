"""Reports: structures side by side at one budget, for one matrix or for many."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

from numpy.typing import ArrayLike

from lowrank_blocks._validation import Matrix, Shape, as_count, as_matrix
from lowrank_blocks.ranks import Allocation, adaptive, allocation_name, uniform
from lowrank_blocks.search import best_partition
from lowrank_blocks.solve import Decomposition, decompose_view
from lowrank_blocks.structures import Structure, as_structure
from lowrank_blocks.tables import Table

TIE = 1e-12  # relative errors closer than this differ by rounding only


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
        What is known of the ranks, as in `Approximation`.
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


_COLUMNS = tuple(field.name for field in fields(Row))


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
    """

    shape: Shape
    budget: int
    norm: float
    rows: tuple[Row, ...]

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
        return Table(_COLUMNS, tuple(astuple(row) for row in self.rows), title)

    def to_text(self) -> str:
        """Return an aligned table."""
        return self.table.to_text()

    def to_markdown(self) -> str:
        """Return a Markdown table."""
        return self.table.to_markdown()

    def to_csv(self) -> str:
        """Return CSV with every digit; the ranks of all blocks are separated by spaces."""
        return self.table.to_csv()

    def to_json(self) -> str:
        """Return a JSON object with shape, budget, norm and rows."""
        return json.dumps(self._document(), indent=2, allow_nan=False) + "\n"

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
            f"best {best.label} {best.allocation} with relative error {best.relative_error:.4g})"
        )

    def _repr_html_(self) -> str:
        return self.table.to_html()

    def _document(self) -> dict[str, Any]:
        return {
            "shape": list(self.shape),
            "budget": self.budget,
            "norm": self.norm,
            "rows": self.table.to_records(),
        }


def compare(
    dW: ArrayLike,
    structures: Iterable[Structure],
    budget: int,
    *,
    allocate: Sequence[Allocation] = (uniform, adaptive),
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
    allocate : sequence of callable, optional
        Allocations to compare.
    best : bool, optional
        Whether to add what `best_partition` finds as a row. Its `guarantee` names the partition and
        the gap to the lower bound.

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
    budget = as_count(budget, "budget")
    chosen = [
        as_structure(s, f"structures[{i}]")
        for i, s in enumerate(_listed(structures, "structures", "[lb.Global()]"))
    ]
    allocations = _listed(allocate, "allocate", "(lb.adaptive,)")
    rows: list[Row] = []
    for structure in chosen:
        parts = decompose_view(matrix, structure)
        rows += [_row(parts, budget, a) for a in _distinct(allocations, len(parts.costs))]
    if best:
        rows.append(_best_row(matrix, budget))
    return Comparison(parts.shape, budget, parts.norm, tuple(rows))


@dataclass(frozen=True, repr=False)
class Report:
    """Comparisons of several matrices, such as the layers of a model, and a summary over all.

    Parameters
    ----------
    comparisons : dict of str to Comparison
        By the name of the matrix, with the same structures and allocations in each.

    Raises
    ------
    ValueError
        If there is no comparison, or their rows differ in structure or allocation.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> structures = [lb.Global(), lb.Localized(2)]
    >>> report = lb.Report({name: lb.compare(dW, structures, 8, allocate=[lb.adaptive])
    ...                     for name, dW in {"ones": np.ones((4, 4)), "eye": np.eye(4)}.items()})
    >>> print(report.summary)
    2 matrices, summary
    label         allocation  n_parameters  relative_error  times_best
    ------------  ----------  ------------  --------------  ----------
    Global()      adaptive              16          0.3873           1
    Localized(2)  adaptive              16          0.7071           1
    """

    comparisons: Mapping[str, Comparison]

    def __post_init__(self) -> None:
        kinds = {name: _kinds(c) for name, c in self.comparisons.items()}
        if len(set(kinds.values())) != 1:
            raise ValueError(f"comparisons must have the same structures and allocations, got {kinds}.")

    @property
    def summary(self) -> Table:
        """Total parameters, relative error of all matrices together, and how often each row was best."""
        comparisons = list(self.comparisons.values())
        total = math.hypot(*(c.norm for c in comparisons))
        rows = []
        for k, (label, allocation) in enumerate(_kinds(comparisons[0])):
            same = [c.rows[k] for c in comparisons]
            error = math.hypot(*(row.error for row in same))
            times_best = sum(c.best is row for c, row in zip(comparisons, same, strict=True))
            n_parameters = sum(row.n_parameters for row in same)
            rows.append((label, allocation, n_parameters, error / total if total else 0.0, times_best))
        columns = ("label", "allocation", "n_parameters", "relative_error", "times_best")
        count = len(comparisons)
        return Table(columns, tuple(rows), f"{count} {'matrix' if count == 1 else 'matrices'}, summary")

    def to_text(self) -> str:
        """Return one table a matrix and the summary."""
        return "\n".join(
            [*(f"{name}: {c.to_text()}" for name, c in self.comparisons.items()), self.summary.to_text()]
        )

    def to_markdown(self) -> str:
        """Return the same as a Markdown document."""
        parts = [f"## {name}\n\n{c.to_markdown()}" for name, c in self.comparisons.items()]
        return "\n".join(
            [
                "# Low-rank approximation at one budget\n",
                *parts,
                f"## Summary\n\n{self.summary.to_markdown()}",
            ]
        )

    def to_csv(self) -> str:
        """Return all rows as one CSV table whose first column is the name of the matrix."""
        rows = [(name, *astuple(row)) for name, c in self.comparisons.items() for row in c.rows]
        return Table(("matrix", *_COLUMNS), tuple(rows)).to_csv()

    def to_json(self) -> str:
        """Return a JSON object with all comparisons and the summary."""
        document = {
            "matrices": {name: c._document() for name, c in self.comparisons.items()},
            "summary": self.summary.to_records(),
        }
        return json.dumps(document, indent=2, allow_nan=False) + "\n"

    def __repr__(self) -> str:
        return f"Report({len(self.comparisons)} matrices: {', '.join(self.comparisons)})"

    def _repr_html_(self) -> str:
        return self.summary.to_html()

    def __str__(self) -> str:
        return self.to_text().rstrip("\n")


def _row(parts: Decomposition, budget: int, allocate: Allocation) -> Row:
    choice = parts.choose_ranks(budget, allocate=allocate)
    spent = int(choice.ranks @ parts.costs)
    relative_error = parts.relative_error(choice.ranks)
    return Row(
        label=repr(parts.structure),
        allocation=allocation_name(allocate),
        ranks=tuple(choice.ranks.tolist()),
        n_parameters=spent,
        slack=budget - spent,
        error=parts.error(choice.ranks),
        relative_error=relative_error,
        captured=1 - relative_error**2,
        guarantee=choice.guarantee,
    )


def _best_row(matrix: Matrix, budget: int) -> Row:
    found = best_partition(matrix, budget)
    spent = found.approximation.n_parameters
    return Row(
        label="best partition",
        allocation="adaptive",
        ranks=tuple(found.approximation.ranks.tolist()),
        n_parameters=spent,
        slack=budget - spent,
        error=found.approximation.error,
        relative_error=found.relative_error,
        captured=found.approximation.captured,
        guarantee=f"{found.verdict}; gap at most {found.gap:.2g}",
    )


def _kinds(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    return tuple((row.label, row.allocation) for row in comparison.rows)


def _distinct(allocations: list[Allocation], n_blocks: int) -> list[Allocation]:
    if n_blocks == 1 and adaptive in allocations:
        return [a for a in allocations if a is not uniform]
    return allocations


def _listed(values: Any, name: str, example: str) -> list[Any]:
    try:
        listed = [] if isinstance(values, str) else list(values)
    except TypeError:
        listed = []
    if not listed:
        raise TypeError(f"{name} must be a nonempty sequence such as {example}, got {values!r}.")
    return listed
