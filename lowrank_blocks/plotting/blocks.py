"""Pictures of blocks where they lie: ranks, and what an approximation leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from lowrank_blocks._validation import Matrix, Shape, as_matrix
from lowrank_blocks.plotting import _rectangles as rectangles
from lowrank_blocks.plotting._axes import axes, error_text, in_units, set_title, shorten
from lowrank_blocks.search.partitions import BestPartition
from lowrank_blocks.solver.approximation import Approximation

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_ranks(approximation: Approximation, *, ax: Axes | None = None) -> Axes:
    """Plot the rank of every block where the block lies; what is in no block is a shade of the paper.

    Numbers stand in the blocks in which they fit. A matrix of more than six to one is drawn shorter.

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
    shape = approximation.shape
    ax = axes(ax, _figure_size(shape))
    rectangles.frame(ax, shape)
    parts, ranks = (
        rectangles.of(approximation.blocks),
        rectangles.spread(approximation.blocks, approximation.ranks),
    )
    cells = rectangles.fill(ax, shape, parts, ranks)
    rectangles.add_bar(ax, shape, cells, "rank", ticks=MaxNLocator("auto", integer=True))
    set_title(ax, f"{shorten(repr(approximation.structure))}, {approximation.n_parameters} parameters")
    return ax


def plot_residual(dW: ArrayLike, approximation: Approximation, *, ax: Sequence[Axes] | None = None) -> Any:
    """Plot ``|dW|`` beside ``|dW - X|`` on one scale, with the lines of the blocks.

    The scale ends where 99 % of the entries that are not 0 have been met, so that a large one does not
    wash out the rest; the colour bar then ends in an arrow. A wide matrix stands above its residual.

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
    pair = _pair(ax, approximation.shape)
    size = np.abs(matrix.astype(np.float64))
    rest = np.abs(matrix - approximation.to_dense().astype(np.float64))
    panels, unit = in_units(size, rest)
    top = max(map(rectangles.scale_of, panels))
    titles = ("|ΔW|", f"|ΔW − X|, error {error_text(approximation.relative_error)}")
    for panel, values, title in zip(pair, panels, titles, strict=True):
        image = _draw(panel, values, top, approximation)
        set_title(panel, title)
    if ax is None:
        for panel in pair:
            panel.label_outer()
    extend = rectangles.extent_of(panels, top)
    for panel in pair if _is_wide(approximation.shape) else pair[1:]:
        rectangles.add_bar(panel, approximation.shape, image, f"size ({unit})", extend=extend)
    return pair


def plot_partition(dW: ArrayLike, found: Approximation, *, ax: Axes | None = None) -> Axes:
    """Plot the parts of a partition with their ranks on ``|dW|``; parts of rank 0 have no number.

    Numbers stand in the parts in which they fit. The scale is that of `plot_residual`.

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
    shape = found.shape
    ax = axes(ax, _figure_size(shape, title=0.14))
    (size,), unit = in_units(np.abs(matrix.astype(np.float64)))
    top = rectangles.scale_of(size)
    image = _draw(ax, size, top, found)
    ranks = rectangles.spread(found.blocks, found.ranks)
    parts = [part for part, rank in zip(rectangles.of(found.blocks), ranks, strict=True) if rank > 0]
    rectangles.number(ax, shape, parts, ranks[ranks > 0])
    extend = rectangles.extent_of([size], top)
    rectangles.add_bar(ax, shape, image, f"|ΔW| ({unit})", extend=extend)
    title = found.verdict if isinstance(found, BestPartition) else shorten(repr(found.structure))
    set_title(ax, title, f"relative error {error_text(found.relative_error)}")
    return ax


def _draw(ax: Axes, size: Matrix, top: float, approximation: Approximation) -> Any:
    """Draw the sizes of all entries with the lines of the blocks."""
    rectangles.frame(ax, approximation.shape)
    image = rectangles.show(ax, size, top)
    rectangles.outline(ax, approximation.shape, rectangles.of(approximation.blocks))
    return image


def _figure_size(shape: Shape, title: float = 0.0) -> tuple[float, float]:
    """Return the size of a figure in inches; `title` is the height of its second line."""
    (width, height), (beside, above) = rectangles.figure_sizes(shape)
    return width + beside, height + above + title


def _of_shape(dW: ArrayLike, shape: Shape) -> Matrix:
    matrix = as_matrix(dW)
    if matrix.shape != shape:
        raise ValueError(f"dW must have the shape of the approximation, {shape}, got {matrix.shape}.")
    return matrix


def _pair(ax: Any, shape: Shape) -> Any:
    if ax is None:
        return _new_pair(shape)
    if isinstance(ax, (str, bytes)) or not hasattr(ax, "__len__") or len(ax) != 2:
        raise TypeError(f"ax must be a pair of matplotlib Axes or None, got {ax!r}.")
    return np.array([axes(a) if a is not None else _refuse_none() for a in ax], dtype=object)


def _new_pair(shape: Shape) -> Any:
    """Return two axes on a new figure: one above the other for a wide matrix, else side by side."""
    import matplotlib.pyplot as plt

    (width, height), (beside, above) = rectangles.figure_sizes(shape)
    wide = _is_wide(shape)
    lines, columns = (2, 1) if wide else (1, 2)
    size = (columns * width + beside, lines * height + above)
    return plt.subplots(
        lines, columns, layout="compressed", figsize=size, sharex=wide, sharey=not wide, squeeze=False
    )[1].ravel()


def _is_wide(shape: Shape) -> bool:
    return shape[1] > 2 * shape[0]


def _refuse_none() -> Any:
    raise TypeError("ax must be a pair of matplotlib Axes or None, got a pair with None in it.")


def _require_approximation(value: object, name: str = "approximation") -> None:
    if not isinstance(value, Approximation):
        raise TypeError(f"{name} must be what lb.approximate returned, got {value!r}.")
