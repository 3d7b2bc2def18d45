"""Compare checkpoints: every structure with the same rank everywhere and with ranks across, and the plan."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

from lowrank_blocks._results import locked
from lowrank_blocks.allocation.base import Guarantee
from lowrank_blocks.allocation.ledger import relative
from lowrank_blocks.checkpoints.opening import Source
from lowrank_blocks.checkpoints.updates import iter_updates
from lowrank_blocks.models.candidates import common_unit, joint_ledger
from lowrank_blocks.models.comparison import ACROSS, PLAN, SAME, ModelComparison, ModelCurve
from lowrank_blocks.models.duality import hull
from lowrank_blocks.models.plain import plain_errors
from lowrank_blocks.models.plans import ModelPlan, as_structures, model_spectra, planned
from lowrank_blocks.models.spectra import ModelSpectra
from lowrank_blocks.models.weighing import WeightsByName, model_weights
from lowrank_blocks.structures.base import Structure

_POINTS = 128  # of a curve of the whole model
_REACH = 4  # budgets up to which it is drawn


def compare_checkpoints(
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
) -> ModelComparison:
    """Compare what structures reach on the difference of two checkpoints, within one budget.

    Every structure that fits all matrices is tried with the same rank everywhere, where every matrix
    spends what a global factorisation of that rank stores, and with ranks chosen across the model. The
    plan chooses structures, too.

    Parameters
    ----------
    base, tuned, structures, budget, rank, include, exclude, fan_in_fan_out, executor
        As for `plan`. Of a budget, the same rank everywhere is the largest that it pays for.
    row_weights, col_weights : dict by name of array_like or Activations, optional
        As for `plan`: errors are then in the weighted norm, and `ModelComparison.plain` has the plain ones
        beside them, for which matrices with weights are read once more.

    Returns
    -------
    ModelComparison

    Raises
    ------
    CheckpointError, TypeError, ValueError
        As for `plan`.

    Warns
    -----
    RuntimeWarning
        As for `plan`.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> base = {"q": np.zeros((4, 4)), "k": np.zeros((4, 4))}
    >>> tuned = {"q": np.diag([4.0, 3, 2, 1]), "k": np.kron(np.eye(2), np.ones((2, 2)))}
    >>> print(lb.compare_checkpoints(base, tuned, [lb.Global(), lb.DiagonalLocal(2)], rank=1))
    2 matrices, budget 16 numbers
    structure         ranks         n_parameters  relative_error  lower_bound  guarantee
    ----------------  ------------  ------------  --------------  -----------  -------------
    Global()          same rank               16          0.6882       0.5849  given ranks
    Global()          ranks across            16          0.5849       0.5849  optimal ranks
    DiagonalLocal(2)  same rank               16          0.3627       0.3627  given ranks
    DiagonalLocal(2)  ranks across            16          0.3627       0.3627  optimal ranks
    plan              plan                    16          0.3627       0.3627  optimal ranks
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
    found = compared(spectra, budget, rank)
    for name, reason in found.failed.items():
        warnings.warn(f"{name} is left out: {reason}", RuntimeWarning, stacklevel=2)
    return found


def compared(spectra: ModelSpectra, budget: int | None, rank: int | None) -> ModelComparison:
    """Return the comparison of all structures of some spectra."""
    count = spectra.budget(budget, rank)
    unfit = {
        structure: name
        for structure in spectra.structures
        for name in spectra.candidates
        if structure not in spectra.fitting[name]
    }
    everywhere = [structure for structure in spectra.structures if structure not in unfit]
    plans: dict[str, ModelPlan] = {}
    for structure in everywhere:
        across = planned(spectra, count, structure)
        plans[f"{structure!r}, {SAME}"] = same_rank(spectra, count, structure, across.lower_bound)
        plans[f"{structure!r}, {ACROSS}"] = across
    plans[PLAN] = planned(spectra, count)
    curves = {repr(s): _curve(spectra, count, s) for s in everywhere} | {PLAN: _curve(spectra, count)}
    norms = _norms(spectra)
    return ModelComparison(
        plans=plans,
        budget=count,
        curves=curves,
        skipped=dict(spectra.updates.skipped),
        failed=dict(spectra.failed),
        norms=norms,
        unfit={repr(structure): name for structure, name in unfit.items()},
        plain=plain_errors(spectra, plans, norms),
    )


def same_rank(spectra: ModelSpectra, budget: int, structure: Structure, bound: float) -> ModelPlan:
    """Return the same rank everywhere: each matrix spends what a global factorisation of it stores.

    Parameters
    ----------
    spectra : ModelSpectra
        Candidates of every matrix.
    budget : int
        The rank is the largest that it pays for.
    structure : Structure
        Of all matrices.
    bound : float
        No ranks within the budget have a smaller relative error.
    """
    units = {name: sum(spectra.updates.shape(name)) for name in spectra.candidates}
    rank = budget // sum(units.values())
    alone = {name: planned(spectra, rank * unit, structure, [name]) for name, unit in units.items()}
    norms = _norms(spectra)
    norm, error = (
        math.hypot(*norms.values()),
        math.hypot(*(p.relative_error * norms[n] for n, p in alone.items())),
    )
    first = next(iter(alone.values()))
    joined: dict[str, Any] = {
        field: {name: getattr(found, field)[name] for name, found in alone.items()}
        for field in ("ranks", "stored", "relative_errors", "structures", "shapes")
    }
    return replace(
        first,
        **joined,
        n_parameters=sum(found.n_parameters for found in alone.values()),
        relative_error=relative(error, norm),
        lower_bound=min(bound, relative(error, norm)),
        guarantee=Guarantee.GIVEN,
        budget=budget,
        note=first.note if rank == 0 else "",
    )


def _curve(spectra: ModelSpectra, budget: int, structure: Structure | None = None) -> ModelCurve:
    """Return the counts at which buying stops at some multiplier, up to four times the budget."""
    options = [
        [c for c in candidates if structure is None or c.structure == structure]
        for candidates in spectra.candidates.values()
    ]
    counts, errors = hull(options, _REACH * budget, _POINTS)
    return ModelCurve(PLAN if structure is None else repr(structure), locked(counts), locked(errors))


def _norms(spectra: ModelSpectra) -> dict[str, float]:
    found = {}
    for name, candidates in spectra.candidates.items():
        exponent = common_unit(candidates[:1])
        found[name] = math.ldexp(joint_ledger(candidates[:1], exponent).norm, exponent)
    return found
