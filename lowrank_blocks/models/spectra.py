"""Spectra of many updates, no deeper than an answer needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from lowrank_blocks._validation import Matrix, Shape, as_matrix
from lowrank_blocks._version import __version__
from lowrank_blocks.allocation.budgets import as_budget
from lowrank_blocks.checkpoints.updates import Updates
from lowrank_blocks.linalg import Ragged
from lowrank_blocks.models.candidates import Candidate, candidate
from lowrank_blocks.models.journal import Arrays, Journal
from lowrank_blocks.models.packing import packed_leading, unpacked_leading
from lowrank_blocks.models.weighing import NO_ERROR, ModelWeights, require_fit, weights_key
from lowrank_blocks.models.work import Failure, Job, gathered
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.solver.direct import LeadingFactors
from lowrank_blocks.solver.weighted import decompose_weighted
from lowrank_blocks.solver.weights import Weights
from lowrank_blocks.structures.base import Layout, Structure
from lowrank_blocks.structures.checked import laid_out

_DEEPER = 4  # times as many, where these turn out to be too few

Candidates = tuple[Candidate, ...]


@dataclass(frozen=True)
class SpectraJob(Job[Candidates]):
    """The candidates of one update; the tensors are read where the work is done.

    Attributes
    ----------
    updates : Updates
        Holds the one update.
    structures : tuple of Structure
        The candidates.
    depths : tuple of float
        For every candidate the global rank whose numbers, spent evenly over its blocks, say how many
        values of each are computed.
    with_factors : bool
        Whether the factors are kept, too; see `candidate`.
    weights : ModelWeights or None
        Those of the matrix; all values of the weighted matrix are computed, and no factors are kept.
    """

    updates: Updates
    structures: tuple[Structure, ...]
    depths: tuple[float, ...]
    with_factors: bool = False
    weights: ModelWeights | None = None

    @property
    def name(self) -> str:  # type: ignore[override]
        """The matrix."""
        return self.updates.names[0]

    @property
    def key(self) -> str:
        """All that the candidates depend on."""
        asked = self.structures, self.depths, self.with_factors
        return (
            f"{__version__} {self.updates.identity(self.name)} {asked}{weights_key(self.weights, self.name)}"
        )

    def run(self) -> Candidates:
        """Read the update and compute its spectra."""
        dW = as_matrix(self.updates.read(self.name), f"the update of {self.name}")
        weights = self.weights and self.weights.of(self.name, (dW.shape[0], dW.shape[1]))
        if weights:
            return tuple(_weighted(dW, structure, weights) for structure in self.structures)
        return tuple(
            candidate(dW, structure, depth, with_factors=self.with_factors)
            for structure, depth in zip(self.structures, self.depths, strict=True)
        )

    def packed(self, result: Candidates) -> Arrays:
        """Return the candidates as arrays."""
        return {f"{k} {name}": a for k, c in enumerate(result) for name, a in _packed(c).items()}

    def kept(self, result: Candidates, key: str, journal: Journal) -> Candidates:
        """Return the candidates without their factors, which the journal holds: all of them may be large."""
        return tuple(
            c if c.leading is None else replace(c, leading=partial(self._factors, key, journal, k))
            for k, c in enumerate(result)
        )

    def _factors(self, key: str, journal: Journal, place: int) -> LeadingFactors | None:
        """Return factors from the journal; None if it no longer holds them."""
        arrays, structure = journal.read(key), self.structures[place]
        if arrays is None:
            return None
        layout = laid_out(structure, self.updates.shape(self.name))
        return unpacked_leading(_of(arrays, place), structure, layout)

    def unpacked(self, arrays: Arrays) -> Candidates:
        """Return the candidates that arrays hold."""
        found = []
        for k, structure in enumerate(self.structures):
            layout = laid_out(structure, self.updates.shape(self.name))
            found.append(_unpacked(_of(arrays, k), structure, layout))
        return tuple(found)


def _weighted(matrix: Matrix, structure: Structure, weights: Weights) -> Candidate:
    return Candidate.of_parts(decompose_weighted(matrix, structure, weights), keep=False)


def _deepened(old: Candidate, new: Candidate) -> Candidate:
    """Return the new candidate, with the old factors if it has none: the ranks may turn out no larger."""
    return new if new.leading is not None else replace(new, leading=old.leading)


def _of(arrays: Arrays, place: int) -> dict[str, Any]:
    """Return the arrays of one candidate."""
    return {name.split(" ", 1)[1]: a for name, a in arrays.items() if name.startswith(f"{place} ")}


def _packed(c: Candidate) -> dict[str, Any]:
    factors = c.factors
    if factors is not None:
        return packed_leading(factors)
    numbers = np.array([float(c.unit), c.outside])
    values = {"values": c.values.flat, "lengths": c.values.lengths, "numbers": numbers}
    return values | {"costs": c.costs, "left": c.left, "ceilings": c.ceilings}


def _unpacked(arrays: dict[str, Any], structure: Structure, layout: Layout) -> Candidate:
    if "excess" in arrays:
        return Candidate.of_leading(unpacked_leading(arrays, structure, layout), keep=True)
    unit, outside = arrays["numbers"].tolist()
    values = Ragged(arrays["values"], arrays["lengths"])
    costs, left, ceilings = (arrays[name] for name in ("costs", "left", "ceilings"))
    return Candidate(values, costs, int(unit), outside, left, ceilings, structure)


@dataclass
class ModelSpectra:
    """The candidates of all updates, computed when asked for, with more values where an answer needs them.

    Attributes
    ----------
    updates : Updates
        The updates.
    structures : tuple of Structure
        The candidates; one that does not fit the shape of a matrix is no candidate for it.
    rank : float
        The global rank that the budget stands for.
    executor, journal : optional
        Where it is done, and what was done before; see `gathered`.
    with_factors : bool
        Whether factors are kept, too; see `candidate`.
    weights : ModelWeights, optional
        Of some matrices, whose values are those in the weighted norm.
    failed : dict of str to str
        Matrices that could not be used, with the reason.
    """

    updates: Updates
    structures: tuple[Structure, ...]
    rank: float
    executor: Executor | None = None
    journal: Journal | None = None
    with_factors: bool = False
    weights: ModelWeights | None = None
    failed: dict[str, str] = field(default_factory=dict)

    @cached_property
    def fitting(self) -> dict[str, tuple[Structure, ...]]:
        """The structures that fit each matrix.

        Raises
        ------
        ValueError
            If none fits one of them.
        """
        return {name: self._fitting(name, self.updates.shape(name)) for name in self.updates.names}

    @cached_property
    def candidates(self) -> dict[str, Candidates]:
        """The candidates of every matrix that is not zero and can be used."""
        names = list(self.fitting)
        known = self._run({name: dict.fromkeys(self.fitting[name], self.rank) for name in names})
        found = {}
        for name in names:
            if name in known and not any(
                c.values.flat.any() or c.outside or c.left.any() for c in known[name]
            ):
                weighted = self.weights is not None and name in self.weights.names
                self.updates.skipped[name] = NO_ERROR if weighted else "unchanged"
            elif name in known:
                found[name] = known[name]
        self._depths = {name: dict.fromkeys(self.fitting[name], self.rank) for name in found}
        if not found:
            reasons = [f"{name}: {reason}" for name, reason in (self.failed | self.updates.skipped).items()]
            raise ValueError(f"a matrix must have changed and be usable, got none; {'; '.join(reasons[:3])}")
        return found

    def budget(self, budget: int | None, rank: int | None) -> int:
        """Return the budget, or that of a global rank of all matrices that can be used."""
        return as_budget(budget, rank, sum(sum(self.updates.shape(name)) for name in self.candidates))

    def cut(self, name: str, ranks: Sequence[int]) -> Approximation | None:
        """Return the approximation of these ranks from factors that were kept, if they have as many.

        The matrix has one candidate.
        """
        factors = self.candidates[name][0].factors
        return factors.truncate(ranks) if factors is not None and factors.reaches(ranks) else None

    def deepen(self, lacking: Mapping[str, Sequence[Structure]]) -> None:
        """Compute more values of some candidates.

        Raises
        ------
        ValueError
            If a matrix that could be used before cannot be used now.
        """
        for name, structures in lacking.items():
            for structure in structures:
                self._depths[name][structure] = max(1.0, _DEEPER * self._depths[name][structure])
        deeper = self._run({name: {s: self._depths[name][s] for s in lacking[name]} for name in lacking})
        for name in lacking:
            if name not in deeper:
                raise ValueError(f"{name} must be readable twice, got: {self.failed[name]}")
            new = {c.structure: c for c in deeper[name]}
            self.candidates[name] = tuple(
                _deepened(c, new.get(c.structure, c)) for c in self.candidates[name]
            )

    def _run(self, depths: Mapping[str, Mapping[Structure, float]]) -> dict[str, Candidates]:
        jobs = [self._job(name, wanted) for name, wanted in depths.items()]
        results = gathered(jobs, executor=self.executor, journal=self.journal, description="spectra")
        found = {}
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, Failure):
                self.failed[job.name] = result.reason
            else:
                found[job.name] = result
        return found

    def _job(self, name: str, wanted: Mapping[Structure, float]) -> SpectraJob:
        weights = self.weights and self.weights.only(name)
        depths = tuple(wanted.values())
        return SpectraJob(self.updates.only(name), tuple(wanted), depths, self.with_factors, weights)

    def _fitting(self, name: str, shape: Shape) -> tuple[Structure, ...]:
        fitting, reason = [], ""
        for structure in self.structures:
            try:
                require_fit(self.weights, name, structure, shape)
            except ValueError as error:
                reason = str(error)
            else:
                fitting.append(structure)
        if not fitting:
            raise ValueError(f"structures must hold one that fits {name}, got none: {reason}")
        return tuple(fitting)
