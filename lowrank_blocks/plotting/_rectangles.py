"""Rectangles on a matrix: the one place that draws blocks where they lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._colours import HEAT
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.plotting._colours import PAPER, background, faint_ink, ink_on
from lowrank_blocks.structures.cells import Block, Rectangle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST = 6.0  # a longer matrix is drawn this many times as long as wide, out of scale
_WIDTH, _HEIGHT = 5.0, 3.7  # most inches of a matrix on a figure of its own
_TOO_MANY = 20_000  # more rectangles than that are drawn entry by entry, without lines and numbers
_MANY = 400  # with more rectangles, those below a twentieth of an axis get no number
_WASHED_OUT = 99  # per cent of the entries that are not 0 lie within the scale of a picture


def of(blocks: Iterable[Block]) -> list[Rectangle]:
    """Return the rectangles of all blocks as ``(top, bottom, left, right)``."""
    return [(r.start, r.stop, c.start, c.stop) for block in blocks for r, c in block.rectangles()]


def spread(blocks: Iterable[Block], values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the value of its block for every rectangle."""
    return np.repeat(values, [len(block.rectangles()) for block in blocks])


def figure_sizes(shape: Shape) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the inches that a matrix of this shape takes, and what axes, title and colour bar add."""
    ratio = _ratio(shape)
    width = min(_WIDTH, _HEIGHT / ratio)
    return (width, width * ratio), (max(1.9, 3.0 - width), 0.8)


def frame(ax: Axes, shape: Shape) -> None:
    """Give axes the rows and columns of a matrix, to scale unless it is very long."""
    m, n = shape
    ax.set(xlim=(0, n), ylim=(m, 0), aspect=_aspect(shape), xlabel="column", ylabel="row")


def fill(ax: Axes, shape: Shape, rectangles: Sequence[Rectangle], values: NDArray[np.int64]) -> Any:
    """Draw rectangles in the colours of their values, with the number of each where it fits."""
    if len(rectangles) > _TOO_MANY:
        return _filled(ax, shape, rectangles, values)
    cells = _patches(rectangles)
    edge = (
        {"edgecolor": background(), "linewidth": 0.5} if len(rectangles) <= _MANY else {"edgecolor": "face"}
    )
    cells.set(array=values.astype(float), cmap=HEAT, **edge)
    cells.set_clim(0, max(1, int(values.max())))
    ax.set_facecolor(faint_ink(0.12))
    ax.add_collection(cells)
    number(ax, shape, rectangles, values, [{"color": ink_on(colour)} for colour in cells.to_rgba(values)])
    return cells


def _filled(ax: Axes, shape: Shape, rectangles: Sequence[Rectangle], values: NDArray[np.int64]) -> Any:
    entries = np.full(shape, np.nan)
    for (top, bottom, left, right), value in zip(rectangles, values.tolist(), strict=True):
        entries[top:bottom, left:right] = value
    ax.set_facecolor(faint_ink(0.12))
    limits: dict[str, Any] = {"vmin": 0, "vmax": max(1, int(values.max())), "cmap": HEAT}
    return ax.imshow(entries, extent=(0, shape[1], shape[0], 0), aspect=_aspect(shape), **limits)


def outline(ax: Axes, shape: Shape, rectangles: Sequence[Rectangle]) -> None:
    """Draw the lines of rectangles, thinner where these are small, unless they are too many to be seen."""
    if len(rectangles) > _TOO_MANY:
        return
    lines = _patches(rectangles)
    lines.set(
        facecolor="none", edgecolor="black", linewidth=np.clip(6 * _shares(shape, rectangles), 0.1, 0.6)
    )
    ax.add_collection(lines)


def number(
    ax: Axes,
    shape: Shape,
    rectangles: Sequence[Rectangle],
    values: NDArray[np.int64],
    looks: Sequence[dict[str, Any]] | None = None,
) -> None:
    """Write numbers into rectangles, each with its own look; by default black on a bit of white paper."""
    from lowrank_blocks.plotting._numbers import RectangleNumber

    looks = looks or [{"color": "black", "bbox": PAPER}] * len(rectangles)
    small = _shares(shape, rectangles) < (0.05 if len(rectangles) > _MANY else 0)
    for rectangle, value, look, hidden in zip(rectangles, values.tolist(), looks, small, strict=True):
        if not hidden:
            ax.add_artist(RectangleNumber(rectangle, value, **look))


def show(ax: Axes, sizes: Matrix, top: float) -> Any:
    """Draw the sizes of all entries on a scale from 0 to `top`."""
    m, n = sizes.shape
    return ax.imshow(
        sizes, extent=(0, n, m, 0), vmin=0, vmax=top or 1.0, cmap="Blues", aspect=_aspect((m, n))
    )


def scale_of(sizes: Matrix) -> float:
    """Return where the scale of a picture ends, so that one large entry does not wash out the rest."""
    positive = sizes[sizes > 0]
    return float(np.percentile(positive, _WASHED_OUT, method="lower")) if positive.size else 0.0


def add_bar(ax: Axes, shape: Shape, drawn: Any, label: str, **settings: Any) -> None:
    """Attach a colour bar as long as the matrix is high."""
    width = 0.04 * max(1.0, _ratio(shape))  # of the width of the matrix: 4 % of its longer side
    place = ax.inset_axes((1 + 0.7 * width, 0, width, 1))
    ax.figure.colorbar(drawn, cax=place, **settings)
    place.set_ylabel(label, fontsize="small")


def extent_of(sizes: Sequence[Matrix], top: float) -> str:
    """Return how the colour bar ends: in an arrow where entries exceed the scale."""
    return "max" if max(float(s.max()) for s in sizes) > top else "neither"


def _ratio(shape: Shape) -> float:
    return float(np.clip(shape[0] / shape[1], 1 / _LONGEST, _LONGEST))


def _aspect(shape: Shape) -> float:
    """Return how much longer a row is drawn than a column is wide."""
    return _ratio(shape) * shape[1] / shape[0]


def _shares(shape: Shape, rectangles: Sequence[Rectangle]) -> NDArray[np.float64]:
    """Return for each rectangle the lesser of its shares of the rows and of the columns."""
    top, bottom, left, right = np.array(rectangles, dtype=np.int64).reshape(-1, 4).T
    shares: NDArray[np.float64] = np.minimum((bottom - top) / shape[0], (right - left) / shape[1])
    return shares


def _patches(rectangles: Sequence[Rectangle]) -> Any:
    from matplotlib.collections import PolyCollection

    top, bottom, left, right = np.array(rectangles, dtype=np.int64).reshape(-1, 4).T
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return PolyCollection(list(np.stack([np.stack(corner, axis=1) for corner in corners], axis=1)))
