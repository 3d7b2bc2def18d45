"""The curve of a whole model as SVG: relative error against stored numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lowrank_blocks._colours import COLOURS, OTHER, colour_of
from lowrank_blocks._escaping import html
from lowrank_blocks._tables import show
from lowrank_blocks.models.comparison import ACROSS, PLAN, ModelComparison
from lowrank_blocks.reports._svg import LEFT, RIGHT, TOP, WIDTH, Scale, budget_line, figure, frame
from lowrank_blocks.reports.curves import Steps, extent, steps_of

_DASHES = ("", "8 4", "8 3 2 3", "5 2 2 2 2 2")  # not dotted: so is the bound of the plan
_DOTS = "1 4"
_TOP_TICKS = 10


def curve_figure(comparison: ModelComparison) -> str:
    """Return a figure with one line a structure, the plan's bound dotted, and the budget marked."""
    curves = {label: steps_of(comparison, label) for label in comparison.curves}
    scale = Scale(*extent(comparison, list(curves.values())))
    dashes = _dashes(list(curves))
    lines = "".join(
        staircase(label, s, scale, d) for (label, s), d in zip(curves.items(), dashes, strict=True)
    )
    keys = "".join(key(label, dash) for label, dash in zip(curves, dashes, strict=True))
    unit = sum(map(sum, comparison.plans[PLAN].shapes.values()))
    beside = "relative error in the weighted norm" if comparison.weighted else "relative error"
    behind = f"{frame(scale, beside=beside)}{_ranks(scale, unit)}{budget_line(scale, comparison.budget)}"
    drawn = f"{behind}{lines}{_found(comparison, scale)}"
    about = "Relative error of the whole model against stored numbers, one line a structure"
    return figure(drawn, about, f"{keys}<li>● found at the budget</li>")


def staircase(label: str, steps: Steps, scale: Scale, dash: str) -> str:
    """Return a staircase. Between two counts the first error holds; of bounds, the second."""
    counts, errors = steps[0].tolist(), steps[1].tolist()
    path = [f"M{scale.x(counts[0]):.1f} {scale.y(errors[0]):.1f}"]
    for count, error in zip(counts[1:], errors[1:], strict=True):
        x, y = f"{scale.x(count):.1f}", f"{scale.y(error):.1f}"
        path.append(f"V{y}H{x}" if label == PLAN else f"H{x}V{y}")
    if label != PLAN:
        path.append(f"H{scale.x(scale.right):.1f}")
    what = "bound of any plan" if label == PLAN else label
    hints = "".join(
        f'<circle cx="{scale.x(count):.1f}" cy="{scale.y(error):.1f}" r="5">'
        f"{_title(point(what, count, error))}</circle>"
        for count, error in zip(counts, errors, strict=True)
        if count
    )
    return f'<g {_look(label, dash)}><path d="{"".join(path)}"/>{hints}</g>'


def _found(comparison: ModelComparison, scale: Scale) -> str:
    """Return a dot for every structure with ranks across the model, and for the plan: what was found."""
    dots = []
    for label, found in comparison.plans.items():
        structure, _, way = label.rpartition(", ")
        if label != PLAN and way != ACROSS:
            continue
        colour = "currentColor" if label == PLAN else colour_of(structure)
        place = f'cx="{scale.x(found.n_parameters):.1f}" cy="{scale.y(found.relative_error):.1f}" r="4.5"'
        hint = point(label, found.n_parameters, found.relative_error)
        dots.append(f'<circle class="found" {place} fill="{colour}"><title>{html(hint)}</title></circle>')
    return "".join(dots)


def point(what: str, count: int, error: float) -> str:
    return f"{what}: {count:,} numbers, relative error {show(error)}"


def _title(hint: str) -> str:
    return f"<title>{html(hint)}</title>"


def _look(label: str, dash: str) -> str:
    kind = "curve bound" if label == PLAN else "curve"
    colour = "currentColor" if label == PLAN else colour_of(label)
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'class="{kind}" stroke="{colour}"{dashes}'


def key(label: str, dash: str) -> str:
    text = "plan: no choice of structures and ranks is below this" if label == PLAN else html(label)
    sample = f'<g {_look(label, dash)}><path d="M1 7H39"/></g>'
    return f'<li><svg class="sample" viewBox="0 0 40 14" aria-hidden="true">{sample}</svg> {text}</li>'


def _dashes(labels: Sequence[str]) -> list[str]:
    """Return dashes that differ from colour to colour, and between lines of one colour."""
    order = [*COLOURS.values(), OTHER]
    met = dict.fromkeys(order, 0)
    found = []
    for label in labels:
        colour = colour_of(label)
        found.append(_DOTS if label == PLAN else _DASHES[(order.index(colour) + met[colour]) % len(_DASHES)])
        met[colour] += 1
    return found


def _ranks(scale: Scale, unit: int) -> str:
    """Return a second axis above: the counts as ranks of global factorisations of all matrices."""
    first = math.ceil(math.log2(scale.left / unit))
    powers = range(first, math.floor(math.log2(scale.right / unit)) + 1)
    step = max(1, math.ceil(len(powers) / _TOP_TICKS))
    parts = [
        f'<text x="{scale.x(unit * 2.0**p):.1f}" y="{TOP - 8}" text-anchor="middle">{_rank(p)}</text>'
        for p in powers
        if p % step == 0
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="16" text-anchor="middle">as rank of Global() everywhere</text>')
    return "".join(parts)


def _rank(power: int) -> str:
    return str(2**power) if power >= 0 else f"1/{2**-power}"
