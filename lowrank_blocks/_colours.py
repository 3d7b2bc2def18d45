"""One colour for every structure, a scale of heat, and colours of text that can be read on them."""

from __future__ import annotations

# From Okabe & Ito's palette, safe for colour-blind readers: the colours with contrast to white and to black.
COLOURS = {
    "Global": "#0072B2",
    "DiagonalLocal": "#009E73",
    "Localized": "#D55E00",
    "best partition": "#CC79A7",
    # Not from the palette, but as dark: for structures that are seldom all in one picture.
    "Monarch": "#7B61C9",
    "Kronecker": "#9A6A1E",
    "HODLR": "#1E8FA8",
    "BlockCirculant": "#6B8E23",
    "Tied": "#C2476B",
    "Sparse": "#8C6D5A",
}
OTHER = "#808080"
CLAIMS = {  # what is proved of the adapter of a family
    "optimal": "#0072B2",
    "infimum": "#0072B2",
    "optimal with one half fixed": "#E69F00",
    "upper bound": "#D55E00",
}
HEAT = "cividis"  # monotone in lightness, safe for colour-blind readers
HEAT_STOPS = ("#00224E", "#434E6C", "#7D7C78", "#BCAE6C", "#FEE838")  # of HEAT, equally far apart

RGB = tuple[float, float, float]


def colour_of(label: str) -> str:
    """Return the colour of the structure that a label such as ``"Localized(4), uniform"`` names."""
    return COLOURS.get(label.split("(")[0], OTHER)


def heat(share: float) -> str:
    """Return the colour of a share of the scale of heat, from 0 to 1.

    Examples
    --------
    >>> heat(0), heat(0.5), heat(1)
    ('#00224E', '#7D7C78', '#FEE838')
    """
    place = min(max(share, 0.0), 1.0) * (len(HEAT_STOPS) - 1)
    k = min(int(place), len(HEAT_STOPS) - 2)
    low, high = _channels(HEAT_STOPS[k]), _channels(HEAT_STOPS[k + 1])
    mixed = (round(a + (place - k) * (b - a)) for a, b in zip(low, high, strict=True))
    return "#" + "".join(f"{channel:02X}" for channel in mixed)


def ink(colour: str) -> str:
    """Return black or white, whichever has the higher contrast on a colour such as ``"#0072B2"``.

    Examples
    --------
    >>> ink("#0072B2"), ink("#FEE838")
    ('white', 'black')
    """
    red, green, blue = (channel / 255 for channel in _channels(colour))
    return ink_at(luminance_of((red, green, blue)))


def ink_at(luminance: float) -> str:
    """Return black or white, whichever has the higher contrast to a relative luminance (WCAG 2.1)."""
    return "black" if luminance > 0.179 else "white"


def luminance_of(rgb: RGB) -> float:
    """Return the relative luminance of red, green and blue from 0 to 1 (WCAG 2.1)."""
    linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in rgb]
    return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[k : k + 2], 16) for k in (1, 3, 5))
