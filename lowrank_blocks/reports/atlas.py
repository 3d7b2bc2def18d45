"""All families of adapters side by side at one budget."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from numpy.typing import ArrayLike

from lowrank_blocks.allocation.budgets import as_budget
from lowrank_blocks.peft.family import Family, Fit
from lowrank_blocks.peft.registry import ENTRIES, largest
from lowrank_blocks.peft.target import Target
from lowrank_blocks.reports.comparison import Comparison, Row


def atlas(
    dW: ArrayLike, base: ArrayLike | None = None, *, budget: int | None = None, rank: int | None = None
) -> Comparison:
    """Return the nearest adapter of every family within one budget, the nearest first.

    Every family takes its largest setting within the budget that fits the shape. `note` names the
    families that are left out.

    Parameters
    ----------
    dW : (m, n) array_like
        The update that is wanted, output features first.
    base : (m, n) array_like, optional
        The weight before the update. Without it the families are left out whose update depends on it.
    budget : int
        Most numbers that training may change.
    rank : int
        In place of `budget`: that of a LoRA of this rank, ``rank * (m + n)``.

    Returns
    -------
    Comparison
        Its rows have the guarantee of `Fit`, in `gap` how much nearer others of the family can be at most,
        and in `file` whether PEFT loads it.

    Raises
    ------
    TypeError, ValueError
        As for `Family.nearest`; if not exactly one of `budget` and `rank` is given; or if no family fits.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> found = lb.atlas(np.outer(range(1, 7), range(1, 7)), rank=1)
    >>> found.best.label, round(found.best.relative_error, 9)
    ('LoRA(r=1)', 0.0)
    """
    target = Target.of(dW, base)
    count = as_budget(budget, rank, sum(target.shape))
    return compared(target, count, fits_within(target, count))


def fits_within(target: Target, budget: int) -> dict[str, Fit | str]:
    """Return the fit of every family by its name, or the reason why there is none."""
    found: dict[str, Fit | str] = {}
    for name, settings in ENTRIES.items():
        family = largest(settings, target.shape, budget)
        if family is None:
            found[name] = name
        elif family.needs_base and target.base is None:
            found[name] = f"{name} (needs base)"
        else:
            found[name] = family.fitted(target)
    return found


def compared(target: Target, budget: int, found: Mapping[str, Fit | str]) -> Comparison:
    """Return fits within a budget as a comparison, the nearest first."""
    rows = [_row(fit, budget) for fit in found.values() if isinstance(fit, Fit)]
    if not rows:
        raise ValueError(f"budget must buy an adapter of some family, got {budget}.")
    rows.sort(key=lambda row: row.relative_error)
    left_out = [reason for reason in found.values() if isinstance(reason, str)]
    return Comparison(target.shape, budget, target.norm, tuple(rows), _note(left_out))


def _row(fit: Fit, budget: int) -> Row:
    bound = fit.lower_bound
    return Row(
        label=repr(fit.family),
        allocation="",
        ranks=(),
        n_parameters=fit.n_parameters,
        slack=budget - fit.n_parameters,
        error=fit.error,
        relative_error=fit.relative_error,
        captured=1 - fit.relative_error**2,
        guarantee=fit.guarantee.value,
        gap=None if bound is None else fit.relative_error - bound,
        n_with_positions=2 * fit.n_parameters if fit.family.has_positions else None,
        file=_file(fit.family),
    )


def _file(family: Family) -> str:
    if family.unwritten:
        return "none"
    return "as LoRA" if family.packed else "PEFT"


def _note(left_out: Iterable[str]) -> str:
    names = ", ".join(left_out)
    return f"left out, as they do not fit the shape, the budget or what was given: {names}" if names else ""
