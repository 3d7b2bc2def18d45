"""The map of the formal comparison: who has the least error, where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lowrank_blocks.plotting._axes import axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Lightness rises from G to D to L, so that the map reads in grey; the letters say it in any case.
_FILLS = {"G": "#0072B2", "D": "#E69F00", "L": "#F5E9A9"}
_TIE = "#D9D9D9"


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
            ax.add_patch(Rectangle((j, i), 1, 1, facecolor=_FILLS.get(winner, _TIE), edgecolor="white"))
            colour = "white" if winner == "G" else "black"
            ax.text(j + 0.5, i + 0.5, winner, ha="center", va="center", color=colour, fontsize="small")
    ax.set(xlim=(0, len(columns)), ylim=(len(rows), 0))
    ax.set_xticks([j + 0.5 for j in range(len(columns))], columns, fontsize="small")
    ax.set_yticks([i + 0.5 for i in range(len(rows))], rows, fontsize="small")
    ax.tick_params(length=0)
    return ax
