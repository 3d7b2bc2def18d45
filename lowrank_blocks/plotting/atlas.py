"""A picture of all families of adapters: error against numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from lowrank_blocks._colours import CLAIMS
from lowrank_blocks.plotting._axes import axes, set_title
from lowrank_blocks.plotting._colours import faint_ink
from lowrank_blocks.plotting.budgets import draw_curve
from lowrank_blocks.reports.comparison import Comparison, Row
from lowrank_blocks.solver.curves import ErrorCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = dict(zip(CLAIMS, "osDv", strict=True))
_LINE = 0.031  # height of a line of text, in heights of the axes


def plot_atlas(comparison: Comparison, *, curves: Sequence[ErrorCurve] = (), ax: Axes | None = None) -> Axes:
    """Plot the relative error of every family against its numbers, one mark each.

    The look of a mark says what is proved. Names stand to the right in the order of the errors.

    Parameters
    ----------
    comparison : Comparison
        What `atlas` returned.
    curves : sequence of ErrorCurve, optional
        Drawn behind, such as ``[lb.error_curve(dW, lb.Global()), lb.partition_curve(dW)]``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        If `comparison` is no Comparison of `atlas`, or `ax` no Axes.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> ax = lb.plot_atlas(lb.atlas(np.eye(8), rank=1))
    >>> ax.get_xlabel()
    'numbers that training may change'
    """
    if not isinstance(comparison, Comparison) or not all(row.file for row in comparison.rows):
        raise TypeError(f"comparison must be what lb.atlas returned, got {comparison!r}.")
    rows = sorted(comparison.rows, key=lambda row: row.relative_error)
    ax = axes(ax, figsize=(8.2, max(4.0, 1.2 + 0.17 * len(rows))))
    for curve, dash in zip(curves, cycle(("-", "--", "-.")), strict=False):
        draw_curve(ax, curve, color=faint_ink(0.5), linewidth=1.2, linestyle=dash)
    _marks(ax, rows)
    _names(ax, rows)
    m, n = comparison.shape
    _scale(ax, rows, comparison.budget)
    ax.set_ylim(-0.02, 1.05 * max(1.0, *(row.relative_error for row in rows)))
    ax.set_xlabel("numbers that training may change")
    ax.set_ylabel("relative Frobenius error")
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small", framealpha=0.7, loc="lower left")
    set_title(ax, f"{m}×{n} matrix, budget {comparison.budget} of {m * n} numbers")
    return ax


def _marks(ax: Axes, rows: Sequence[Row]) -> None:
    """Draw the marks, in one series for each guarantee."""
    for guarantee, colour in CLAIMS.items():
        some = [row for row in rows if row.guarantee == guarantee]
        if some:
            counts, errors = [r.n_parameters for r in some], [r.relative_error for r in some]
            look: dict[str, Any] = {"color": colour, "marker": _MARKERS[guarantee], "markersize": 5}
            ax.plot(counts, errors, linestyle="none", label=guarantee, zorder=3, **look)


def _names(ax: Axes, rows: Sequence[Row]) -> None:
    """Write the names to the right of the axes, apart from one another, each with a line to its mark."""
    top = 1.05 * max(1.0, *(row.relative_error for row in rows)) + 0.02
    wanted = np.array([(row.relative_error + 0.02) / top for row in rows])
    for row, place in zip(rows, _apart(wanted, min(_LINE, 1 / len(rows))), strict=True):
        ax.annotate(
            row.label,
            (row.n_parameters, row.relative_error),
            (1.03, place),
            xycoords="data",
            textcoords="axes fraction",
            va="center",
            fontsize=7,
            arrowprops={
                "arrowstyle": "-",
                "color": faint_ink(0.25),
                "linewidth": 0.6,
                "shrinkB": 2,
                "relpos": (0, 0.5),
            },
        )


def _apart(wanted: Any, gap: float) -> Any:
    """Return increasing places near the wanted ones, at least a gap apart, from 0 to 1."""
    steps = np.arange(len(wanted)) * gap
    risen = np.maximum.accumulate(wanted - steps) + steps
    ends = 1 - steps[::-1]
    return np.minimum.accumulate((np.minimum(risen, ends) + steps[::-1])[::-1])[::-1] - steps[::-1]


def _scale(ax: Axes, rows: Sequence[Row], budget: int) -> None:
    """Give the axis of numbers powers of two or four as ticks."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    least, most = min(row.n_parameters for row in rows) / 2, 2.0 * budget
    ax.set_xscale("log")
    ax.set_xlim(least, most)
    ax.xaxis.set_major_locator(LogLocator(base=2 if most < 300 * least else 4))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:.6g}"))
