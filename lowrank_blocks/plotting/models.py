"""Pictures of whole models: errors at every budget, and where the numbers go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lowrank_blocks._colours import HEAT
from lowrank_blocks._validation import Matrix
from lowrank_blocks.models.comparison import ACROSS, PLAN, ModelComparison
from lowrank_blocks.plotting._axes import axes, set_title, shorten
from lowrank_blocks.plotting._colours import faint_ink, ink_on, line_styles
from lowrank_blocks.reports.curves import Steps, extent, steps_of
from lowrank_blocks.reports.modules import ModuleGrid, equivalent_ranks, module_grid, short_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CELL = 0.62, 0.3  # width and height in inches
_LEAST, _MOST = (4.5, 2.4), (12.0, 16.0)  # of the figure
_LONGEST = 24  # letters of a label
_LETTER = 0.075  # inches of a letter of a label


def plot_model_curves(comparison: ModelComparison, *, ax: Axes | None = None) -> Axes:
    """Plot the relative error of a whole model against stored numbers, one line a structure.

    A line marks the budget, and dots what was found there with ranks across the model. No plan has an
    error below the dotted line. A second axis gives the counts as ranks of global factorisations.

    Parameters
    ----------
    comparison : ModelComparison
        What `compare_checkpoints` returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        If `comparison` is no ModelComparison or `ax` no Axes.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> base, tuned = {"q": np.zeros((4, 4))}, {"q": np.diag([4.0, 3, 2, 1])}
    >>> found = lb.compare_checkpoints(base, tuned, [lb.Global(), lb.DiagonalLocal(2)], rank=1)
    >>> ax = lb.plot_model_curves(found)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['Global()', 'DiagonalLocal(2)', 'plan, lower bound']
    """
    import matplotlib as mpl

    _require_comparison(comparison)
    ax = axes(ax)
    curves = {label: steps_of(comparison, label) for label in comparison.curves}
    ink, (left, right) = mpl.rcParams["text.color"], extent(comparison, list(curves.values()))
    single = [label for label in curves if label != PLAN]
    for k, (label, style) in enumerate(zip(single, line_styles(single), strict=True)):
        every = (0.02 * k, 0.12)  # in lengths of the picture, so that marks of different curves stay apart
        look = style | {"where": "post", "label": shorten(label), "markevery": every, "markersize": 4}
        ax.step(*_until(curves[label], right), **look)
        _dot(ax, comparison, f"{label}, {ACROSS}", style["color"])
    ax.step(*curves[PLAN], where="pre", color=ink, linestyle=":", linewidth=1.4, label="plan, lower bound")
    _dot(ax, comparison, PLAN, ink)
    ax.set_xscale("log")
    ax.set_xlim(left, right)
    _frame(ax, comparison)
    ax.legend(fontsize="small", framealpha=0.7, loc="lower left")
    return ax


def plot_model_ranks(comparison: ModelComparison, way: str | None = None, *, ax: Axes | None = None) -> Axes:
    """Plot what every matrix stores, as the rank of a global factorisation, by layer and kind of module.

    The first integer in a dotted name is the layer, the rest is the kind. Numbers stand in the cells in
    which they fit.

    Parameters
    ----------
    comparison : ModelComparison
        What `compare_checkpoints` returned.
    way : str, optional
        One of `comparison.plans`, such as ``"Global(), ranks across"``; by default the best.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If `comparison` is no ModelComparison, `way` none of its plans, or `ax` no Axes.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> base = {f"h.{k}.q": np.zeros((4, 4)) for k in (0, 1)}
    >>> tuned = {"h.0.q": np.eye(4), "h.1.q": 5 * np.eye(4)}
    >>> found = lb.compare_checkpoints(base, tuned, [lb.Global()], rank=1)
    >>> [text.get_text() for text in lb.plot_model_ranks(found, "Global(), ranks across").texts]
    ['0', '2']
    """
    _require_comparison(comparison)
    label = _as_way(comparison, way)
    plan = comparison.plans[label]
    grid = module_grid(plan.ranks)
    ax = axes(ax, _figure_size(grid))
    values = np.full((len(grid.rows), len(grid.columns)), np.nan)
    for name, rank in equivalent_ranks(plan).items():
        values[grid.places[name]] = rank
    cells = ax.pcolormesh(values, cmap=HEAT, vmin=0, vmax=np.nanmax(values) or 1.0, edgecolors="face")
    _write_numbers(ax, cells, values)
    _label_cells(ax, grid)
    bar = ax.figure.colorbar(cells, ax=ax, aspect=30)
    bar.set_label("rank of Global() that stores as much", fontsize="small")
    set_title(ax, shorten(label, 48), f"{plan.n_parameters} of {comparison.budget} numbers")
    return ax


def _until(steps: Steps, right: float) -> tuple[Matrix, Matrix]:
    """Return a staircase with its last step drawn to the end of the picture."""
    return np.append(steps[0], right), np.append(steps[1], steps[1][-1])


def _frame(ax: Axes, comparison: ModelComparison) -> None:
    """Set limits and labels, and mark the budget and the ranks."""
    ax.set_ylim(-0.02, 1.05)
    ax.set_xlabel("stored numbers")
    ax.set_ylabel(
        "relative error in the weighted norm" if comparison.weighted else "relative Frobenius error"
    )
    ax.grid(alpha=0.3)
    _add_ranks(ax, sum(map(sum, comparison.plans[PLAN].shapes.values())))
    if comparison.budget:  # nothing is at 0 on a logarithmic axis
        _mark(ax, comparison.budget)


def _mark(ax: Axes, budget: int) -> None:
    ax.axvline(budget, color=faint_ink(0.6), linewidth=1, linestyle="--")
    place: dict[str, Any] = {"xytext": (4, 4), "textcoords": "offset points", "rotation": 90}
    where = ("data", "axes fraction")
    ax.annotate(f"budget {budget}", (budget, 0), xycoords=where, va="bottom", fontsize="small", **place)


def _add_ranks(ax: Axes, unit: int) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    def to_rank(count: Any) -> Any:
        return np.asarray(count) / unit

    def to_count(rank: Any) -> Any:
        return np.asarray(rank) * unit

    top = ax.secondary_xaxis("top", functions=(to_rank, to_count))
    top.set_xlabel("rank of Global() everywhere")
    top.xaxis.set_major_locator(LogLocator(base=2))
    top.xaxis.set_major_formatter(
        FuncFormatter(lambda rank, _: f"{rank:g}" if rank >= 1 else f"1/{1 / rank:g}")
    )
    top.xaxis.set_minor_formatter(NullFormatter())


def _dot(ax: Axes, comparison: ModelComparison, label: str, colour: Any) -> None:
    found = comparison.plans.get(label)
    if found is not None:
        ax.plot(found.n_parameters, found.relative_error, "o", color=colour, markersize=6)


def _write_numbers(ax: Axes, cells: Any, values: Matrix) -> None:
    from lowrank_blocks.plotting._numbers import RectangleNumber

    for i, j in np.argwhere(~np.isnan(values)).tolist():
        ink = ink_on(cells.to_rgba(values[i, j]))
        ax.add_artist(RectangleNumber((i, i + 1, j, j + 1), f"{values[i, j]:.3g}", color=ink))


def _label_cells(ax: Axes, grid: ModuleGrid) -> None:
    rows = [short_label(label, _LONGEST) for label in grid.rows]
    columns = [short_label(label, _LONGEST) for label in grid.columns]
    turned: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    level: dict[str, Any] = {}
    long = max(map(len, columns)) * _LETTER > _CELL[0]
    ax.set_xticks(np.arange(len(columns)) + 0.5, columns, fontsize="small", **(turned if long else level))
    shown = range(0, len(rows), 1 + int(len(rows) * _CELL[1] / _MOST[1]))  # of many layers every few
    ax.set_yticks([i + 0.5 for i in shown], [rows[i] for i in shown], fontsize="small")
    ax.tick_params(length=0)
    ax.set(xlim=(0, len(columns)), ylim=(len(rows), 0), xlabel=grid.heads[1], ylabel=grid.heads[0])
    ax.set_facecolor(faint_ink(0.12))


def _figure_size(grid: ModuleGrid) -> tuple[float, float]:
    beside, below = (_LETTER * min(_LONGEST, max(map(len, labels))) for labels in (grid.rows, grid.columns))
    wanted = len(grid.columns) * _CELL[0] + beside + 2.2, len(grid.rows) * _CELL[1] + below + 1.4
    width, height = (float(np.clip(*x)) for x in zip(wanted, _LEAST, _MOST, strict=True))
    return width, height


def _as_way(comparison: ModelComparison, way: object) -> str:
    label = comparison.best if way is None else way
    if not isinstance(label, str):
        raise TypeError(f"way must be one of {list(comparison.plans)}, got {way!r}.")
    if label not in comparison.plans:
        raise ValueError(f"way must be one of {list(comparison.plans)}, got {way!r}.")
    return label


def _require_comparison(value: object) -> None:
    if not isinstance(value, ModelComparison):
        raise TypeError(
            f"comparison must be what lb.compare_checkpoints returned, got {value!r}; "
            "write lb.compare_checkpoints(base, tuned, structures, budget=...)."
        )
