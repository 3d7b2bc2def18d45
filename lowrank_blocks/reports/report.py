"""Comparisons of many matrices, and their summary."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass

from lowrank_blocks._escaping import markdown, printable
from lowrank_blocks._tables import Table
from lowrank_blocks.reports.comparison import COLUMNS, Comparison


@dataclass(frozen=True, repr=False)
class Report:
    """Comparisons of several matrices, such as the layers of a model, and a summary over all.

    Parameters
    ----------
    comparisons : dict of str to Comparison
        By the name of the matrix, with the same structures and allocations in each.

    Raises
    ------
    TypeError, ValueError
        If `comparisons` is no dict of what `compare` returned, holds none, or their rows differ in
        structure or allocation.

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
        if not isinstance(self.comparisons, Mapping):
            raise TypeError(
                f"comparisons must be a dict by the names of the matrices, got a "
                f"{type(self.comparisons).__name__}; write "
                "lb.Report({name: lb.compare(dW, structures, budget) for name, dW in matrices.items()})."
            )
        if not self.comparisons:
            raise ValueError("comparisons must hold at least one comparison, got none.")
        for name, comparison in self.comparisons.items():
            if not isinstance(comparison, Comparison):
                raise TypeError(
                    f"comparisons[{name!r}] must be what lb.compare returned, got {comparison!r}."
                )
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
        empty = sum(c.note != "" for c in comparisons)
        note = (
            f"{empty} of {count} budgets buy no rank in some rows; their tables say in which" if empty else ""
        )
        return Table(columns, tuple(rows), f"{count} {'matrix' if count == 1 else 'matrices'}, summary", note)

    def to_text(self) -> str:
        """Return one table a matrix and the summary."""
        return "\n".join(
            [
                *(f"{printable(name)}: {c.to_text()}" for name, c in self.comparisons.items()),
                self.summary.to_text(),
            ]
        )

    def to_markdown(self) -> str:
        """Return the same as a Markdown document."""
        parts = [f"## {markdown(name)}\n\n{c.to_markdown()}" for name, c in self.comparisons.items()]
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
        return Table(("matrix", *COLUMNS), tuple(rows)).to_csv()

    def to_json(self) -> str:
        """Return a JSON object with all comparisons and the summary."""
        document = {
            "matrices": {name: c.to_document() for name, c in self.comparisons.items()},
            "summary": self.summary.to_records(),
        }
        return json.dumps(document, indent=2, allow_nan=False) + "\n"

    def __repr__(self) -> str:
        names = ", ".join(map(printable, self.comparisons))
        return f"Report({len(self.comparisons)} matrices: {names})"

    def _repr_html_(self) -> str:
        return self.summary.to_html()

    def __str__(self) -> str:
        return self.to_text().rstrip("\n")


def _kinds(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    return tuple((row.label, row.allocation) for row in comparison.rows)
