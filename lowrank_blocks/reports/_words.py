"""Who has the least error, by how much and how sure that is, in sentences."""

from __future__ import annotations

from collections import Counter
from decimal import ROUND_CEILING, ROUND_FLOOR, Context

from lowrank_blocks._tables import show
from lowrank_blocks.allocation.base import Guarantee
from lowrank_blocks.models.comparison import PLAN, ModelComparison
from lowrank_blocks.models.plans import ModelPlan
from lowrank_blocks.solver.approximation import TIE

_SHOWN = 4  # digits


def verdict(comparison: ModelComparison) -> list[str]:
    """Return sentences on who wins: of all ways, of single structures, and what is proved."""
    best = comparison.best
    sentences = [_best(comparison, best), _proof(best, comparison.plans[best])]
    single = _best_of_each_structure(comparison)
    if len(single) > 1:
        sentences += _single(comparison, single)
    if single:
        sentences.append(_plan(comparison, single[0]))
    return sentences


def structure_of(label: str) -> str:
    """Return the structure that the label of a way such as ``"Global(), ranks across"`` names."""
    return label if label == PLAN else label.rpartition(", ")[0]


def _best(comparison: ModelComparison, best: str) -> str:
    found = comparison.plans[best]
    equal = [
        label
        for label, other in comparison.plans.items()
        if label != best and _ties(other.relative_error, found.relative_error)
    ]
    others = f" Equal to it: {'; '.join(equal)}." if equal else ""
    plain = comparison.plain_relative_error(best)
    norm = "norm" if plain is None else "weighted norm"
    beside = "" if plain is None else f" ({_error(plain)} of the plain one)"
    return (
        f"{_named(best)} has the least error: {_error(found.relative_error)} of the {norm} of all "
        f"updates{beside}, with {found.n_parameters:,} of {comparison.budget:,} numbers.{others}"
    )


def _proof(label: str, found: ModelPlan) -> str:
    """Return what is proved of the ranks."""
    none = "No choice of these structures and" if label == PLAN else "No choice of"
    of = "" if label == PLAN else f" of {structure_of(label)}"
    if found.guarantee is Guarantee.OPTIMAL:
        return f"{none} ranks{of} within the budget gives a smaller error (optimal ranks)."
    bound = show(_digits(found.lower_bound, ROUND_FLOOR))
    room = f"{none} ranks{of} within the budget gives an error below {bound}"
    if found.guarantee is Guarantee.GREEDY:
        return (
            f"{room}, so that at most "
            f"{show(_digits(found.gap, ROUND_CEILING))} could be gained (greedy ranks)."
        )
    return f"Nothing is claimed of its ranks (given ranks). {room}."


def _best_of_each_structure(comparison: ModelComparison) -> list[tuple[str, ModelPlan]]:
    """Return the best way of every single structure, the one with the least error first."""
    best: dict[str, tuple[str, ModelPlan]] = {}
    for label, found in comparison.plans.items():
        structure = structure_of(label)
        known = best.get(structure)
        if label != PLAN and (known is None or found.relative_error < known[1].relative_error):
            best[structure] = (label, found)
    return sorted(best.values(), key=lambda way: way[1].relative_error)


def _single(comparison: ModelComparison, single: list[tuple[str, ModelPlan]]) -> list[str]:
    (first, won), (second, lost), *_ = single
    first, second = structure_of(first), structure_of(second)
    if _ties(won.relative_error, lost.relative_error):
        equal = [structure_of(label) for label, p in single if _ties(p.relative_error, won.relative_error)]
        shared = f"{', '.join(equal[:-1])} and {equal[-1]} reach the same"
        sentences = [f"Of one structure for all matrices, {shared}: {_error(won.relative_error)}."]
    else:
        sentences = [
            f"Of one structure for all matrices, {first} wins: {_error(won.relative_error)}, "
            f"{_less(won, lost)} less than {second} with {_error(lost.relative_error)}."
        ]
        if lost.guarantee is not Guarantee.OPTIMAL and lost.lower_bound < won.relative_error:
            sentences.append(
                f"Other ranks of {second} may do better: they are known not to get below "
                f"{show(_digits(lost.lower_bound, ROUND_FLOOR))}."
            )
    return sentences + _about_global(single)


def _about_global(single: list[tuple[str, ModelPlan]]) -> list[str]:
    """Return where a global factorisation stands, unless it was named as second."""
    place = next((k for k, (label, _) in enumerate(single) if label.startswith("Global(")), None)
    if place is None:
        return ["A global factorisation was not compared."]
    won, found = single[0][1], single[place][1]
    if place == 0 or _ties(won.relative_error, found.relative_error):
        return ["No other single structure is better here than a global factorisation of the same budget."]
    if place == 1:
        return []
    return [
        f"A global factorisation reaches {_error(found.relative_error)}; {structure_of(single[0][0])} has "
        f"{_less(won, found)} less."
    ]


def _plan(comparison: ModelComparison, single: tuple[str, ModelPlan]) -> str:
    found = comparison.plans[PLAN]
    counts = Counter(map(repr, found.structures.values()))
    used = ", ".join(f"{count} × {structure}" for structure, count in counts.most_common())
    if _ties(found.relative_error, single[1].relative_error):
        return (
            "The plan that was found, which may choose a structure for every matrix, gains nothing over "
            f"{structure_of(single[0])} ({used})."
        )
    return (
        f"A structure of its own for every matrix (the plan: {used}) has "
        f"{_less(found, single[1])} less error than {structure_of(single[0])} everywhere."
    )


def _less(low: ModelPlan, high: ModelPlan) -> str:
    """Return by how many per cent one error is smaller than another."""
    return f"{100 * (1 - low.relative_error / high.relative_error):.3g} %"


def _ties(one: float, other: float) -> bool:
    return abs(one - other) <= TIE


def _named(label: str) -> str:
    return "The plan" if label == PLAN else label


def _error(error: float) -> str:
    """Return a relative error; what is rounding only is not shown as a number."""
    return show(error) if error == 0 or error > TIE else "less than 1e-12"


def _digits(value: float, rounding: str) -> float:
    """Return a bound in as many digits as are shown, rounded to where it still holds."""
    return float(Context(prec=_SHOWN, rounding=rounding).create_decimal_from_float(value))
