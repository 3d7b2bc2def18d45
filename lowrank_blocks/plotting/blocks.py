"""Pictures of blocks where they lie: ranks, and what an approximation leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from lowrank_blocks._validation import Matrix, Shape, as_matrix
from lowrank_blocks.plotting._axes import HEAT, PAPER, axes, error_text, shorten
from lowrank_blocks.search.partitions import BestPartition
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.structures.cells import Block

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MANY_BLOCKS = 400  # numbers in more blocks than these would overlap


def plot_ranks(approximation: Approximation, *, ax: Axes | None = None) -> Axes:
    """Plot the rank of every block where the block lies, with numbers; what is in no block is grey.

    Parameters
    ----------
    approximation : Approximation
        What `approximate` returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError
        If `approximation` is no Approximation or `ax` no Axes.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> ax = lb.plot_ranks(lb.approximate(np.eye(4), lb.Localized(2), 16))
    >>> [text.get_text() for text in ax.texts]
    ['2', '0', '0', '2']
    """
    from matplotlib.ticker import MaxNLocator

    _require_approximation(approximation)
    ax = axes(ax)
    _frame(ax, approximation.shape)
    ax.set_facecolor("0.92")
    rectangles = _rectangles(approximation.blocks)
    rectangles.set(
        array=np.asarray(approximation.ranks, dtype=float), cmap=HEAT, edgecolor="white", linewidth=0.5
    )
    rectangles.set_clim(0, max(1, int(max(approximation.ranks))))
    ax.add_collection(rectangles)
    if len(approximation.ranks) <= _MANY_BLOCKS:
        _number_all(ax, approximation)
    ax.figure.colorbar(rectangles, ax=ax, label="rank", ticks=MaxNLocator(integer=True))
    ax.set_title(
        f"{shorten(repr(approximation.structure))}, {approximation.n_parameters} parameters", fontsize="small"
    )
    return ax


def plot_residual(dW: ArrayLike, approximation: Approximation, *, ax: Sequence[Axes] | None = None) -> Any:
    """Plot ``|dW|`` beside ``|dW - X|`` on one scale, with the lines of the blocks.

    Parameters
    ----------
    dW : (m, n) array_like
        The matrix that was approximated.
    approximation : Approximation
        X, what `approximate` returned.
    ax : pair of matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    (2,) array of matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If `dW` is no matrix of the shape of the approximation, or `ax` no pair of Axes.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> axs = lb.plot_residual(np.eye(4), lb.approximate(np.eye(4), lb.Localized(2), 8))
    >>> [ax.get_title() for ax in axs]
    ['|ΔW|', '|ΔW − X|, error 0.7071']
    """
    _require_approximation(approximation)
    matrix = _of_shape(dW, approximation.shape)
    pair = _pair(ax)
    size = np.abs(matrix.astype(np.float64))
    rest = np.abs(matrix - approximation.to_dense().astype(np.float64))
    top = float(max(size.max(), rest.max()))
    titles = ("|ΔW|", f"|ΔW − X|, error {error_text(approximation.relative_error)}")
    for panel, values, title in zip(pair, (size, rest), titles, strict=True):
        _frame(panel, approximation.shape)
        image = _show(panel, values, top)
        lines = _rectangles(approximation.blocks)
        lines.set(facecolor="none", edgecolor="black", linewidth=0.4)
        panel.add_collection(lines)
        panel.set_title(title, fontsize="small", wrap=True)
    pair[0].figure.colorbar(image, ax=list(pair), label="size (units of ΔW)", shrink=0.8)
    return pair


def plot_partition(dW: ArrayLike, found: Approximation, *, ax: Axes | None = None) -> Axes:
    """Plot the parts of a partition with their ranks on ``|dW|``; parts of rank 0 have no number.

    Parameters
    ----------
    dW : (m, n) array_like
        The matrix that was partitioned.
    found : Approximation
        What `best_partition` or `approximate` returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    TypeError, ValueError
        If `found` is no Approximation, `dW` is no matrix of its shape, or `ax` no Axes.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> dW = np.kron(np.diag([1.0, 2.0]), np.ones((4, 4)))
    >>> [text.get_text() for text in lb.plot_partition(dW, lb.best_partition(dW, 16)).texts]
    ['1', '1']
    """
    _require_approximation(found, "found")
    matrix = _of_shape(dW, found.shape)
    ax = axes(ax)
    size = np.abs(matrix.astype(np.float64))
    _frame(ax, found.shape)
    image = _show(ax, size, float(size.max()))
    lines = _rectangles(found.blocks)
    lines.set(facecolor="none", edgecolor="black", linewidth=0.6)
    ax.add_collection(lines)
    for block, rank in zip(found.blocks, found.ranks, strict=True):
        if rank:
            _number(ax, block, rank, color="black", fontsize=_font(block, found.shape), bbox=PAPER)
    ax.figure.colorbar(image, ax=ax, label="|ΔW| (units of ΔW)", shrink=0.8)
    title = found.verdict if isinstance(found, BestPartition) else shorten(repr(found.structure))
    ax.set_title(f"{title}\nrelative error {error_text(found.relative_error)}", fontsize="small", wrap=True)
    return ax


def _show(ax: Axes, values: Matrix, top: float) -> Any:
    m, n = values.shape
    return ax.imshow(values, extent=(0, n, m, 0), vmin=0, vmax=top or 1.0, cmap="Blues", aspect="equal")


def _frame(ax: Axes, shape: Shape) -> None:
    m, n = shape
    ax.set(xlim=(0, n), ylim=(m, 0), aspect="equal", xlabel="column", ylabel="row")


def _rectangles(blocks: Sequence[Block]) -> Any:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    places = [place for block in blocks for place in block.rectangles()]
    return PatchCollection(
        [Rectangle((c.start, r.start), c.stop - c.start, r.stop - r.start) for r, c in places]
    )


def _number_all(ax: Axes, approximation: Approximation) -> None:
    dark = 0.5 * max(1, int(max(approximation.ranks)))
    for block, rank in zip(approximation.blocks, approximation.ranks, strict=True):
        size = _font(block, approximation.shape)
        _number(ax, block, rank, color="white" if rank < dark else "black", fontsize=size)


def _number(ax: Axes, block: Block, rank: int, **text: Any) -> None:
    rows, cols = block.rectangles()[0]
    x, y = (cols.start + cols.stop) / 2, (rows.start + rows.stop) / 2
    ax.text(x, y, str(rank), ha="center", va="center", **text)


def _font(block: Block, shape: Shape) -> float:
    share = min(block.shape[0] / shape[0], block.shape[1] / shape[1])
    return float(np.clip(100 * share, 3.5, 10))


def _of_shape(dW: ArrayLike, shape: Shape) -> Matrix:
    matrix = as_matrix(dW)
    if matrix.shape != shape:
        raise ValueError(f"dW must have the shape of the approximation, {shape}, got {matrix.shape}.")
    return matrix


def _pair(ax: Any) -> Any:
    if ax is None:
        import matplotlib.pyplot as plt

        return plt.subplots(1, 2, layout="constrained", figsize=(9, 4), sharey=True)[1]
    if isinstance(ax, (str, bytes)) or not hasattr(ax, "__len__") or len(ax) != 2:
        raise TypeError(f"ax must be a pair of matplotlib Axes or None, got {ax!r}.")
    return np.array([axes(a) if a is not None else _refuse_none() for a in ax], dtype=object)


def _refuse_none() -> Any:
    raise TypeError("ax must be a pair of matplotlib Axes or None, got a pair with None in it.")


def _require_approximation(value: object, name: str = "approximation") -> None:
    if not isinstance(value, Approximation):
        raise TypeError(f"{name} must be what lb.approximate returned, got {value!r}.")
