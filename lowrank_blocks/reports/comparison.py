"""Structures side by side at one budget."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, fields
from typing import Any

from lowrank_blocks._tables import Table
from lowrank_blocks._validation import Shape
from lowrank_blocks.solver.approximation import TIE


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
    n_with_positions : int or None
        Where the values choose which entries are stored, as of `Sparse`: `n_parameters` and one integer for
        each position. Budgets do not charge positions.
    plain_relative_error : float or None
        Under weights, in whose norm all other errors are: the relative error in the plain Frobenius norm.
    file : str
        For the rows of `atlas`, whether PEFT loads the adapter: ``"PEFT"``, ``"as LoRA"`` or ``"none"``.
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
    n_with_positions: int | None = None
    plain_relative_error: float | None = None
    file: str = ""


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
        Frobenius norm of the matrix; under weights, the norm that they make.
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
    def weighted(self) -> bool:
        """Whether errors are in a weighted norm; each row has the plain one beside it."""
        return any(row.plain_relative_error is not None for row in self.rows)

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
        norm = "weighted norm" if self.weighted else "norm"
        title = f"{m}×{n} matrix of {norm} {self.norm:.4g}, budget {self.budget} of {m * n} numbers"
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
        """Return a `pandas.DataFrame`, one row for each of `rows`.

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
        name = " ".join(filter(None, (best.label, best.allocation)))
        return (
            f"Comparison({len(self.rows)} rows on a {m}×{n} matrix, budget {self.budget}, "
            f"best {name} with relative error {best.relative_error:.4g}"
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
