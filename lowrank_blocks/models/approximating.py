"""Approximations of all updates between two checkpoints, with structures and ranks chosen or given."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from lowrank_blocks._validation import Shape
from lowrank_blocks.allocation.budgets import as_budget
from lowrank_blocks.allocation.uniform import uniform
from lowrank_blocks.checkpoints.updates import Updates
from lowrank_blocks.models.factors import factored
from lowrank_blocks.models.journal import Journal
from lowrank_blocks.models.plans import ModelPlan, as_structures, model_spectra, planned
from lowrank_blocks.models.weighing import NO_ERROR, ModelWeights, require_fit
from lowrank_blocks.solver.approximation import Approximation, plain_of
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.checked import laid_out


@dataclass(frozen=True)
class Approximated:
    """The approximations that make an adapter.

    Attributes
    ----------
    made : dict of str to Approximation
        Of every matrix that changed.
    failed : dict of str to str
        Matrices that could not be used, with the reason.
    plan : ModelPlan or None
        Where structures and ranks come from; None for uniform ranks.
    reasons : dict of str to str
        All tensors that are not among those made, with the reason.
    """

    made: dict[str, Approximation]
    failed: dict[str, str]
    plan: ModelPlan | None
    reasons: dict[str, str]


def approximated(
    updates: Updates,
    structure: Any,
    plan: ModelPlan | None,
    ranks: str,
    *,
    budget: int | None,
    rank: int | None,
    executor: Executor | None,
    journal: Journal | None,
    weights: ModelWeights | None = None,
) -> Approximated:
    """Approximate all updates; the arguments are those of `extract`.

    One structure with ranks across the model needs one pass over the files: its factors are computed with
    the values, as deep as the budget may need, and cut where the ranks are known.
    """
    cut = None
    if plan is None and ranks == "adaptive":
        several = as_structures(structure)
        spectra = model_spectra(
            updates,
            several,
            budget=budget,
            rank=rank,
            executor=executor,
            journal=journal,
            with_factors=len(several) == 1,
            weights=weights,
        )
        plan = planned(spectra, spectra.budget(budget, rank))
        cut = spectra.cut if len(several) == 1 else None
    structures, wanted = _chosen(updates, structure, plan, budget, rank)
    for name, chosen in structures.items():
        _require_fit(weights, name, chosen, updates.shape(name))
    made, failed = factored(
        updates, structures, wanted, weights=weights, executor=executor, journal=journal, cut=cut
    )
    failed = (dict(plan.failed) if plan else {}) | failed
    planned_not = {} if plan is None else dict.fromkeys(updates.names, "not in the plan") | plan.skipped
    reasons = updates.skipped | failed | {n: _zero(a) for n, a in made.items() if not a.accuracy.norm}
    reasons |= {n: planned_not[n] for n in updates.names if n not in made and n not in reasons}
    return Approximated({n: a for n, a in made.items() if a.accuracy.norm}, failed, plan, reasons)


def _zero(made: Approximation) -> str:
    return NO_ERROR if plain_of(made).norm else "unchanged"


def _require_fit(weights: ModelWeights | None, name: str, structure: Structure, shape: Shape) -> None:
    try:
        require_fit(weights, name, structure, shape)
    except ValueError as error:
        raise ValueError(f"structure must fit {name}: {error}") from None


def _chosen(
    updates: Updates, structure: Any, plan: ModelPlan | None, budget: int | None, rank: int | None
) -> tuple[dict[str, Structure], dict[str, tuple[int, ...]]]:
    """Return the structure and the ranks of every matrix."""
    if plan is not None:
        unknown = [name for name in plan.ranks if name not in updates.names]
        if unknown:
            raise ValueError(
                f"plan must be of these checkpoints, got one of {unknown[0]!r}, which they lack."
            )
        return dict(plan.structures), plan.block_ranks
    (single, *others) = as_structures(structure)
    if others:
        raise ValueError("ranks='uniform' must come with one structure; for several write ranks='adaptive'.")
    shapes = {name: updates.shape(name) for name in updates.names}
    unit = sum(map(sum, shapes.values()))
    common = as_budget(budget, rank, unit) // unit
    layouts = {name: laid_out(single, shape) for name, shape in shapes.items()}
    ranks = {
        name: tuple(uniform.ranks_without_spectra(a.max_ranks, a.rank_costs, common * sum(a.shape)).tolist())
        for name, a in layouts.items()
    }
    return dict.fromkeys(shapes, single), ranks
