"""From two checkpoints to an adapter that PEFT loads, and the proof of what is lost."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from lowrank_blocks._tables import Table
from lowrank_blocks._version import __version__
from lowrank_blocks.adapters.writing import write_adapter
from lowrank_blocks.adapters.written import FILES, WrittenAdapter
from lowrank_blocks.checkpoints.opening import Source
from lowrank_blocks.checkpoints.updates import iter_updates
from lowrank_blocks.files import require_writable
from lowrank_blocks.models.approximating import approximated
from lowrank_blocks.models.beside import Inputs, inputs_beside
from lowrank_blocks.models.families import FamilyExtraction, extract_family
from lowrank_blocks.models.journal import Journal
from lowrank_blocks.models.losses import errors, plain_norm, plain_relative_error
from lowrank_blocks.models.plans import ModelPlan
from lowrank_blocks.models.rest import LeftOut, is_embedding, left_out, whole_tensors
from lowrank_blocks.models.weighing import WeightsByName, model_weights
from lowrank_blocks.peft.family import Family
from lowrank_blocks.solver.plain import in_norms
from lowrank_blocks.structures.base import Structure

RANKS = ("adaptive", "uniform")


@dataclass(frozen=True, repr=False)
class Extraction:
    """An adapter that was written, and what is lost; made by `extract`.

    It prints as a table, one row a matrix, and shows as one in a notebook.

    Attributes
    ----------
    written : WrittenAdapter
        What is stored, matrix by matrix, with the rounding of the factors.
    relative_error : float
        Of all matrices that were approximated together, before rounding; in the norm of the weights, if any.
    bound : float
        Bound on that of what is stored, in the plain norm.
    left_out : LeftOut
        Tensors that the adapter does not hold, with their share of the whole difference.
    failed : dict of str to str
        Matrices that could not be used, with the reason.
    plan : ModelPlan or None
        Where structures and ranks come from; None for uniform ranks.
    plain_relative_error : float or None
        Under weights, the relative error in the plain norm, before rounding; None without weights.
    """

    written: WrittenAdapter
    relative_error: float
    bound: float
    left_out: LeftOut
    failed: Mapping[str, str]
    plan: ModelPlan | None = field(default=None, compare=False)
    plain_relative_error: float | None = None

    @property
    def table(self) -> Table:
        """The matrices as a `Table`."""
        return self.written.table

    @property
    def summary(self) -> str:
        """One line: the format, what it stores, the error, and what it does not hold."""
        written = self.written
        return (
            f"{written.format} adapter in {written.path}: {len(written.matrices)} matrices, "
            f"{written.stored} numbers, relative error {self.relative_error:.4g}"
            f"{in_norms(self.plain_relative_error)} "
            f"(stored in {written.dtype}: at most {self.bound:.4g}); these matrices hold "
            f"{self.left_out.share_held:.2%} of the squared difference of all tensors"
        )

    def __repr__(self) -> str:
        return f"Extraction({self.summary})"

    def __str__(self) -> str:
        return f"{self.table}\n{self.summary}"

    def _repr_html_(self) -> str:
        return self.table.short().to_html()


@overload
def extract(
    base: Source,
    tuned: Source,
    out: str | os.PathLike[str],
    *,
    structure: Family,
    dtype: str = "float32",
    base_model: str | None = None,
    include: str | None = None,
    exclude: str | None = None,
    fan_in_fan_out: bool | None = None,
) -> FamilyExtraction: ...


@overload
def extract(
    base: Source,
    tuned: Source,
    out: str | os.PathLike[str],
    *,
    structure: Structure | Sequence[Structure] | None = None,
    plan: ModelPlan | None = None,
    budget: int | None = None,
    rank: int | None = None,
    ranks: str = "adaptive",
    format: str | None = None,
    dtype: str = "float32",
    base_model: str | None = None,
    save_rest: bool = False,
    include: str | None = None,
    exclude: str | None = None,
    fan_in_fan_out: bool | None = None,
    row_weights: WeightsByName | None = None,
    col_weights: WeightsByName | None = None,
    executor: Executor | None = None,
    command: str | None = None,
) -> Extraction: ...


def extract(
    base: Source,
    tuned: Source,
    out: str | os.PathLike[str],
    *,
    structure: Structure | Sequence[Structure] | Family | None = None,
    plan: ModelPlan | None = None,
    budget: int | None = None,
    rank: int | None = None,
    ranks: str = "adaptive",
    format: str | None = None,  # noqa: A002
    dtype: str = "float32",
    base_model: str | None = None,
    save_rest: bool = False,
    include: str | None = None,
    exclude: str | None = None,
    fan_in_fan_out: bool | None = None,
    row_weights: WeightsByName | None = None,
    col_weights: WeightsByName | None = None,
    executor: Executor | None = None,
    command: str | None = None,
) -> Extraction | FamilyExtraction:
    """Write the difference of two checkpoints as an adapter that PEFT loads.

    Weights of embeddings, biases and norms are left out and listed with their share of the difference.

    Parameters
    ----------
    base, tuned : path or dict of str to array_like
        Checkpoints before and after fine-tuning; see `open_checkpoint`.
    out : path
        The adapter directory. While work is under way a journal in it keeps what is finished; a run that
        was interrupted goes on from there.
    structure : Structure, sequence of Structure, or Family
        Of all matrices; of several, `plan` chooses one for every matrix. A family such as ``lb.peft.OFT(8)``
        has its own numbers, so that no budget comes with it: see `extract_family`, which does the work.
    plan : ModelPlan
        In place of `structure` and a budget: structures and ranks, from `plan`.
    budget, rank : int
        What all matrices together may store, or the global rank that stands for it; see `plan`.
    ranks : {"adaptive", "uniform"}, optional
        Ranks chosen across all matrices and blocks, or the same rank everywhere.
    format, dtype, base_model : optional
        Of the adapter; see `write_adapter`.
    save_rest : bool, optional
        Whether what is left out goes into the adapter as whole tensors, where PEFT can load them.
    include, exclude, fan_in_fan_out, executor : optional
        As for `plan`.
    row_weights, col_weights : dict by name of array_like or Activations, optional
        As for `plan`; a plan has its own. What is left out is measured in the plain norm in any case.
    command : str, optional
        The command that asks for this, for the model card.

    Returns
    -------
    Extraction or FamilyExtraction

    Raises
    ------
    CheckpointError, TypeError, ValueError
        As for `plan` and `write_adapter`; if not exactly one of `structure` and `plan` is given, `ranks` is
        none of the two, or a matrix has no structure that fits. Nothing but the journal is then written.

    Examples
    --------
    >>> import numpy as np, tempfile, lowrank_blocks as lb
    >>> base = {"query.weight": np.zeros((4, 4)), "query.bias": np.zeros(4)}
    >>> tuned = {"query.weight": np.diag([4.0, 3, 0, 0]), "query.bias": np.ones(4)}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = lb.extract(base, tuned, folder, structure=lb.Global(), rank=1)
    >>> round(made.relative_error, 12)
    0.6
    >>> print(made.left_out.table)
    name        reason                norm   share
    ----------  -------------------  -----  ------
    query.bias  not 2-D: shape (4,)  2.000  0.1379
    """
    if isinstance(structure, Family):
        _refuse_with_family(
            plan=plan, budget=budget, rank=rank, format=format, row_weights=row_weights,
            col_weights=col_weights, executor=executor, command=command,
            ranks=None if ranks == "adaptive" else ranks, save_rest=save_rest or None,
        )  # fmt: skip
        return extract_family(
            base, tuned, out, structure, dtype=dtype, base_model=base_model, include=include,
            exclude=exclude, fan_in_fan_out=fan_in_fan_out,
        )  # fmt: skip
    _check(structure, plan, ranks, row_weights is not None or col_weights is not None)
    folder = Path(out)
    updates = iter_updates(base, tuned, include=include, exclude=exclude, fan_in_fan_out=fan_in_fan_out)
    updates = updates.without({name: "embedding" for name in updates.names if is_embedding(name)})
    weights = plan.weights if plan else model_weights(row_weights, col_weights, updates)
    require_writable(folder, FILES)
    journal = None if isinstance(base, Mapping) or isinstance(tuned, Mapping) else Journal(folder)
    with inputs_beside(updates) as inputs_found:
        solved = approximated(
            updates,
            structure,
            plan,
            ranks,
            budget=budget,
            rank=rank,
            executor=executor,
            journal=journal,
            weights=weights,
        )
        inputs = inputs_found()
    made, plan = solved.made, solved.plan
    held = plain_norm(made)
    lost = left_out(updates, solved.reasons, held, inputs.norms)
    rest = whole_tensors(updates, updates.skipped, lost) if save_rest else None
    written = write_adapter(
        folder,
        made,
        format=format,
        dtype=dtype,
        base_model=base_model,
        rest=rest,
        flipped=updates.flipped,
        base=updates.base,
        metadata=_metadata(inputs, lost, plan, command) | ({"weights": weights.digests} if weights else {}),
    )
    if journal is not None:
        journal.close()
    plain = plain_relative_error(made) if weights else None
    return Extraction(written, *errors(made, written), lost, solved.failed, plan, plain)


def _refuse_with_family(**given: object) -> None:
    """Refuse arguments that a family has no use for."""
    for name, value in given.items():
        if value is not None:
            raise TypeError(f"{name} must not come with a family, whose setting says all, got {value!r}.")


def _check(structure: object, plan: object, ranks: object, weighted: bool) -> None:
    if (structure is None) == (plan is None):
        raise TypeError(f"exactly one of structure and plan must be given, got {structure!r} and {plan!r}.")
    if plan is not None and not isinstance(plan, ModelPlan):
        raise TypeError(f"plan must be what lb.plan returned, got {plan!r}.")
    if plan is not None and weighted:
        raise TypeError(
            "row_weights and col_weights must not come with a plan, got both; give them to lb.plan."
        )
    as_ranks(ranks)


def as_ranks(value: object) -> None:
    """Refuse a way to choose ranks that there is not."""
    if value not in RANKS:
        raise ValueError(f"ranks must be one of {', '.join(RANKS)}, got {value!r}.")


def _metadata(inputs: Inputs, lost: LeftOut, plan: ModelPlan | None, command: str | None) -> dict[str, Any]:
    """Return what the adapter records of its making."""
    return {
        "command": command,
        "version": __version__,
        "inputs": inputs.hashes,
        "share_held": lost.share_held,
        "left_out": lost.table.to_records(),
        "budget": None if plan is None else plan.budget,
        "guarantee": "given ranks" if plan is None else str(plan.guarantee),
        "lower_bound": None if plan is None else plan.lower_bound,
    }
