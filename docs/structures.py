"""Draw the three structures at one budget; writes structures.svg beside this script.

Run it as ``python docs/structures.py``. Colours have enough contrast on white and on black pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

SIDE = 176  # of a matrix, in pixels
PARTS = 4
RANK = 16  # pixels that a factor of rank r is wide; rank r/K is a K-th of it
LEFT, TOP, STEP = 52, 56, 252  # corner of the first matrix, and how far apart they are
INK = "#767676"
COLOURS = {"G": "#0072B2", "D": "#009E73", "L": "#D55E00"}
CAPTIONS = {
    "G": ("global (G)", "1 block of rank r"),
    "D": ("diagonal-local (D)", "K blocks of rank r"),
    "L": ("fully localized (L)", "K² blocks of rank r/K"),
}
Block = tuple[float, float, float]  # left, top, side


def blocks(letter: str) -> list[Block]:
    """Return the blocks of a structure within its matrix."""
    if letter == "G":
        return [(0, 0, SIDE)]
    part = SIDE / PARTS
    cells = [(i, j) for i in range(PARTS) for j in range(PARTS) if letter == "L" or i == j]
    return [(j * part, i * part, part) for i, j in cells]


def rect(x: float, y: float, width: float, height: float, style: str) -> str:
    """Return a rectangle."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" {style}/>'


def text(x: float, y: float, words: str, size: int, style: str = "") -> str:
    """Return words centred at x."""
    place = f'x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="middle"'
    return f'<text {place} fill="{INK}" {style}>{words}</text>'


def block(x: float, y: float, side: float, colour: str, rank: float) -> Iterator[str]:
    """Yield a block: a column of B at its left, a row of A above, and the product they make."""
    gap = 3.0
    yield rect(x + gap, y + gap, side - 2 * gap, side - 2 * gap, f'fill="{colour}" fill-opacity="0.25"')
    yield rect(x + gap, y + gap, rank, side - 2 * gap, f'fill="{colour}"')
    yield rect(x + gap, y + gap, side - 2 * gap, rank, f'fill="{colour}"')


def panel(letter: str, left: float) -> Iterator[str]:
    """Yield one matrix with its blocks and its caption."""
    title, caption = CAPTIONS[letter]
    middle, rank = left + SIDE / 2, RANK / PARTS if letter == "L" else RANK
    yield text(middle, TOP - 28, title, 16, 'font-weight="bold"')
    yield text(middle, TOP - 8, "n", 13, 'font-style="italic"')
    yield text(left - 12, TOP + SIDE / 2 + 4, "m", 13, 'font-style="italic"')
    yield rect(left, TOP, SIDE, SIDE, f'fill="none" stroke="{INK}" stroke-width="1.5"')
    for x, y, side in blocks(letter):
        yield from block(left + x, TOP + y, side, COLOURS[letter], rank)
    if letter == "D":
        yield text(left + 3 * SIDE / 4, TOP + SIDE / 4 + 6, "0", 18)
        yield text(left + SIDE / 4, TOP + 3 * SIDE / 4 + 6, "0", 18)
    yield text(middle, TOP + SIDE + 24, caption, 14)
    yield text(middle, TOP + SIDE + 44, "r(m + n) numbers", 14)


def drawing() -> str:
    """Return the picture as SVG."""
    width, height = 2 * LEFT + 2 * STEP + SIDE, TOP + SIDE + 60
    label = "; ".join(f"{title}: {caption}" for title, caption in CAPTIONS.values())
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="sans-serif">'
    shapes = [shape for k, letter in enumerate(COLOURS) for shape in panel(letter, LEFT + k * STEP)]
    return "\n".join([head, f"<title>{label}</title>", *shapes, "</svg>", ""])


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(drawing(), encoding="utf-8")
