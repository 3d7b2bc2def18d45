"""The atlas of a whole model: every family on all its matrices."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from lowrank_blocks._escaping import markdown
from lowrank_blocks._tables import Table
from lowrank_blocks.allocation.budgets import rank_budget
from lowrank_blocks.checkpoints.opening import Source
from lowrank_blocks.checkpoints.updates import Updates, iter_updates
from lowrank_blocks.peft.family import Fit
from lowrank_blocks.peft.registry import ENTRIES
from lowrank_blocks.peft.target import Target
from lowrank_blocks.reports.atlas import compared, fits_within
from lowrank_blocks.reports.comparison import Comparison

_COLUMNS = ("family", "matrices", "n_parameters", "relative_error")


@dataclass(frozen=True, repr=False)
class ModelAtlas:
    """The atlas of every matrix of a model, and the sums of every family over all of them.

    Attributes
    ----------
    comparisons : dict of str to Comparison
        What `atlas` gives of every matrix, each within its own budget.
    table : Table
        One row a family, the nearest first: how many matrices it fits, its numbers, and the relative error of
        the whole model. A matrix that it does not fit counts as not adapted.
    """

    comparisons: Mapping[str, Comparison]
    table: Table

    def to_text(self) -> str:
        """Return the sums as an aligned table."""
        return self.table.to_text()

    def to_markdown(self) -> str:
        """Return the sums, and the table of every matrix."""
        parts = [f"\n## {markdown(name)}\n\n{c.to_markdown()}" for name, c in self.comparisons.items()]
        return self.table.to_markdown() + "".join(parts)

    def to_csv(self) -> str:
        """Return the sums as CSV with every digit."""
        return self.table.to_csv()

    def to_json(self) -> str:
        """Return a JSON object with the sums and every matrix."""
        matrices = {name: c.to_document() for name, c in self.comparisons.items()}
        document = {"families": self.table.to_records(), "matrices": matrices}
        return json.dumps(document, indent=2, allow_nan=False) + "\n"

    def __str__(self) -> str:
        return self.to_text().rstrip("\n")

    def __repr__(self) -> str:
        name, *_, error = self.table.rows[0]
        return f"ModelAtlas({len(self.comparisons)} matrices, best {name} with relative error {error:.4g})"


def atlas_checkpoints(
    base: Source,
    tuned: Source,
    *,
    rank: int,
    include: str | None = None,
    exclude: str | None = None,
    fan_in_fan_out: bool | None = None,
) -> ModelAtlas:
    """Return the atlas of the updates between two checkpoints.

    Parameters
    ----------
    base, tuned : path or dict of str to array_like
        Checkpoints before and after fine-tuning, as `iter_updates` takes them.
    rank : int
        Budget of every matrix: that of a LoRA of this rank.
    include, exclude : str, optional
        Regular expressions that choose matrices by name.
    fan_in_fan_out : bool, optional
        Whether weights are stored as (in, out); see `iter_updates`.

    Returns
    -------
    ModelAtlas

    Raises
    ------
    TypeError, ValueError
        As for `iter_updates` and `atlas`.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> base = {"q": np.ones((4, 4)), "k": np.eye(4)}
    >>> tuned = {"q": 2 * np.ones((4, 4)), "k": 3 * np.eye(4)}
    >>> found = lb.atlas_checkpoints(base, tuned, rank=1)
    >>> found.table.rows[0]
    ('IA3, rows', 2, 8, 0.0)
    """
    updates = iter_updates(base, tuned, include=include, exclude=exclude, fan_in_fan_out=fan_in_fan_out)
    return atlas_of_updates(updates, rank)


def atlas_of_updates(updates: Updates, rank: int) -> ModelAtlas:
    """Return the atlas of updates that are read one after the other."""
    comparisons, found, total = {}, {name: _Sum() for name in ENTRIES}, 0.0
    for name, dW in updates:
        target = Target.of(dW, updates.weight(name))
        budget = rank_budget(target.shape, rank)
        fits = fits_within(target, budget)
        comparisons[name] = compared(target, budget, fits)
        total += target.norm**2
        found = {entry: so_far.plus(fits[entry], target.norm) for entry, so_far in found.items()}
    return ModelAtlas(comparisons, _table(found, total, len(comparisons)))


@dataclass(frozen=True)
class _Sum:
    """Sums of one family over matrices."""

    matrices: int = 0
    n_parameters: int = 0
    squared: float = 0.0

    def plus(self, fit: Fit | str, norm: float) -> _Sum:
        """Return the sums with one matrix more."""
        if isinstance(fit, str):
            return _Sum(self.matrices, self.n_parameters, self.squared + norm**2)
        numbers = self.n_parameters + fit.n_parameters
        return _Sum(self.matrices + 1, numbers, self.squared + fit.error**2)


def _table(found: Mapping[str, _Sum], total: float, count: int) -> Table:
    rows = [
        (name, s.matrices, s.n_parameters, math.sqrt(s.squared / (total or 1.0)))
        for name, s in found.items()
        if s.matrices
    ]
    rows.sort(key=lambda row: row[3])
    return Table(_COLUMNS, tuple(rows), f"{count} matrices of norm {math.sqrt(total):.4g}")
