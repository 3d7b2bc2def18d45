"""A number in a rectangle, as large as fits. Imports matplotlib: to be imported by functions only."""

from __future__ import annotations

from typing import Any

from matplotlib.text import Text

from lowrank_blocks.structures.cells import Rectangle

_LEAST, _MOST = 5.0, 10.0  # font sizes in points
_DIGIT = 0.64  # width of a digit in ems


class RectangleNumber(Text):
    """A number in the middle of a rectangle of data; left out of the picture where it would not be legible.

    The font size follows from the rectangle whenever the figure is drawn, hence also after zooming.
    """

    def __init__(self, rectangle: Rectangle, number: int | str, **text: Any) -> None:
        top, bottom, left, right = rectangle
        super().__init__(
            (left + right) / 2, (top + bottom) / 2, str(number), ha="center", va="center", **text
        )
        self._corners = (left, top), (right, bottom)
        self.set_in_layout(False)

    def fitting_size(self) -> float:
        """Return the font size in points, up to 10, at which the number fits the rectangle."""
        assert self.axes is not None
        (x0, y0), (x1, y1) = self.axes.transData.transform(self._corners)
        point = self.axes.figure.dpi / 72
        width, height = abs(x1 - x0) / point, abs(y1 - y0) / point
        return float(min(_MOST, 0.8 * height, 0.85 * width / (_DIGIT * len(self.get_text()))))

    def draw(self, renderer: Any) -> None:
        """Draw the number if it fits."""
        size = self.fitting_size()
        if size >= _LEAST:
            self.set_fontsize(size)
            super().draw(renderer)
