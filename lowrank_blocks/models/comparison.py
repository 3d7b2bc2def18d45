"""What structures and ways to spend a budget reach on a whole model, as a result that prints and exports."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._results import ReadOnly
from lowrank_blocks._tables import Cell, Table
from lowrank_blocks.allocation.base import Guarantee
from lowrank_blocks.allocation.ledger import relative
from lowrank_blocks.models.plans import ModelPlan
from lowrank_blocks.solver.approximation import TIE
from lowrank_blocks.solver.plain import Plain, in_norms

SAME, ACROSS, PLAN = "same rank", "ranks across", "plan"
_PLAIN = "plain_relative_error"


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
        Norm of every update, weighted for those that have weights; else the Frobenius norm.
    unfit : dict of str to str
        Structures that were not tried alone, each with a matrix that it does not fit.
    plain : dict of str to dict of str to Plain
        Under weights, in whose norm all other errors are: the errors in the plain Frobenius norm, by label
        and by the name of the matrix. Empty without weights.
    """

    plans: Mapping[str, ModelPlan]
    budget: int
    curves: Mapping[str, ModelCurve]
    skipped: Mapping[str, str]
    failed: Mapping[str, str]
    norms: Mapping[str, float]
    unfit: Mapping[str, str] = field(default_factory=dict)
    plain: Mapping[str, Mapping[str, Plain]] = field(default_factory=dict)

    @property
    def best(self) -> str:
        """Label of the way with the least error; of equal ones, the first with the strongest guarantee."""
        least = min(found.relative_error for found in self.plans.values())
        ties = [label for label, found in self.plans.items() if found.relative_error <= least + TIE]
        return min(ties, key=lambda label: self.plans[label].guarantee is not Guarantee.OPTIMAL)

    @property
    def weighted(self) -> bool:
        """Whether errors are in a weighted norm."""
        return bool(self.plain)

    def plain_relative_error(self, label: str) -> float | None:
        """Return the relative error of all matrices in the plain norm; None without weights.

        Parameters
        ----------
        label : str
            One of `plans`.
        """
        if not self.weighted:
            return None
        both = ((errors.error, errors.norm) for errors in self.plain[label].values())
        error, norm = (math.hypot(*values) for values in zip(*both, strict=True))
        return relative(error, norm)

    @property
    def table(self) -> Table:
        """One row for every way to spend the budget."""
        columns = ("structure", "ranks", "n_parameters", "relative_error", "lower_bound", "guarantee")
        rows = tuple(self._row(label, found) for label, found in self.plans.items())
        first = next(iter(self.plans.values()))
        count = len(first.ranks)
        title = f"{count} {'matrix' if count == 1 else 'matrices'}, budget {self.budget} numbers"
        if not self.weighted:
            return Table(columns, rows, title, self._note)
        rows = tuple(
            (*row, self.plain_relative_error(way)) for row, way in zip(rows, self.plans, strict=True)
        )
        return Table((*columns, _PLAIN), rows, f"{title}, errors in the weighted norm", self._note)

    @property
    def matrices(self) -> Table:
        """One row for every matrix and way: structure, ranks, numbers stored, error.

        Under weights the column ``in_norm`` says in which norm `norm` and `relative_error` are.
        """
        columns = ("name", "shape", "norm", "ranks", "structure", "rank", "n_parameters", "relative_error")
        rows = [self._of_matrix(label, name) for label, found in self.plans.items() for name in found.ranks]
        return Table((*columns, *(("in_norm", _PLAIN) if self.weighted else ())), tuple(rows))

    @property
    def matrices_of_best(self) -> Table:
        """One row for every matrix in the best way, as `ModelPlan.table`; under weights with plain errors."""
        table = self.plans[self.best].table
        if not self.weighted:
            return table
        known = self.plain[self.best]
        rows = tuple((*row, known[str(row[0])].relative_error) for row in table.rows)
        return replace(table, columns=(*table.columns, _PLAIN), rows=rows)

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

    def _of_matrix(self, label: str, name: str) -> tuple[Cell, ...]:
        found = self.plans[label]
        row: tuple[Cell, ...] = (
            name,
            "×".join(map(str, found.shapes[name])),
            self.norms[name],
            _kind(label),
            repr(found.structures[name]),
            found.ranks[name],
            found.stored[name],
            found.relative_errors[name],
        )
        if not self.weighted:
            return row
        in_norm = "weighted" if found.is_weighted(name) else "plain"
        return (*row, in_norm, self.plain[label][name].relative_error)

    def to_text(self) -> str:
        """Return the table aligned for a terminal."""
        return self.table.to_text()

    def to_markdown(self) -> str:
        """Return the tables in Markdown: the ways, the matrices of the best, and what was left out."""
        parts = ["# Comparison of checkpoints\n", self.table.to_markdown()]
        parts += [f"\n## Matrices: {self.best}\n", self.matrices_of_best.to_markdown()]
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
            "norm": "weighted" if self.weighted else "Frobenius",
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
        best, plain = self.plans[self.best], self.plain_relative_error(self.best)
        return (
            f"ModelComparison({count} matrices, best: {self.best}, "
            f"relative error {best.relative_error:.4g}{in_norms(plain)})"
        )

    def __str__(self) -> str:
        return str(self.table)

    def _repr_html_(self) -> str:
        return self.table.to_html()


def _kind(label: str) -> str:
    return label.rpartition(", ")[2]
