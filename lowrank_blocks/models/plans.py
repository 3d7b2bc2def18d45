"""A plan for a whole model: a structure and ranks for every matrix, within one budget, with a certificate."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

from lowrank_blocks._tables import Cell, Table
from lowrank_blocks._validation import Shape
from lowrank_blocks.allocation.budgets import as_budget
from lowrank_blocks.checkpoints.opening import Source
from lowrank_blocks.checkpoints.updates import Updates, iter_updates
from lowrank_blocks.models.assignments import assign
from lowrank_blocks.models.candidates import Candidate
from lowrank_blocks.models.journal import Journal
from lowrank_blocks.models.layers import LayerRanks, allocated
from lowrank_blocks.models.spectra import ModelSpectra
from lowrank_blocks.models.weighing import ModelWeights, WeightsByName, model_weights
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.checked import as_structure


@dataclass(frozen=True, repr=False)
class ModelPlan(LayerRanks):
    """A structure and ranks for every matrix of a model; made by `plan`.

    It prints as a table, one row a matrix. It holds what `LayerRanks` holds, and:

    Attributes
    ----------
    structures : dict of str to Structure
        Structure of every matrix.
    shapes : dict of str to (int, int)
        Shape of every matrix, output features first.
    skipped : dict of str to str
        Tensors that are not in the plan, with the reason.
    failed : dict of str to str
        Matrices that could not be used, such as one with NaN, with the reason.
    weights : ModelWeights or None
        The weights of some matrices: the errors of these, and of all together, are in the weighted norm.
    """

    structures: dict[str, Structure] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    weights: ModelWeights | None = field(default=None, repr=False, compare=False)

    @property
    def table(self) -> Table:
        """The matrices as a `Table`: structure, ranks, numbers stored, and relative error."""
        columns = ("name", "shape", "structure", "rank", "n_parameters", "relative_error")
        return Table(columns, tuple(self._row(name) for name in self.ranks), self._summary, self.note)

    @property
    def block_ranks(self) -> dict[str, tuple[int, ...]]:
        """Rank of every block of every matrix."""
        return {name: r if isinstance(r, tuple) else (r,) for name, r in self.ranks.items()}

    def is_weighted(self, name: str) -> bool:
        """Whether the errors of a matrix are in a weighted norm."""
        return self.weights is not None and name in self.weights.names

    def _row(self, name: str) -> tuple[Cell, ...]:
        m, n = self.shapes[name]
        shown = self.ranks[name], self.stored[name], self.relative_errors[name]
        return (name, f"{m}×{n}", repr(self.structures[name]), *shown)

    @property
    def _in_norm(self) -> str:
        return " in the weighted norm" if self.weights else ""

    def __repr__(self) -> str:
        return f"ModelPlan({self._summary}{self.note and f'; {self.note}'})"


def plan(
    base: Source,
    tuned: Source,
    structures: Sequence[Structure],
    *,
    budget: int | None = None,
    rank: int | None = None,
    include: str | None = None,
    exclude: str | None = None,
    fan_in_fan_out: bool | None = None,
    row_weights: WeightsByName | None = None,
    col_weights: WeightsByName | None = None,
    executor: Executor | None = None,
) -> ModelPlan:
    """Choose a structure and ranks for every matrix, so that the error of the whole model is least.

    The squared errors of all matrices add. Lagrangian duality bounds what any choice of structures and
    ranks within the budget can reach; `ModelPlan.gap` says how far from it the plan is at most.

    Parameters
    ----------
    base, tuned : path or dict of str to array_like
        Checkpoints before and after fine-tuning; see `open_checkpoint`.
    structures : sequence of Structure
        The candidates of every matrix. One that does not fit a shape is no candidate there.
    budget : int
        Most numbers that all matrices together may store.
    rank : int
        In place of `budget`: what global factorisations of this rank of all matrices store.
    include, exclude, fan_in_fan_out : optional
        Which matrices, and how they are stored; see `iter_updates`.
    row_weights, col_weights : dict by name of array_like or Activations, optional
        What `approximate` takes, for some or all matrices: rows are output features. Their errors are then in
        the weighted norm and add to those of the others. A structure without a closed form under the weights
        of a matrix is no candidate for it.
    executor : concurrent.futures.Executor, optional
        Where the spectra are computed; workers read their own tensors. By default in this process.

    Returns
    -------
    ModelPlan
        No worse than the best single structure with ranks across the model (`allocate_ranks`).

    Raises
    ------
    CheckpointError
        As for `iter_updates`.
    TypeError, ValueError
        If `structures` are none or hold no structure that fits a matrix; not exactly one of `budget` and
        `rank` is given; or weights are of no matrix, or no weights. The message names it.

    Warns
    -----
    RuntimeWarning
        If a matrix cannot be used; the others are planned, and `ModelPlan.failed` has the reason.

    References
    ----------
    Lagrangian bound: Everett, "Generalized Lagrange multiplier method", doi 10.1287/opre.11.3.399.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> base = {"q": np.zeros((4, 4)), "k": np.zeros((4, 4))}
    >>> tuned = {"q": 4 + np.diag([1, 0, 0, 0]), "k": np.kron(np.eye(2), [[2, 1], [1, 1]])}
    >>> print(lb.plan(base, tuned, [lb.Global(), lb.DiagonalLocal(2)], rank=1))
    2 matrices, 16 of 16 numbers, relative error 0.05475, optimal ranks
    name  shape  structure         rank  n_parameters  relative_error
    ----  -----  ----------------  ----  ------------  --------------
    q     4×4    Global()             1             8         0.04533
    k     4×4    DiagonalLocal(2)     1             8          0.1444
    """
    updates = iter_updates(base, tuned, include=include, exclude=exclude, fan_in_fan_out=fan_in_fan_out)
    spectra = model_spectra(
        updates,
        as_structures(structures),
        budget=budget,
        rank=rank,
        executor=executor,
        weights=model_weights(row_weights, col_weights, updates),
    )
    found = planned(spectra, spectra.budget(budget, rank))
    for name, reason in found.failed.items():
        warnings.warn(f"{name} is left out: {reason}", RuntimeWarning, stacklevel=2)
    return found


def as_structures(values: object) -> tuple[Structure, ...]:
    """Return structures without repeats, or say what is wrong."""
    if isinstance(values, Structure):
        values = [values]
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        raise TypeError(f"structures must be a sequence of structures, got {values!r}.")
    checked = tuple(dict.fromkeys(as_structure(v, f"structures[{i}]") for i, v in enumerate(values)))
    if not checked:
        raise ValueError("structures must hold at least one structure, got none.")
    return checked


def model_spectra(
    updates: Updates,
    structures: tuple[Structure, ...],
    *,
    budget: int | None,
    rank: int | None,
    executor: Executor | None = None,
    journal: Journal | None = None,
    with_factors: bool = False,
    weights: ModelWeights | None = None,
) -> ModelSpectra:
    """Return spectra, not yet computed, as deep as a budget or a rank in its place asks for."""
    unit = sum(sum(updates.shape(name)) for name in updates.names)
    count = as_budget(budget, rank, unit)
    return ModelSpectra(updates, structures, count / unit, executor, journal, with_factors, weights)


def planned(
    spectra: ModelSpectra,
    budget: int,
    structure: Structure | None = None,
    names: Sequence[str] | None = None,
) -> ModelPlan:
    """Return the plan of all structures, or of one alone, and deepen spectra until it is proved.

    Parameters
    ----------
    spectra : ModelSpectra
        Candidates of every matrix.
    budget : int
        Most numbers that all may store.
    structure : Structure, optional
        The only candidate; it fits all matrices.
    names : sequence of str, optional
        The only matrices of the plan.
    """
    wanted = list(spectra.candidates if names is None else names)
    while True:
        options = {name: _options(spectra.candidates[name], structure) for name in wanted}
        found = assign(list(options.values()), budget)
        if not found.lacking:
            break
        lacking: dict[str, list[Structure]] = {}
        for k, s in found.lacking:
            lacking.setdefault(wanted[k], []).append(_structure(options[wanted[k]][s]))
        spectra.deepen(lacking)
    chosen = {name: c[k] for (name, c), k in zip(options.items(), found.chosen, strict=True)}
    return ModelPlan(
        **allocated(chosen, replace(found, choice=replace(found.choice, budget=budget))),
        structures={name: _structure(c) for name, c in chosen.items()},
        shapes={name: spectra.updates.shape(name) for name in chosen},
        skipped=dict(spectra.updates.skipped),
        failed=dict(spectra.failed),
        weights=spectra.weights,
    )


def _options(candidates: Sequence[Candidate], structure: Structure | None) -> list[Candidate]:
    return [c for c in candidates if structure is None or c.structure == structure]


def _structure(candidate: Candidate) -> Structure:
    assert candidate.structure is not None
    return candidate.structure
