"""The map of the formal comparison: who has the least error, where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lowrank_blocks._colours import COLOURS
from lowrank_blocks.plotting._axes import axes
from lowrank_blocks.plotting._colours import background, ink_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FILLS = {"G": COLOURS["Global"], "D": COLOURS["DiagonalLocal"], "L": COLOURS["Localized"]}
_TIE = "#D9D9D9"
_MEANINGS = {
    "G": "G: Global(), one block",
    "D": "D: DiagonalLocal(K), the K blocks on the diagonal",
    "L": "L: Localized(K), all K×K blocks",
    "=": "several: a tie",
}


def plot_winners(
    winners: Sequence[Sequence[str]], rows: Sequence[str], columns: Sequence[str], *, ax: Axes | None = None
) -> Axes:
    """Plot which structure has the least error: one letter a cell, several for a tie.

    Parameters
    ----------
    winners : sequence of sequences of str
        ``"G"``, ``"D"``, ``"L"``, or joined by ``=`` for a tie; one sequence a row.
    rows, columns : sequence of str
        Names of the matrices, and of the block counts and ranks.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    from matplotlib.patches import Rectangle

    ax = axes(ax, figsize=(2.5 + 0.55 * len(columns), 0.8 + 0.3 * len(rows)))
    for i, line in enumerate(winners):
        for j, winner in enumerate(line):
            fill = _FILLS.get(winner, _TIE)
            ax.add_patch(Rectangle((j, i), 1, 1, facecolor=fill, edgecolor=background()))
            look: dict[str, Any] = {
                "ha": "center",
                "va": "center",
                "fontsize": "small",
                "color": ink_on(fill),
            }
            ax.text(j + 0.5, i + 0.5, winner, **look)
    ax.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    ax.set_xticks([j + 0.5 for j in range(len(columns))], columns, fontsize="small")
    ax.set_yticks([i + 0.5 for i in range(len(rows))], rows, fontsize="small")
    ax.tick_params(length=0)
    return ax


def add_winners_legend(figure: Figure) -> None:
    """Explain the letters below a figure."""
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=_FILLS.get(key, _TIE), label=text) for key, text in _MEANINGS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize="small")
