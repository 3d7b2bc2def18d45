"""What all pictures share: axes to draw on, titles, and numbers that matplotlib can draw."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from lowrank_blocks._validation import Matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_EMS_PER_LETTER = 0.6  # of DejaVu Sans, rounded up
_DRAWABLE = 100  # decades around 1 in which matplotlib's ticks and limits neither overflow nor underflow


def axes(ax: Any, figsize: tuple[float, float] | None = None) -> Axes:
    """Return `ax` if it is a matplotlib Axes, or one on a new figure if it is None."""
    from matplotlib.axes import Axes

    if isinstance(ax, Axes):
        return ax
    if ax is not None:
        raise TypeError(f"ax must be a matplotlib Axes or None, got {ax!r}.")
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained", figsize=figsize)[1]


def set_title(ax: Axes, *lines: str) -> None:
    """Set a small title, broken where it would be wider than the place of the axes in the figure."""
    from matplotlib.font_manager import FontProperties

    letter = _EMS_PER_LETTER * FontProperties(size="small").get_size_in_points()
    place = ax.get_position(original=True).width * ax.figure.bbox.width / ax.figure.dpi * 72
    width = max(12, int(place / letter))
    broken = [part for line in lines for part in textwrap.wrap(line, width)]
    ax.set_title("\n".join(broken), fontsize="small")


def in_units(*arrays: Matrix) -> tuple[list[Matrix], str]:
    """Return arrays in a unit that matplotlib can draw, a power of ten, and the name of the unit.

    The unit is 1 and the arrays are the same unless all entries are huge or all are tiny.
    """
    largest = max(float(a.max(initial=0.0)) for a in arrays)
    exponent = 0 if largest == 0 else int(np.clip(np.log10(largest), -300, 300))
    if abs(exponent) < _DRAWABLE:
        return list(arrays), "units of ΔW"
    return [a * 10.0**-exponent for a in arrays], f"units of 1e{exponent} ΔW"


def error_text(relative_error: float) -> str:
    """Return a relative error in four digits; what is rounding only is not shown as a number."""
    return f"{relative_error:.4g}" if relative_error == 0 or relative_error > 1e-12 else "below 1e-12"


def shorten(label: str, most: int = 24) -> str:
    """Return a label of at most `most` characters: edges given one by one can be many."""
    return label if len(label) <= most else f"{label[: most - 2]}…)"
