"""Pictures of errors at budgets: curves over all budgets, bars at one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from lowrank_blocks._colours import colour_of
from lowrank_blocks._tables import show
from lowrank_blocks.plotting._axes import axes, set_title, shorten
from lowrank_blocks.plotting._colours import background, faint_ink, line_styles
from lowrank_blocks.reports.comparison import Comparison, Row
from lowrank_blocks.solver.curves import ErrorCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HATCHES = {"adaptive": "", "uniform": "///"}
_OTHER_HATCH = "..."


def plot_error_curves(curves: Iterable[ErrorCurve], *, ax: Axes | None = None, **line_kwargs: Any) -> Axes:
    """Plot relative error against parameter count, one staircase a curve; lower bounds are dotted.

    Curves end at the ``m * n`` numbers of the dense matrix. The scale is the same for all pictures,
    logarithmic in the numbers and linear in the error; ``ax.set_yscale("log")`` afterwards shows small
    errors. Where all curves are of matrices of one shape, a second axis gives each budget as the rank
    of a global factorisation, and a line marks the dense count.

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
    for k, (curve, style) in enumerate(zip(drawn, line_styles([c.label for c in drawn]), strict=True)):
        every = (0.02 * k, 0.12)  # in lengths of the picture, so that marks of different curves stay apart
        look = style | {"where": "post", "label": curve.label, "markevery": every, "markersize": 4}
        ax.step(*_until_dense(curve), **(look | line_kwargs))
        if curve.lower_bound is not None:
            # Between two counts the bound at the second is valid: bounds fall with the budget.
            bound = {"color": style["color"], "linestyle": ":", "label": f"{curve.label}, lower bound"}
            ax.step(*_bound_until_dense(curve, curve.lower_bound), where="pre", linewidth=1.2, **bound)
    shapes = {curve.shape for curve in drawn}
    dense = max(m * n for m, n in shapes)
    ax.set_xscale("log")
    ax.set_xlim(_left_end(drawn), dense)
    ax.set_ylim(-0.02, 1.05)
    ax.set_xlabel("parameters (stored numbers)")
    ax.set_ylabel("relative Frobenius error")
    ax.grid(alpha=0.3)
    if len(shapes) == 1:
        _mark_shape(ax, *shapes.pop())
    ax.legend(fontsize="small", framealpha=0.7, loc="lower left")  # where no curve is that starts at 1
    return ax


def draw_curve(ax: Axes, curve: ErrorCurve, **look: Any) -> None:
    """Draw the staircase of one curve, up to the dense count."""
    ax.step(*_until_dense(curve), **({"where": "post", "label": curve.label} | look))


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
    edge = background()
    for k, row in enumerate(rows):
        hatch = _HATCHES.get(row.allocation, _OTHER_HATCH)
        ax.barh(k, row.relative_error, color=colour_of(row.label), hatch=hatch, edgecolor=edge)
        _annotate_bar(ax, k, row)
    labels = [f"{shorten(row.label)}, {row.allocation}" for row in rows]
    ax.set_yticks(range(len(rows)), labels, fontsize="small")
    ax.invert_yaxis()
    ax.set_xlim(0, 1.05 * max(row.relative_error for row in rows) or 1)
    ax.set_xlabel("relative error")
    m, n = comparison.shape
    set_title(ax, f"{m}×{n} matrix, budget {comparison.budget} of {m * n} numbers")
    return ax


def _annotate_bar(ax: Axes, k: int, row: Row) -> None:
    """Write error and ranks to the right of the axes, where no bar can hide them."""
    place: dict[str, Any] = {"xytext": (4, 0), "textcoords": "offset points", "va": "center"}
    text = f"{show(row.relative_error)}, rank {show(row.ranks)}"
    ax.annotate(text, (1, k), xycoords=("axes fraction", "data"), fontsize="small", **place)


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


def _until_dense(curve: ErrorCurve) -> tuple[Any, Any]:
    """Return the steps of a curve up to the dense count, where it ends."""
    dense = curve.shape[0] * curve.shape[1]
    counts, errors = curve.n_parameters, curve.relative_error
    within = counts <= dense
    if not within.any() or counts[within][-1] == dense:
        return counts[within], errors[within]
    return np.append(counts[within], dense), np.append(errors[within], errors[within][-1])


def _bound_until_dense(curve: ErrorCurve, bound: Any) -> tuple[Any, Any]:
    """Return the bounds up to the dense count; what holds at the first count beyond holds there, too."""
    dense = curve.shape[0] * curve.shape[1]
    last = int(np.searchsorted(curve.n_parameters, dense)) + 1
    return np.minimum(curve.n_parameters[:last], dense), bound[:last]


def _left_end(curves: list[ErrorCurve]) -> float:
    """Return an eighth of a global rank, or less where a hundredth of some error is gone before."""
    ends = []
    for curve in curves:
        m, n = curve.shape
        drops = curve.n_parameters[curve.relative_error < 0.99 * curve.relative_error[0]]
        ends += [(m + n) / 8, m * n / 2, *drops[:1] / 2]
    return float(min(ends))


def _mark_shape(ax: Axes, m: int, n: int) -> None:
    ax.axvline(m * n, color=faint_ink(0.6), linewidth=1, linestyle=(0, (1, 1)))
    place: dict[str, Any] = {"xytext": (4, 0), "textcoords": "offset points", "rotation": 90}
    where = ("data", "axes fraction")
    ax.annotate(f"dense {m}·{n}", (m * n, 1), xycoords=where, va="top", fontsize="small", **place)

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
