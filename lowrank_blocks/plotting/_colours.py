"""The look of pictures by matplotlib: styles of lines, and colours of text for light and dark paper."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

from lowrank_blocks._colours import COLOURS, OTHER, colour_of, ink_at, luminance_of

PAPER = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}
_DASHES = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)))  # not dotted: so are lower bounds
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def line_styles(labels: Sequence[str]) -> list[dict[str, Any]]:
    """Return one line style a label: the colour of its structure, and dash and marker to tell them apart."""
    order = [*COLOURS.values(), OTHER]
    met = dict.fromkeys(order, 0)
    styles = []
    for label, marker in zip(labels, cycle(_MARKERS), strict=False):
        colour = colour_of(label)
        dash = _DASHES[(order.index(colour) + met[colour]) % len(_DASHES)]
        met[colour] += 1
        styles.append({"color": colour, "linestyle": dash, "marker": marker})
    return styles


def ink_on(colour: Any) -> str:
    """Return black or white, whichever has the higher contrast on a colour (WCAG 2.1)."""
    return ink_at(luminance(colour))


def luminance(colour: Any) -> float:
    """Return the relative luminance of a colour, from 0 for black to 1 for white (WCAG 2.1)."""
    from matplotlib.colors import to_rgb

    return luminance_of(to_rgb(colour))


def faint_ink(alpha: float) -> tuple[float, float, float, float]:
    """Return the colour of text, so thin that it is a shade of whatever paper lies below."""
    import matplotlib as mpl
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(mpl.rcParams["text.color"])
    return red, green, blue, alpha


def background() -> Any:
    """Return the colour of the paper of axes."""
    import matplotlib as mpl

    return mpl.rcParams["axes.facecolor"]
