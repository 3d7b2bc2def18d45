"""Errors in the plain norm of what is best in weighted ones: its factors are made, measured and dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass

import numpy as np

from lowrank_blocks._validation import as_matrix
from lowrank_blocks._version import __version__
from lowrank_blocks.checkpoints.updates import Updates
from lowrank_blocks.models.journal import Arrays
from lowrank_blocks.models.plans import ModelPlan
from lowrank_blocks.models.spectra import ModelSpectra
from lowrank_blocks.models.weighing import ModelWeights, weights_key
from lowrank_blocks.models.work import Failure, Job, gathered
from lowrank_blocks.solver.approximation import plain_of
from lowrank_blocks.solver.plain import Plain
from lowrank_blocks.solver.weighted import decompose_weighted
from lowrank_blocks.structures.base import Structure

Place = tuple[Structure, tuple[int, ...]]  # a structure and the rank of each of its blocks


@dataclass(frozen=True)
class PlainJob(Job[tuple[Plain, ...]]):
    """The plain errors of one update; the tensors are read where the work is done.

    Attributes
    ----------
    updates : Updates
        Holds the one update.
    asked : tuple of (Structure, ranks)
        What is measured.
    weights : ModelWeights or None
        Those of the matrix.
    """

    updates: Updates
    asked: tuple[Place, ...]
    weights: ModelWeights | None

    @property
    def name(self) -> str:  # type: ignore[override]
        """The matrix."""
        return self.updates.names[0]

    @property
    def key(self) -> str:
        """All that the errors depend on."""
        asked = f"plain {self.asked}{weights_key(self.weights, self.name)}"
        return f"{__version__} {self.updates.identity(self.name)} {asked}"

    def run(self) -> tuple[Plain, ...]:
        """Read the update, and measure the best approximations in the weighted norm."""
        dW = as_matrix(self.updates.read(self.name), f"the update of {self.name}")
        shape = dW.shape[0], dW.shape[1]
        weights = None if self.weights is None else self.weights.of(self.name, shape)
        found: dict[Place, Plain] = {}
        for structure in dict.fromkeys(structure for structure, _ in self.asked):
            parts = decompose_weighted(dW, structure, weights)
            ranks = (ranks for other, ranks in self.asked if other == structure)
            found |= {(structure, r): plain_of(parts.truncate(r)) for r in ranks}
        return tuple(found[place] for place in self.asked)

    def packed(self, result: tuple[Plain, ...]) -> Arrays:
        """Return the errors as one array."""
        return {"plain": np.array([astuple(errors) for errors in result])}

    def unpacked(self, arrays: Arrays) -> tuple[Plain, ...]:
        """Return the errors that an array holds."""
        return tuple(Plain(*row) for row in arrays["plain"].tolist())


def plain_errors(
    spectra: ModelSpectra, plans: Mapping[str, ModelPlan], norms: Mapping[str, float]
) -> dict[str, dict[str, Plain]]:
    """Return the plain errors of every matrix in every way, by the label of the way; none without weights.

    Parameters
    ----------
    spectra : ModelSpectra
        Where the plans come from. Matrices with weights are read once more.
    plans : dict of str to ModelPlan
        The ways.
    norms : dict of str to float
        Norm of every matrix; of those without weights, in which all their errors are.
    """
    weights = spectra.weights
    if weights is None:
        return {}
    places = {
        label: {name: (plan.structures[name], ranks) for name, ranks in plan.block_ranks.items()}
        for label, plan in plans.items()
    }
    asked = {
        name: tuple(dict.fromkeys(own[name] for own in places.values()))
        for name in norms
        if name in weights.names
    }
    known = _of_weighted(spectra, weights, asked)
    return {
        label: {
            name: known[name][places[label][name]]
            if name in known
            else Plain(plan.relative_errors[name] * norm, norm)
            for name, norm in norms.items()
        }
        for label, plan in plans.items()
    }


def _of_weighted(
    spectra: ModelSpectra, weights: ModelWeights, asked: Mapping[str, tuple[Place, ...]]
) -> dict[str, dict[Place, Plain]]:
    jobs = [
        PlainJob(spectra.updates.only(name), places, weights.only(name)) for name, places in asked.items()
    ]
    results = gathered(jobs, executor=spectra.executor, journal=spectra.journal, description="plain errors")
    found = {}
    for job, result in zip(jobs, results, strict=True):
        if isinstance(result, Failure):
            raise ValueError(f"{job.name} must be readable twice, got: {result.reason}")  # noqa: TRY004
        found[job.name] = dict(zip(job.asked, result, strict=True))
    return found
