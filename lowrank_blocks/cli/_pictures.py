"""Pictures of comparisons, named after their matrices."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from lowrank_blocks._escaping import file_stem, markdown, printable
from lowrank_blocks.plotting.budgets import plot_comparison
from lowrank_blocks.plotting.png import new_figure, png
from lowrank_blocks.reports.comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TITLE = 60  # characters of a name


def picture_names(names: Iterable[str]) -> list[str]:
    """Return one file name a matrix, safe on every system and distinct on those that ignore case."""
    found: dict[str, str] = {}
    for name in names:
        stem = f"comparison-{file_stem(name) or 'matrix'}"
        picture, again = f"{stem}.png", 2
        while _folded(picture) in found:
            picture, again = f"{stem}-{again}.png", again + 1
        found[_folded(picture)] = picture
    return list(found.values())


def links(names: Iterable[str], pictures: Sequence[str]) -> str:
    """Return Markdown that shows the pictures."""
    return "".join(
        f"\n![{markdown(name)}]({picture})\n" for name, picture in zip(names, pictures, strict=False)
    )


def drawn(width: float, height: float, draw: Callable[[Axes], Axes]) -> bytes:
    """Return a picture of this size in inches."""
    figure = new_figure(width, height)
    draw(figure.subplots())
    return png(figure)


def bars(name: str, comparison: Comparison) -> bytes:
    """Return the picture of a comparison, with the name of its matrix as title."""
    figure = new_figure(7, 1.4 + 0.42 * len(comparison.rows))
    ax = plot_comparison(comparison, ax=figure.subplots())
    ax.set_title(f"{_shortened(printable(name))}\n{ax.get_title()}", fontsize="small", parse_math=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # a box stands in its place
        return png(figure)


def _folded(picture: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", picture).casefold())


def _shortened(name: str) -> str:
    half = _TITLE // 2 - 1
    return name if len(name) <= _TITLE else f"{name[:half]}…{name[-half:]}"
