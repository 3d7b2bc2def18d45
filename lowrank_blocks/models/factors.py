"""Factors of many updates at ranks that are known, one matrix at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np

from lowrank_blocks._results import lock_all
from lowrank_blocks._validation import Matrix, as_matrix
from lowrank_blocks._version import __version__
from lowrank_blocks.allocation.base import Fixed
from lowrank_blocks.checkpoints.updates import Updates
from lowrank_blocks.linalg import Accuracy
from lowrank_blocks.models.journal import Arrays, Journal
from lowrank_blocks.models.packing import split
from lowrank_blocks.models.weighing import ModelWeights, weights_key
from lowrank_blocks.models.work import Failure, Job, gathered
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.solver.calls import approximate
from lowrank_blocks.solver.plain import Plain
from lowrank_blocks.solver.weighted import decompose_weighted
from lowrank_blocks.solver.weights import Weights
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.checked import laid_out

Cut = Callable[[str, tuple[int, ...]], Approximation | None]


@dataclass(frozen=True)
class FactorJob(Job[Approximation]):
    """The factors of one update; the tensors are read where the work is done.

    Attributes
    ----------
    updates : Updates
        Holds the one update.
    structure : Structure
        Where its blocks are.
    ranks : tuple of int
        One a block.
    weights : ModelWeights or None
        Those of the matrix; the factors are then the best in the weighted norm.
    """

    updates: Updates
    structure: Structure
    ranks: tuple[int, ...]
    weights: ModelWeights | None = None

    @property
    def name(self) -> str:  # type: ignore[override]
        """The matrix."""
        return self.updates.names[0]

    @property
    def key(self) -> str:
        """All that the factors depend on."""
        asked = f"{self.structure} {self.ranks}{weights_key(self.weights, self.name)}"
        return f"{__version__} {self.updates.identity(self.name)} {asked}"

    def run(self) -> Approximation:
        """Read the update and compute its factors."""
        dW = as_matrix(self.updates.read(self.name), f"the update of {self.name}")
        shape = dW.shape[0], dW.shape[1]
        weights = self.weights and self.weights.of(self.name, shape)
        if weights:
            return self._weighted(dW, weights)
        costs = laid_out(self.structure, shape).rank_costs
        made = approximate(dW, self.structure, int(costs @ self.ranks), allocate=Fixed(self.ranks))
        return replace(made, lower_bound=None)

    def _weighted(self, matrix: Matrix, weights: Weights) -> Approximation:
        """Return the best in the weighted norm; blocks of few samples have no more ranks than these."""
        parts = decompose_weighted(matrix, self.structure, weights)
        ranks = np.minimum(self.ranks, [len(s) for s in parts.spectra])
        costs = np.asarray(parts.costs)
        budget, unit = int(costs @ ranks), int(costs.min())
        return replace(parts.truncate(ranks), budget=budget, unit_cost=unit, lower_bound=None)

    def packed(self, result: Approximation) -> Arrays:
        """Return an approximation as arrays."""
        accuracy = result.accuracy
        numbers = [result.error, result.relative_error, accuracy.norm, accuracy.relative_bound]
        return {
            "left": np.concatenate([b.ravel() for b, _ in result.factors]),
            "right": np.concatenate([a.ravel() for _, a in result.factors]),
            "numbers": np.array([*numbers, accuracy.outside, accuracy.norm_bound]),
            "bounds": np.array(accuracy.bounds),
            "methods": np.array(accuracy.methods),
            "ranks": np.asarray(result.ranks, dtype=np.int64),
        } | ({"plain": np.array(astuple(result.plain))} if result.plain else {})

    def unpacked(self, arrays: Arrays) -> Approximation:
        """Return the approximation that arrays hold."""
        stored: dict[str, Any] = dict(arrays)
        layout = laid_out(self.structure, self.updates.shape(self.name))
        ranks = stored["ranks"]
        sides = np.array(layout.block_shapes)
        lefts = split(stored["left"], sides[:, 0] * ranks)
        rights = split(stored["right"], sides[:, 1] * ranks)
        factors = tuple(
            (b.reshape(p, r), a.reshape(r, q))
            for b, a, (p, q), r in zip(lefts, rights, sides.tolist(), ranks.tolist(), strict=True)
        )
        error, relative_error, norm, relative_bound, outside, norm_bound = stored["numbers"].tolist()
        methods, bounds = tuple(stored["methods"].tolist()), tuple(stored["bounds"].tolist())
        lock_all([ranks, *(array for pair in factors for array in pair)])
        return Approximation(
            structure=self.structure,
            shape=layout.shape,
            ranks=ranks,
            factors=factors,
            error=error,
            relative_error=relative_error,
            guarantee="given ranks",
            lower_bound=None,
            accuracy=Accuracy(methods, bounds, norm, relative_bound, outside, norm_bound),
            budget=int(layout.rank_costs @ ranks),
            unit_cost=int(layout.rank_costs.min()),
            plain=Plain(*stored["plain"].tolist()) if "plain" in stored else None,
        )


def factored(
    updates: Updates,
    structures: Mapping[str, Structure],
    ranks: Mapping[str, tuple[int, ...]],
    *,
    cut: Cut | None = None,
    weights: ModelWeights | None = None,
    executor: Executor | None = None,
    journal: Journal | None = None,
) -> tuple[dict[str, Approximation], dict[str, str]]:
    """Return the best approximations of updates at some ranks, and why others have none.

    Parameters
    ----------
    updates : Updates
        Holds them.
    structures, ranks : dict by name
        Structure of every matrix, and the rank of each of its blocks.
    cut : callable, optional
        Returns the approximation of a matrix at some ranks from factors that are known, if these suffice. The
        matrix is then not read again.
    weights : ModelWeights, optional
        Of some matrices, whose approximations are then the best in the weighted norm.
    executor, journal : optional
        Where it is done, and what was done before; see `gathered`.
    """
    known = {name: cut(name, own) for name, own in ranks.items()} if cut else {}
    made = {name: approximation for name, approximation in known.items() if approximation is not None}
    jobs = [
        FactorJob(updates.only(name), structures[name], ranks[name], weights and weights.only(name))
        for name in ranks
        if name not in made
    ]
    failed = {}
    results = gathered(jobs, executor=executor, journal=journal, description="factors")
    for job, result in zip(jobs, results, strict=True):
        if isinstance(result, Failure):
            failed[job.name] = result.reason
        else:
            made[job.name] = result
    return {name: made[name] for name in ranks if name in made}, failed
