"""What all pictures share: axes to draw on, colours and line styles."""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito's palette, ordered so that neighbours differ in lightness, too.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000")
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
PAPER = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}
HEAT = "cividis"  # monotone in lightness, safe for colour-blind readers


def axes(ax: Any, figsize: tuple[float, float] | None = None) -> Axes:
    """Return `ax` if it is a matplotlib Axes, or one on a new figure if it is None."""
    from matplotlib.axes import Axes

    if isinstance(ax, Axes):
        return ax
    if ax is not None:
        raise TypeError(f"ax must be a matplotlib Axes or None, got {ax!r}.")
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained", figsize=figsize)[1]


def styles(count: int) -> list[dict[str, Any]]:
    """Return `count` line styles that differ in colour, dash and marker."""
    kinds = zip(cycle(COLOURS), cycle(_DASHES), cycle(_MARKERS), strict=False)
    return [{"color": c, "linestyle": d, "marker": m} for c, d, m in islice(kinds, count)]


def error_text(relative_error: float) -> str:
    """Return a relative error in four digits; what is rounding only is not shown as a number."""
    return f"{relative_error:.4g}" if relative_error == 0 or relative_error > 1e-12 else "below 1e-12"


def shorten(label: str, most: int = 24) -> str:
    """Return a label of at most `most` characters: edges given one by one can be many."""
    return label if len(label) <= most else f"{label[: most - 2]}…)"
