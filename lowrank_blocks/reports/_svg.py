"""Axes of drawings in SVG: numbers on a logarithmic scale below, relative errors on the left."""

from __future__ import annotations

import math

WIDTH, HEIGHT = 860, 420
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 50, 48
HIGHEST = 1.05  # relative error at the top
_FEW_DECADES = 3.5


class Scale:
    """Where numbers (logarithmic) and errors (linear) lie on a drawing.

    Parameters
    ----------
    left, right : float
        The least and the largest number.
    """

    def __init__(self, left: float, right: float) -> None:
        self.left, self.right = left, right
        self.decades = math.log10(self.right / self.left)

    def x(self, count: float) -> float:
        share = math.log10(max(count, self.left) / self.left) / self.decades
        return LEFT + min(share, 1.0) * (WIDTH - LEFT - RIGHT)

    def y(self, error: float) -> float:
        return HEIGHT - BOTTOM - error / HIGHEST * (HEIGHT - TOP - BOTTOM)

    def ticks(self) -> list[int]:
        steps = (1, 2, 5) if self.decades < _FEW_DECADES else (1,)
        powers = range(math.floor(math.log10(self.left)), math.ceil(math.log10(self.right)) + 1)
        ticks = [step * 10**p for p in powers if p >= 0 for step in steps]
        return [tick for tick in ticks if self.left <= tick <= self.right]


def frame(scale: Scale, below: str = "stored numbers", beside: str = "relative error") -> str:
    """Return the axes with their grid and what they are."""
    low, high, right = scale.y(0), scale.y(HIGHEST), WIDTH - RIGHT
    parts = [f'<path class="axis" d="M{LEFT} {high:.1f}V{low:.1f}H{right}"/>']
    for k in range(0, 11, 2):
        y = f"{scale.y(k / 10):.1f}"
        parts.append(f'<path class="grid" d="M{LEFT} {y}H{right}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y}" dy="4" text-anchor="end">{k / 10:.1f}</text>')
    for tick in scale.ticks():
        x = f"{scale.x(tick):.1f}"
        parts.append(f'<path class="grid" d="M{x} {high:.1f}V{low:.1f}"/>')
        parts.append(f'<text x="{x}" y="{low + 18:.1f}" text-anchor="middle">{_short(tick)}</text>')
    middle = (LEFT + right) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{below}</text>')
    turned = f'transform="rotate(-90 14 {(low + high) / 2:.1f})"'
    parts.append(f'<text x="14" y="{(low + high) / 2:.1f}" text-anchor="middle" {turned}>{beside}</text>')
    return "".join(parts)


def budget_line(scale: Scale, budget: int) -> str:
    """Return an upright line at the budget."""
    x, high, low = scale.x(budget), scale.y(HIGHEST), scale.y(0)
    side, shift = ("end", -5) if x > WIDTH / 2 else ("start", 5)
    return (
        f'<path class="budget" d="M{x:.1f} {high:.1f}V{low:.1f}"/>'
        f'<text class="budget" x="{x + shift:.1f}" y="{high + 14:.1f}" text-anchor="{side}">'
        f"budget {budget:,}</text>"
    )


def figure(drawn: str, about: str, keys: str) -> str:
    """Return a drawing with its keys, that scrolls sideways on narrow screens."""
    return (
        '<figure><div class="scroll" tabindex="0" role="region" aria-label="Curve, scrolls sideways">'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{about}">{drawn}</svg></div>'
        f'<figcaption><ul class="keys">{keys}</ul></figcaption></figure>'
    )


def _short(count: int) -> str:
    for power, letter in ((12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if count >= 10**power:
            return f"{count / 10**power:g}{letter}"
    return str(count)
