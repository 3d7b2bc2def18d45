"""What structures and ways to spend a budget reach on a whole model, as a result that prints and exports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._results import ReadOnly
from lowrank_blocks._tables import Cell, Table
from lowrank_blocks.allocation.base import Guarantee
from lowrank_blocks.models.plans import ModelPlan
from lowrank_blocks.solver.approximation import TIE

SAME, ACROSS, PLAN = "same rank", "ranks across", "plan"


@dataclass(frozen=True, eq=False)
class ModelCurve(ReadOnly):
    """The least error of a whole model against its parameter count.

    Attributes
    ----------
    label : str
        The structure of all matrices; ``"plan"`` for the lower bound of any plan.
    n_parameters : (k,) array of int
        Counts, increasing.
    relative_error : (k,) array of float
        Relative error at each; between the counts it is at most that of the one before.
    """

    label: str
    n_parameters: NDArray[np.int64]
    relative_error: NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class ModelComparison:
    """Several ways to spend one budget over all matrices of a model; made by `compare_checkpoints`.

    It prints as a table, one row a way, and shows as one in a notebook.

    Attributes
    ----------
    plans : dict of str to ModelPlan
        By label, such as ``"Global(), ranks across"``: a structure with the same rank everywhere, with
        ranks chosen across the model, and the plan that chooses structures, too.
    budget : int
        Most numbers that each may store.
    curves : dict of str to ModelCurve
        The whole model's error against the count of numbers for every structure with ranks across the
        model, and the lower bound of any plan under ``"plan"``.
    skipped : dict of str to str
        Tensors that were not compared, with the reason.
    failed : dict of str to str
        Matrices that could not be used, with the reason.
    norms : dict of str to float
        Frobenius norm of every update.
    unfit : dict of str to str
        Structures that were not tried alone, each with a matrix that it does not fit.
    """

    plans: Mapping[str, ModelPlan]
    budget: int
    curves: Mapping[str, ModelCurve]
    skipped: Mapping[str, str]
    failed: Mapping[str, str]
    norms: Mapping[str, float]
    unfit: Mapping[str, str] = field(default_factory=dict)

    @property
    def best(self) -> str:
        """Label of the way with the least error; of equal ones, the first with the strongest guarantee."""
        least = min(found.relative_error for found in self.plans.values())
        ties = [label for label, found in self.plans.items() if found.relative_error <= least + TIE]
        return min(ties, key=lambda label: self.plans[label].guarantee is not Guarantee.OPTIMAL)

    @property
    def table(self) -> Table:
        """One row for every way to spend the budget."""
        columns = ("structure", "ranks", "n_parameters", "relative_error", "lower_bound", "guarantee")
        rows = tuple(self._row(label, found) for label, found in self.plans.items())
        first = next(iter(self.plans.values()))
        count = len(first.ranks)
        title = f"{count} {'matrix' if count == 1 else 'matrices'}, budget {self.budget} numbers"
        return Table(columns, rows, title, self._note)

    @property
    def matrices(self) -> Table:
        """One row for every matrix and way: structure, ranks, numbers stored, error."""
        columns = ("name", "shape", "norm", "ranks", "structure", "rank", "n_parameters", "relative_error")
        rows = [
            (
                name,
                "×".join(map(str, found.shapes[name])),
                self.norms[name],
                _kind(label),
                repr(found.structures[name]),
                *cells,
            )
            for label, found in self.plans.items()
            for name, cells in _cells(found).items()
        ]
        return Table(columns, tuple(rows))

    @property
    def left_out(self) -> Table:
        """One row for every tensor that was not compared, with the reason."""
        reasons = {**self.failed, **self.skipped}
        return Table(("name", "reason"), tuple(reasons.items()))

    @property
    def _note(self) -> str:
        notes = [found.note for found in self.plans.values() if found.note]
        notes += [f"{structure} does not fit {name}" for structure, name in self.unfit.items()]
        if self.failed:
            notes.append(f"{len(self.failed)} could not be used: {', '.join(self.failed)}")
        if self.skipped:
            notes.append(f"{len(self.skipped)} tensors left out, see left_out")
        return "; ".join(dict.fromkeys(notes))

    def _row(self, label: str, found: ModelPlan) -> tuple[Cell, ...]:
        structure = PLAN if label == PLAN else label.rpartition(", ")[0]
        known = found.n_parameters, found.relative_error, found.lower_bound, str(found.guarantee)
        return (structure, _kind(label), *known)

    def to_text(self) -> str:
        """Return the table aligned for a terminal."""
        return self.table.to_text()

    def to_markdown(self) -> str:
        """Return the tables in Markdown: the ways, the matrices of the best, and what was left out."""
        parts = ["# Comparison of checkpoints\n", self.table.to_markdown()]
        parts += [f"\n## Matrices: {self.best}\n", self.plans[self.best].table.to_markdown()]
        if self.left_out.rows:
            parts += ["\n## Left out\n", self.left_out.to_markdown()]
        return "\n".join(parts)

    def to_csv(self) -> str:
        """Return all matrices in all ways as CSV with every digit."""
        return self.matrices.to_csv()

    def to_json(self) -> str:
        """Return everything as a JSON object."""
        document = {
            "budget": self.budget,
            "ways": self.table.to_records(),
            "matrices": self.matrices.to_records(),
            "curves": [
                {
                    "label": curve.label,
                    "n_parameters": curve.n_parameters.tolist(),
                    "relative_error": curve.relative_error.tolist(),
                }
                for curve in self.curves.values()
            ],
            "skipped": dict(self.skipped),
            "failed": dict(self.failed),
        }
        return json.dumps(document, indent=1, allow_nan=False) + "\n"

    def to_dataframe(self) -> Any:
        """Return a `pandas.DataFrame`, one row for every matrix and way.

        Raises
        ------
        ModuleNotFoundError
            If pandas is not installed.
        """
        return self.matrices.to_dataframe()

    def __repr__(self) -> str:
        count = len(next(iter(self.plans.values())).ranks)
        best = self.plans[self.best]
        return (
            f"ModelComparison({count} matrices, best: {self.best}, relative error {best.relative_error:.4g})"
        )

    def __str__(self) -> str:
        return str(self.table)

    def _repr_html_(self) -> str:
        return self.table.to_html()


def _kind(label: str) -> str:
    return label.rpartition(", ")[2]


def _cells(found: ModelPlan) -> dict[str, tuple[Cell, ...]]:
    return {
        name: (found.ranks[name], found.stored[name], found.relative_errors[name]) for name in found.ranks
    }
