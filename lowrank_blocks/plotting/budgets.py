"""Pictures of errors at budgets: curves over all budgets, bars at one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from lowrank_blocks._tables import show
from lowrank_blocks.plotting._axes import COLOURS, PAPER, axes, shorten, styles
from lowrank_blocks.reports.comparison import Comparison, Row
from lowrank_blocks.solver.curves import ErrorCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DECADES = 100.0  # errors that span more than this are drawn on a logarithmic scale


def plot_error_curves(curves: Iterable[ErrorCurve], *, ax: Axes | None = None, **line_kwargs: Any) -> Axes:
    """Plot relative error against parameter count, one staircase a curve; lower bounds are dotted.

    Where all curves are of matrices of one shape, a second axis gives each budget as the rank of a
    global factorisation, and a line marks the ``m * n`` numbers of the dense matrix.

    Parameters
    ----------
    curves : sequence of ErrorCurve
        At least one; curves of different matrices may share a picture.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    **line_kwargs
        Passed on to `Axes.step` for every curve.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If `curves` is empty or holds something else, or `ax` is no Axes.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> ax = lb.plot_error_curves([lb.error_curve(np.eye(4), lb.Localized(2))])
    >>> ax.get_ylabel()
    'relative Frobenius error'
    """
    drawn = _as_curves(curves)
    ax = axes(ax)
    for k, (curve, style) in enumerate(zip(drawn, styles(len(drawn)), strict=True)):
        every = (0.02 * k, 0.12)  # in lengths of the picture, so that marks of different curves stay apart
        look = style | {"where": "post", "label": curve.label, "markevery": every, "markersize": 4}
        ax.step(curve.n_parameters, curve.relative_error, **(look | line_kwargs))
        if curve.lower_bound is not None:
            # Between two counts the bound at the second is valid: bounds fall with the budget.
            bound = {"color": style["color"], "linestyle": ":", "label": f"{curve.label}, lower bound"}
            ax.step(curve.n_parameters, curve.lower_bound, where="pre", linewidth=1.2, **bound)
    shapes = {curve.shape for curve in drawn}
    left, right = min(map(_first_drop, drawn)) / 2, 1.25 * max(m * n for m, n in shapes)
    for curve, line in zip(drawn, _staircases(ax), strict=True):
        if curve.n_parameters[-1] < right:  # more numbers do not help from the last step on
            ends = curve.n_parameters[-1], right
            ax.hlines(
                curve.relative_error[-1], *ends, colors=line.get_color(), linestyles=line.get_linestyle()
            )
    if any(c.n_parameters[-1] > 0 for c in drawn):
        ax.set_xscale("log")
    ax.set_xlim(left, right)
    _scale_errors(ax, np.concatenate([c.relative_error[c.n_parameters <= right] for c in drawn]))
    ax.set_xlabel("parameters (stored numbers)")
    ax.set_ylabel("relative Frobenius error")
    ax.grid(alpha=0.3)
    if len(shapes) == 1:
        _mark_shape(ax, *shapes.pop())
    ax.legend(fontsize="small", framealpha=0.7)
    return ax


def plot_comparison(comparison: Comparison, *, ax: Axes | None = None) -> Axes:
    """Plot the relative errors of a comparison as bars, labelled with errors and ranks.

    Parameters
    ----------
    comparison : Comparison
        What `compare` returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        If `comparison` is no Comparison or `ax` no Axes.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> ax = lb.plot_comparison(lb.compare(np.eye(4), [lb.Global(), lb.Localized(2)], 8))
    >>> [round(float(bar.get_width()), 4) for bar in ax.patches]
    [0.866, 1.0, 0.7071]
    """
    if not isinstance(comparison, Comparison):
        raise TypeError(f"comparison must be what lb.compare returned, got {comparison!r}.")
    rows = comparison.rows
    ax = axes(ax, figsize=(6.4, 1.2 + 0.42 * len(rows)))
    allocations = list(dict.fromkeys(row.allocation for row in rows))
    for k, row in enumerate(rows):
        kind = allocations.index(row.allocation)
        ax.barh(
            k,
            row.relative_error,
            color=COLOURS[kind % 7],
            hatch=("", "///", "...")[kind % 3],
            edgecolor="white",
        )
        place: dict[str, Any] = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
        ax.annotate(_bar_text(row), (0, k), fontsize="small", bbox=PAPER, **place)
    labels = [f"{shorten(row.label)}, {row.allocation}" for row in rows]
    ax.set_yticks(range(len(rows)), labels, fontsize="small")
    ax.invert_yaxis()
    ax.set_xlim(0, 1.05 * max(max(row.relative_error for row in rows), 1e-300))
    ax.set_xlabel("relative error")
    m, n = comparison.shape
    ax.set_title(
        f"{m}×{n} matrix, budget {comparison.budget} of {m * n} numbers", fontsize="small", wrap=True
    )
    return ax


def _bar_text(row: Row) -> str:
    return f"{show(row.relative_error)}, rank {show(row.ranks)}"


def _as_curves(curves: Iterable[ErrorCurve]) -> list[ErrorCurve]:
    if isinstance(curves, ErrorCurve):
        raise TypeError("curves must be a sequence of error curves, got one curve; put it in a list.")
    listed = list(curves)
    if not listed:
        raise ValueError("curves must hold at least one error curve, got none.")
    for i, curve in enumerate(listed):
        if not isinstance(curve, ErrorCurve):
            raise TypeError(f"curves[{i}] must be what lb.error_curve returned, got {curve!r}.")
    return listed


def _staircases(ax: Axes) -> list[Any]:
    return [line for line in ax.get_lines() if line.get_drawstyle() == "steps-post"]


def _first_drop(curve: ErrorCurve) -> int:
    """Return the first step at which a hundredth of the error is gone, or the last."""
    below = np.flatnonzero(curve.relative_error < 0.99 * curve.relative_error[0])
    return max(1, int(curve.n_parameters[below[0] if below.size else -1]))


def _scale_errors(ax: Axes, errors: Any) -> None:
    """Use a logarithmic scale where visible errors span decades, with rounding noise left below."""
    visible = errors[errors > 1e-10]
    if visible.size and visible.max() > _DECADES * visible.min():
        ax.set_yscale("log")
        ax.set_ylim(0.5 * visible.min(), 1.5 * visible.max())
    else:
        ax.set_ylim(0, 1.05 * max(visible.max(initial=0.0), 1e-3))


def _mark_shape(ax: Axes, m: int, n: int) -> None:
    ax.axvline(m * n, color="0.4", linewidth=1, linestyle=(0, (1, 1)))
    ax.annotate(
        f"dense {m}·{n}",
        (m * n, 1),
        (-3, -4),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        rotation=90,
        ha="right",
        va="top",
        fontsize="small",
        color="0.3",
    )

    def to_rank(count: Any) -> Any:
        return np.asarray(count) / (m + n)

    def to_count(rank: Any) -> Any:
        return np.asarray(rank) * (m + n)

    top = ax.secondary_xaxis("top", functions=(to_rank, to_count))
    top.set_xlabel("equivalent global rank")
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    top.xaxis.set_major_locator(LogLocator(base=2))
    top.xaxis.set_major_formatter(FuncFormatter(lambda rank, _: f"{rank:g}"))
    top.xaxis.set_minor_formatter(NullFormatter())
