"""Which kind of adapter holds some approximations, and with which rank each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lowrank_blocks.adapters.bdlora import Bdlora
from lowrank_blocks.adapters.family import Approximations, Family
from lowrank_blocks.adapters.gralora import Gralora
from lowrank_blocks.adapters.lora import Lora
from lowrank_blocks.solver.approximation import Approximation

FAMILIES: dict[str, Family] = {family.name: family for family in (Lora(), Gralora(), Bdlora())}


@dataclass(frozen=True)
class Plan:
    """A kind of adapter and the r of every matrix by name; 0 for those that are left out."""

    family: Family
    ranks: Mapping[str, int]

    def stored(self, approximations: Approximations) -> int:
        """Return how many numbers all tensors hold."""
        return sum(self.family.stored(approximations[name], rank) for name, rank in self.ranks.items())


def checked(approximations: object) -> dict[str, Approximation]:
    """Return the approximations by name, or say what is wrong with them."""
    if not isinstance(approximations, Mapping):
        kind = type(approximations).__name__
        raise TypeError(f"approximations must be a dict by the names of tensors, got a {kind}.")
    if not approximations:
        raise ValueError("approximations must hold at least one matrix, got none.")
    for name, value in approximations.items():
        if not isinstance(name, str):
            raise TypeError(f"approximations must have names of tensors as keys, got {name!r}.")
        if not isinstance(value, Approximation):
            raise TypeError(
                f"approximations[{name!r}] must be an Approximation, got a {type(value).__name__}."
            )
    return dict(approximations)


def plan(approximations: Approximations, name: str | None, *, conv1d: bool, embeddings: bool) -> Plan:
    """Return the plan for a format, or the one that stores the fewest numbers.

    Parameters
    ----------
    approximations : dict of str to Approximation
        Checked.
    name : str or None
        A key of `FAMILIES`.
    conv1d : bool
        Whether some weights are stored as (in, out).
    embeddings : bool
        Whether some are weights of embeddings.

    Raises
    ------
    ValueError
        If there is no such format, it cannot hold the matrices, or all of them are zero.
    """
    if name is not None and name not in FAMILIES:
        raise ValueError(f"format must be None or one of {', '.join(FAMILIES)}, got {name!r}.")
    tried = [FAMILIES[name]] if name else list(FAMILIES.values())
    needs = {"has_conv1d": conv1d, "has_embeddings": embeddings}
    reasons = [_refusal(family, approximations, needs) for family in tried]
    plans = [_plan(f, approximations) for f, reason in zip(tried, reasons, strict=True) if reason is None]
    if not plans:
        hint = "" if tried[0] is FAMILIES["lora"] else "; format='lora' holds any blocks"
        raise ValueError(f"format={(name or 'lora')!r} does not fit: {reasons[0]}{hint}.")
    best = min(plans, key=lambda made: made.stored(approximations))
    if not any(best.ranks.values()):
        raise ValueError("approximations must have a rank above 0 in at least one matrix, got none.")
    return best


_SPECIAL_WEIGHTS = {
    "has_conv1d": "weights stored as (in, out), which flipped names",
    "has_embeddings": "embeddings",
}


def _refusal(family: Family, approximations: Approximations, needs: Mapping[str, bool]) -> str | None:
    for need, kind in _SPECIAL_WEIGHTS.items():
        if needs[need] and not getattr(family, need):
            return f"PEFT has no {family.name} for {kind}"
    return family.refusal(approximations)


def _plan(family: Family, approximations: Approximations) -> Plan:
    return Plan(family, family.settings({name: family.rank(a) for name, a in approximations.items()}))
