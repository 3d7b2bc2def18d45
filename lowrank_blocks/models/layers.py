"""One budget over many matrices, such as the layers of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lowrank_blocks._tables import Table
from lowrank_blocks._validation import as_count, as_matrix
from lowrank_blocks.allocation.base import Guarantee
from lowrank_blocks.allocation.budgets import as_budget
from lowrank_blocks.allocation.offers import Ranks, as_spectrum
from lowrank_blocks.models.assignments import Assignment, assign
from lowrank_blocks.models.candidates import Candidate, joint_ledger, split_ranks
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.solver.decomposition import Decomposition, decompose_view
from lowrank_blocks.structures.grids import Global


@dataclass(frozen=True, repr=False)
class LayerRanks:
    """Ranks of many matrices within one budget, with a certificate; made by `allocate_ranks`.

    It prints as a table, one row a matrix, and shows as one in a notebook.

    Attributes
    ----------
    ranks : dict of str to int or tuple of int
        Rank of every matrix; of a decomposition into several blocks the rank of each.
    n_parameters : int
        Numbers stored by all together.
    relative_error : float
        Root of the summed squared errors, divided by that of the summed squared norms.
    lower_bound : float
        No ranks within the budget have a smaller relative error; equal to it where `guarantee` is
        ``"optimal ranks"``.
    guarantee : Guarantee
        As in `Approximation`.
    budget : int
        Most numbers that all together might store.
    stored : dict of str to int
        Numbers stored by every matrix.
    relative_errors : dict of str to float
        Relative error of every matrix.
    note : str
        Where the budget buys no rank at all, what one unit of rank costs; else empty.
    """

    ranks: dict[str, int | tuple[int, ...]]
    n_parameters: int
    relative_error: float
    lower_bound: float
    guarantee: Guarantee
    budget: int
    stored: dict[str, int]
    relative_errors: dict[str, float]
    note: str = ""
    _approximations: dict[str, Approximation] | None = field(default=None, compare=False)

    @property
    def gap(self) -> float:
        """How much smaller than `relative_error` the least relative error could be at most."""
        return self.relative_error - self.lower_bound

    @property
    def approximations(self) -> dict[str, Approximation]:
        """The best approximation of every matrix with these ranks.

        Raises
        ------
        ValueError
            If the ranks were chosen from spectra: no factors can be made of them.
        """
        if self._approximations is None:
            raise ValueError(
                "approximations must come from matrices or decompositions, got spectra only; "
                "write lb.allocate_ranks(matrices, budget=...)."
            )
        return dict(self._approximations)

    @property
    def table(self) -> Table:
        """The matrices as a `Table`: their ranks, the numbers that they store, and their errors."""
        rows = tuple(
            (name, ranks, self.stored[name], self.relative_errors[name]) for name, ranks in self.ranks.items()
        )
        return Table(("name", "rank", "n_parameters", "relative_error"), rows, self._summary, self.note)

    @property
    def _summary(self) -> str:
        count = len(self.ranks)
        return (
            f"{count} {'matrix' if count == 1 else 'matrices'}, {self.n_parameters} of {self.budget} "
            f"numbers, relative error {self.relative_error:.4g}{self._in_norm}, "
            f"{self.guarantee}{f', gap at most {self.gap:.2g}' if self.guarantee is Guarantee.GREEDY else ''}"
        )

    @property
    def _in_norm(self) -> str:
        return ""

    def __repr__(self) -> str:
        return f"LayerRanks({self._summary}{self.note and f'; {self.note}'})"

    def __str__(self) -> str:
        return str(self.table)

    def _repr_html_(self) -> str:
        return self.table.short().to_html()


def allocate_ranks(
    layers: Mapping[str, Decomposition | ArrayLike],
    costs: Mapping[str, int] | None = None,
    budget: int | None = None,
    *,
    rank: int | None = None,
) -> LayerRanks:
    """Choose the ranks of many matrices so that their total error within one budget is least.

    Parameters
    ----------
    layers : dict of str to Decomposition, (m, n) array_like or (k,) array_like
        By name, what `decompose` returned, whose blocks all share the budget; or a matrix, which is
        approximated as by `Global`; or, with `costs`, its singular values, descending.
    costs : dict of str to int, optional
        For singular values only: the numbers stored for one unit of rank of every matrix, ``m + n``.
    budget : int
        Most numbers that all matrices together may store.
    rank : int
        In place of `budget`: what global factorisations of this rank of all matrices store.

    Returns
    -------
    LayerRanks
        The optimum where the search for it is exhaustive, which it always is for up to three
        distinct costs; `LayerRanks.guarantee` says whether. Otherwise `LayerRanks.gap` bounds what is
        missed. Of matrices and decompositions it holds the approximations.

    Raises
    ------
    TypeError, ValueError
        As for `adaptive` and `decompose`; if `layers` is no dict, holds nothing, or `costs` are not
        those of singular values.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> lb.allocate_ranks({"wide": [3.0, 1.0], "tall": [2.0, 2.0]}, {"wide": 5, "tall": 4}, 13).ranks
    {'wide': 1, 'tall': 2}
    >>> found = lb.allocate_ranks({"q": np.diag([3.0, 1.0]), "k": np.diag([2.0, 0.0])}, budget=8)
    >>> print(found)
    2 matrices, 8 of 8 numbers, relative error 0.2673, optimal ranks
    name  rank  n_parameters  relative_error
    ----  ----  ------------  --------------
    q        1             4          0.3162
    k        1             4               0
    >>> found.approximations["q"].to_dense().round(9)
    array([[3., 0.],
           [0., 0.]])
    """
    checked = _checked(layers, costs)
    count = as_budget(budget, rank, sum(candidate.unit for candidate in checked.values()))
    found = assign([[candidate] for candidate in checked.values()], count)
    return LayerRanks(**allocated(checked, found))


def allocated(candidates: Mapping[str, Candidate], found: Assignment) -> dict[str, Any]:
    """Return the fields of a `LayerRanks` from the candidate that every matrix was given."""
    ledger, choice = found.ledger, found.choice
    split = dict(zip(candidates, split_ranks(choice.ranks, list(candidates.values())), strict=True))
    ranks = {name: tuple(part.tolist()) for name, part in split.items()}
    made = {name: c.parts.truncate(ranks[name]) for name, c in candidates.items() if c.parts}
    return {
        "ranks": {name: r[0] if len(r) == 1 else r for name, r in ranks.items()},
        "n_parameters": int(choice.ranks @ ledger.costs),
        "relative_error": ledger.relative_error(choice.ranks),
        "lower_bound": found.bound,
        "guarantee": choice.guarantee,
        "budget": choice.budget,
        "stored": {name: int(split[name] @ c.costs) for name, c in candidates.items()},
        "relative_errors": {name: _relative_error(c, split[name]) for name, c in candidates.items()},
        "note": _note(candidates, choice.budget),
        "_approximations": made or None,
    }


def _relative_error(candidate: Candidate, ranks: Ranks) -> float:
    if candidate.parts is not None:
        return candidate.parts.relative_error(ranks)
    return joint_ledger([candidate]).relative_error(ranks)


def _checked(layers: object, costs: object) -> dict[str, Candidate]:
    """Return what is known of every matrix, or say what is wrong with the arguments."""
    if not isinstance(layers, Mapping):
        raise TypeError(f"layers must be a dict by the names of the matrices, got a {type(layers).__name__}.")
    if not layers:
        raise ValueError("layers must hold at least one matrix, got none.")
    if costs is None:
        return {name: _decomposed(value, f"layers[{name!r}]") for name, value in layers.items()}
    if not isinstance(costs, Mapping):
        raise TypeError(
            f"costs must be a dict by the names of the matrices, got {costs!r}; "
            f"a budget goes by its name: budget={costs!r}."
        )
    if layers.keys() != costs.keys():
        odd = sorted(map(str, layers.keys() ^ costs.keys()))
        raise ValueError(f"costs must have the names of layers, got only one of both for {odd}.")
    return {name: _spectral(value, costs[name], name) for name, value in layers.items()}


def _decomposed(value: Decomposition | ArrayLike, name: str) -> Candidate:
    if not isinstance(value, Decomposition):
        if _is_vector(value):
            raise ValueError(
                f"{name} must be a matrix or a decomposition; a spectrum comes with costs={{name: m + n}}."
            )
        value = decompose_view(as_matrix(value, name), Global())
    return Candidate.of_parts(value)


def _spectral(value: object, cost: object, name: str) -> Candidate:
    if isinstance(value, Decomposition):
        raise TypeError(f"layers[{name!r}] must be a spectrum where costs are given; leave costs out.")
    if getattr(value, "ndim", 1) == 2:
        raise ValueError(f"layers[{name!r}] must be a spectrum where costs are given; leave costs out.")
    unit = as_count(cost, f"costs[{name!r}]", least=1)
    return Candidate.of_spectra([as_spectrum(value, f"layers[{name!r}]")], [unit], unit)


def _is_vector(value: ArrayLike) -> bool:
    try:
        return len(np.shape(value)) == 1
    except ValueError:  # ragged
        return False


def _note(candidates: Mapping[str, Candidate], budget: int) -> str:
    least = min(int(c.costs.min()) for c in candidates.values())
    if budget >= least:
        return ""
    hint = f"; rank={budget} is a budget of {budget * sum(c.unit for c in candidates.values())}"
    meant = 0 < budget <= max(int(c.values.lengths.max()) for c in candidates.values())
    return f"budget {budget} buys no rank: one unit of rank costs {least}{hint if meant else ''}"
