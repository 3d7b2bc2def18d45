"""Pictures of singular values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lowrank_blocks._colours import colour_of
from lowrank_blocks.allocation.offers import Ranks, check_ranks
from lowrank_blocks.plotting._axes import axes, in_units, set_title, shorten
from lowrank_blocks.plotting._colours import faint_ink
from lowrank_blocks.solver.decomposition import Decomposition

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FLOOR = 1e-16  # of the largest value: what lies below is rounding noise


def plot_spectra(
    decomposition: Decomposition, ranks: object = None, *, pooled: bool = False, ax: Axes | None = None
) -> Axes:
    """Plot the singular values of all blocks, with the kept ones marked.

    Parameters
    ----------
    decomposition : Decomposition
        What `decompose` returned.
    ranks : sequence of int, optional
        One rank a block; the values that they keep are drawn as filled marks.
    pooled : bool, optional
        Whether to sort the values of all blocks into one line instead of one line a block. Blocks that have
        one value each, as those of `Sparse`, always are.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If `decomposition` is no Decomposition, `ranks` do not fit it, or `ax` is no Axes.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> ax = lb.plot_spectra(lb.decompose(np.diag([3.0, 2.0, 1.0]), lb.Global()), ranks=[1])
    >>> [line.get_label() for line in ax.get_lines()]
    ['all', 'kept: 1 of 3']
    """
    if not isinstance(decomposition, Decomposition):
        raise TypeError(f"decomposition must be what lb.decompose returned, got {decomposition!r}.")
    chosen = None if ranks is None else check_ranks(ranks, np.array([len(s) for s in decomposition.spectra]))
    ax = axes(ax)
    spectra, unit = in_units(*decomposition.spectra)
    name = repr(decomposition.structure)
    pooled = pooled or max(map(len, spectra)) == 1
    lines, kept = _pool(spectra, chosen) if pooled else _by_block(spectra, chosen)
    thin = max(0.1, min(0.8, 50 / len(lines)))  # many lines would be one solid shape
    for k, (index, values) in enumerate(lines):
        ax.plot(index, values, color=faint_ink(0.6), linewidth=thin, label="all" if k == 0 else "_block")
    if chosen is not None:
        label = f"kept: {int(chosen.sum())} of {sum(map(len, spectra))}"
        ax.plot(*kept, "o", color=colour_of(name), markersize=4, alpha=0.7, label=label)
    ax.set_xscale("log")
    _log_scale(ax, float(max(s[0] for s in spectra)), float(min(s[-1] for s in spectra)))
    ax.set_xlabel("index, all blocks pooled" if pooled else "index in the block")
    ax.set_ylabel(f"singular value ({unit})")
    set_title(ax, f"{shorten(name)}, {len(spectra)} block{'s' if len(spectra) > 1 else ''}")
    ax.grid(alpha=0.3)
    legend = ax.legend(fontsize="small", loc="lower left")  # free, as the values fall
    for line in legend.get_lines():
        line.set_linewidth(0.8)
    return ax


Line = tuple[np.ndarray, np.ndarray]


def _by_block(spectra: Sequence[np.ndarray], ranks: Ranks | None) -> tuple[list[Line], Line]:
    lines = [(np.arange(1, len(s) + 1), s) for s in spectra]
    counts = [0] * len(spectra) if ranks is None else ranks
    kept = [(index[:r], values[:r]) for (index, values), r in zip(lines, counts, strict=True)]
    return lines, (np.concatenate([k for k, _ in kept]), np.concatenate([v for _, v in kept]))


def _pool(spectra: Sequence[np.ndarray], ranks: Ranks | None) -> tuple[list[Line], Line]:
    counts = [0] * len(spectra) if ranks is None else ranks
    values = np.concatenate(spectra)
    kept = np.concatenate([np.arange(len(s)) < r for s, r in zip(spectra, counts, strict=True)])
    order = np.argsort(-values, kind="stable")
    index = np.arange(1, len(values) + 1)
    return [(index, values[order])], (index[kept[order]], values[order][kept[order]])


def _log_scale(ax: Axes, largest: float, smallest: float) -> None:
    if largest > 0 and smallest < 0.1 * largest:
        ax.set_yscale("log")
        ax.set_ylim(bottom=max(0.5 * smallest, _FLOOR * largest))
