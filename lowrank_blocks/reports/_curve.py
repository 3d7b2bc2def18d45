"""The curve of a whole model as SVG: relative error against stored numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lowrank_blocks._colours import COLOURS, OTHER, colour_of
from lowrank_blocks._escaping import html
from lowrank_blocks._tables import show
from lowrank_blocks.models.comparison import ACROSS, PLAN, ModelComparison
from lowrank_blocks.reports.curves import Steps, extent, steps_of

_WIDTH, _HEIGHT = 860, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 50, 48
_HIGHEST = 1.05  # relative error at the top
_DASHES = ("", "8 4", "8 3 2 3", "5 2 2 2 2 2")  # not dotted: so is the bound of the plan
_DOTS = "1 4"
_FEW_DECADES = 3.5
_TOP_TICKS = 10


def curve_figure(comparison: ModelComparison) -> str:
    """Return a figure with one line a structure, the plan's bound dotted, and the budget marked."""
    curves = {label: steps_of(comparison, label) for label in comparison.curves}
    scale = _Scale(comparison, list(curves.values()))
    dashes = _dashes(list(curves))
    lines = "".join(_line(label, s, scale, d) for (label, s), d in zip(curves.items(), dashes, strict=True))
    keys = "".join(_key(label, dash) for label, dash in zip(curves, dashes, strict=True))
    unit = sum(map(sum, comparison.plans[PLAN].shapes.values()))
    behind = f"{_frame(scale, comparison.weighted)}{_ranks(scale, unit)}{_budget(scale, comparison.budget)}"
    drawn = f"{behind}{lines}{_found(comparison, scale)}"
    return (
        '<figure><div class="scroll" tabindex="0" role="region" aria-label="Curve, scrolls sideways">'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Relative error of the whole model '
        f'against stored numbers, one line a structure">{drawn}</svg></div>'
        f'<figcaption><ul class="keys">{keys}<li>● found at the budget</li></ul></figcaption></figure>'
    )


class _Scale:
    """Where numbers (logarithmic) and errors (linear) lie on the drawing."""

    def __init__(self, comparison: ModelComparison, curves: Sequence[Steps]) -> None:
        self.left, self.right = extent(comparison, curves)
        self.decades = math.log10(self.right / self.left)

    def x(self, count: float) -> float:
        share = math.log10(max(count, self.left) / self.left) / self.decades
        return _LEFT + min(share, 1.0) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, error: float) -> float:
        return _HEIGHT - _BOTTOM - error / _HIGHEST * (_HEIGHT - _TOP - _BOTTOM)

    def ticks(self) -> list[int]:
        steps = (1, 2, 5) if self.decades < _FEW_DECADES else (1,)
        powers = range(math.floor(math.log10(self.left)), math.ceil(math.log10(self.right)) + 1)
        ticks = [step * 10**p for p in powers if p >= 0 for step in steps]
        return [tick for tick in ticks if self.left <= tick <= self.right]


def _line(label: str, steps: Steps, scale: _Scale, dash: str) -> str:
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
        f"{_title(_point(what, count, error))}</circle>"
        for count, error in zip(counts, errors, strict=True)
        if count
    )
    return f'<g {_look(label, dash)}><path d="{"".join(path)}"/>{hints}</g>'


def _found(comparison: ModelComparison, scale: _Scale) -> str:
    """Return a dot for every structure with ranks across the model, and for the plan: what was found."""
    dots = []
    for label, found in comparison.plans.items():
        structure, _, way = label.rpartition(", ")
        if label != PLAN and way != ACROSS:
            continue
        colour = "currentColor" if label == PLAN else colour_of(structure)
        place = f'cx="{scale.x(found.n_parameters):.1f}" cy="{scale.y(found.relative_error):.1f}" r="4.5"'
        hint = _point(label, found.n_parameters, found.relative_error)
        dots.append(f'<circle class="found" {place} fill="{colour}"><title>{html(hint)}</title></circle>')
    return "".join(dots)


def _point(what: str, count: int, error: float) -> str:
    return f"{what}: {count:,} numbers, relative error {show(error)}"


def _title(hint: str) -> str:
    return f"<title>{html(hint)}</title>"


def _look(label: str, dash: str) -> str:
    kind = "curve bound" if label == PLAN else "curve"
    colour = "currentColor" if label == PLAN else colour_of(label)
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'class="{kind}" stroke="{colour}"{dashes}'


def _key(label: str, dash: str) -> str:
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


def _frame(scale: _Scale, weighted: bool) -> str:
    low, high, right = scale.y(0), scale.y(_HIGHEST), _WIDTH - _RIGHT
    parts = [f'<path class="axis" d="M{_LEFT} {high:.1f}V{low:.1f}H{right}"/>']
    for k in range(0, 11, 2):
        y = f"{scale.y(k / 10):.1f}"
        parts.append(f'<path class="grid" d="M{_LEFT} {y}H{right}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y}" dy="4" text-anchor="end">{k / 10:.1f}</text>')
    for tick in scale.ticks():
        x = f"{scale.x(tick):.1f}"
        parts.append(f'<path class="grid" d="M{x} {high:.1f}V{low:.1f}"/>')
        parts.append(f'<text x="{x}" y="{low + 18:.1f}" text-anchor="middle">{_short(tick)}</text>')
    middle = (_LEFT + right) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">stored numbers</text>')
    turned = f'transform="rotate(-90 14 {(low + high) / 2:.1f})"'
    what = f"relative error{' in the weighted norm' if weighted else ''}"
    parts.append(f'<text x="14" y="{(low + high) / 2:.1f}" text-anchor="middle" {turned}>{what}</text>')
    return "".join(parts)


def _ranks(scale: _Scale, unit: int) -> str:
    """Return a second axis above: the counts as ranks of global factorisations of all matrices."""
    first = math.ceil(math.log2(scale.left / unit))
    powers = range(first, math.floor(math.log2(scale.right / unit)) + 1)
    step = max(1, math.ceil(len(powers) / _TOP_TICKS))
    parts = [
        f'<text x="{scale.x(unit * 2.0**p):.1f}" y="{_TOP - 8}" text-anchor="middle">{_rank(p)}</text>'
        for p in powers
        if p % step == 0
    ]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="16" text-anchor="middle">as rank of Global() everywhere</text>')
    return "".join(parts)


def _rank(power: int) -> str:
    return str(2**power) if power >= 0 else f"1/{2**-power}"


def _budget(scale: _Scale, budget: int) -> str:
    x, high, low = scale.x(budget), scale.y(_HIGHEST), scale.y(0)
    side, shift = ("end", -5) if x > _WIDTH / 2 else ("start", 5)
    return (
        f'<path class="budget" d="M{x:.1f} {high:.1f}V{low:.1f}"/>'
        f'<text class="budget" x="{x + shift:.1f}" y="{high + 14:.1f}" text-anchor="{side}">'
        f"budget {budget:,}</text>"
    )


def _short(count: int) -> str:
    for power, letter in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if count >= 10**power:
            return f"{count / 10**power:g}{letter}"
    return str(count)
