"""Error against budget: every point of the trade-off from spectra that exist."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._results import ReadOnly
from lowrank_blocks._tables import Table
from lowrank_blocks._validation import Shape, as_count, as_real
from lowrank_blocks.allocation.base import Points
from lowrank_blocks.allocation.budgets import as_budget
from lowrank_blocks.allocation.penalties import undominated
from lowrank_blocks.allocation.staircases import Envelope, Point, Staircase


@dataclass(frozen=True, eq=False, repr=False)
class ErrorCurve(ReadOnly):
    """The least relative error of a structure as a staircase over its parameter count.

    Made by `error_curve`; its arrays are read-only.

    Attributes
    ----------
    label : str
        The structure, and the allocation if it is not `adaptive`.
    shape : (int, int)
        Shape of the matrix.
    n_parameters : (k,) array of int
        Numbers stored at the steps, strictly increasing; at most the budgets, where these were given.
    relative_error : (k,) array of float
        Relative error from each step on, nonincreasing.
    lower_bound : (k,) array of float or None
        A lower bound on the relative error of all candidates at exactly these counts, where they
        are searched (`partition_curve`); None where the curve itself is the optimum.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> curve = lb.error_curve(np.diag([4.0, 0.0, 3.0]), lb.Localized(3))
    >>> curve.n_parameters.tolist(), curve.relative_error.round(9).tolist()
    ([0, 2, 4], [1.0, 0.6, 0.0])
    >>> curve.at(3)
    0.6
    >>> curve.budget_for(0.7)
    2
    """

    label: str
    shape: Shape
    n_parameters: NDArray[np.int64]
    relative_error: NDArray[np.float64]
    lower_bound: NDArray[np.float64] | None = None
    _solve: Staircase | Envelope | None = None  # for budgets between the steps, where these do not tell all

    def at(self, budget: int | None = None, *, rank: int | None = None) -> float:
        """Return the relative error that is reached within a budget; more budget never leaves more.

        It is the error of the last step, unless other ranks can be better between the steps: with blocks
        of different cost, and between given budgets, `at` solves as `approximate` would at that budget. A
        curve of `partition_curve` gives its partitions their best ranks at that budget and takes the least.
        A curve of given budgets with an allocation of your own knows its steps only.

        Parameters
        ----------
        budget : int
            Most numbers that may be stored.
        rank : int
            In place of `budget`: that of a global factorisation of this rank, as `rank_budget` counts it.

        Raises
        ------
        TypeError, ValueError
            If not exactly one of both is given, and a non-negative integer, or the budget is below the
            first step of a curve that knows its steps only.
        """
        count = as_budget(budget, rank, sum(self.shape))
        step = int(np.searchsorted(self.n_parameters, count, side="right")) - 1
        if self._solve is None and step < 0:
            raise ValueError(
                f"budget must be at least {self.n_parameters[0]}, where the curve starts, got {count}."
            )
        known = float(self.relative_error[step]) if step >= 0 else 1.0
        if self._solve is None or (step >= 0 and self.n_parameters[step] == count):
            return known
        beyond = float(self.relative_error[step + 1]) if step + 1 < len(self.relative_error) else 0.0
        return min(known, max(beyond, self._solve(count).relative_error))

    def budget_for(self, relative_error: float) -> int:
        """Return the least budget at which `at` reaches a relative error.

        Parameters
        ----------
        relative_error : float
            The error to reach, from 0 to 1.

        Raises
        ------
        TypeError, ValueError
            If `relative_error` is negative, above 1 or not finite, or less than the curve ever reaches.
        """
        target = as_real(relative_error, "relative_error")
        if target > 1:
            raise ValueError(
                f"relative_error must be at most 1, the error of storing nothing, got {target}; "
                f"for the error within a budget write curve.at({int(target)})."
            )
        step = int(np.searchsorted(-self.relative_error, -target))
        last = self.n_parameters[-1] if self._solve is None else self._solve.everything
        high = int(self.n_parameters[step]) if step < len(self.n_parameters) else int(last)
        least = self.at(high)
        if least > target:
            raise ValueError(
                f"relative_error must be at least {least:.6g}, the least {self.label} reaches, got {target}."
            )
        if self._solve is None:
            return high
        between = range(int(self.n_parameters[step - 1]) if step else 0, high + 1)
        return between[bisect_left(between, -target, key=lambda budget: -self.at(budget))]

    @property
    def table(self) -> Table:
        """The steps as a `Table`."""
        columns = self._columns()
        return Table(tuple(columns), tuple(zip(*columns.values(), strict=True)), self.label)

    def to_csv(self) -> str:
        """Return CSV with every digit, one line a step."""
        return self.table.to_csv()

    def to_json(self) -> str:
        """Return a JSON object with label, shape and one list a column."""
        document = {"label": self.label, "shape": list(self.shape), **self._columns()}
        return json.dumps(document, allow_nan=False) + "\n"

    def to_dataframe(self) -> Any:
        """Return a `pandas.DataFrame`, one row a step.

        Raises
        ------
        ModuleNotFoundError
            If pandas is not installed.
        """
        return self.table.to_dataframe()

    def _columns(self) -> dict[str, list[Any]]:
        columns = {"n_parameters": self.n_parameters, "relative_error": self.relative_error}
        if self.lower_bound is not None:
            columns["lower_bound"] = self.lower_bound
        return {name: column.tolist() for name, column in columns.items()}

    def __repr__(self) -> str:
        first, last = self.relative_error[0], self.relative_error[-1]
        return (
            f"ErrorCurve({self.label}, {len(self.n_parameters)} steps, {self.n_parameters[0]} to "
            f"{self.n_parameters[-1]} parameters, relative error {first:.4g} to {last:.4g})"
        )


def as_budgets(values: object) -> list[int]:
    """Return a nonempty, strictly increasing sequence of budgets as ints, or say why it is none."""
    if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, np.ndarray)):
        raise TypeError(f"budgets must be a sequence of non-negative integers, got {values!r}.")
    budgets = [as_count(value, f"budgets[{i}]") for i, value in enumerate(values)]
    if not budgets:
        raise ValueError("budgets must be a nonempty sequence, got none; leave it out for all steps.")
    for i in range(1, len(budgets)):
        if budgets[i - 1] >= budgets[i]:
            raise ValueError(
                f"budgets must increase, got {budgets[i - 1]} before budgets[{i}] = {budgets[i]}."
            )
    return budgets


def pareto(points: Iterable[Point]) -> Points:
    """Return the counts and the errors of the points that no point of no more numbers equals or beats."""
    found = list(points)
    counts = np.array([point.n_parameters for point in found], dtype=np.int64)
    errors = np.array([point.relative_error for point in found])
    kept = undominated(counts, errors)
    return counts[kept], errors[kept]
