"""Tables: rows of plain values, written for people and for machines."""

from __future__ import annotations

import csv
import html
import io
from dataclasses import dataclass
from typing import Any

from lowrank_blocks._escaping import markdown, printable

Cell = str | int | float | tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """Rows under named columns.

    Attributes
    ----------
    columns : tuple of str
        Names of the columns.
    rows : tuple of tuple
        Cells: text, ints, floats, or tuples of ints such as the ranks of all blocks.
    title : str
        A line above the table.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""

    def to_text(self) -> str:
        """Return the table aligned for a terminal: text to the left, numbers to the right."""
        cells = [self._heads(), *self._shown()]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(self._align(row, widths)).rstrip() for row in cells]
        rule = "  ".join("-" * w for w in widths)
        title = [printable(self.title)] if self.title else []
        return "\n".join([*title, lines[0], rule, *lines[1:]]) + "\n"

    def to_markdown(self) -> str:
        """Return the table in GitHub's Markdown."""
        rule = [":---" if left else "---:" for left in self._is_text()]
        shown = [[markdown(c) for c in row] for row in (self._heads(), *self._shown())]
        lines = [shown[0], rule, *shown[1:]]
        body = "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
        return f"**{markdown(self.title)}**\n\n{body}" if self.title else body

    def to_csv(self) -> str:
        """Return the table as CSV with every digit; ranks are separated by spaces."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self._heads())
        writer.writerows([_csv_cell(cell) for cell in row] for row in self.rows)
        return out.getvalue()

    def to_records(self) -> list[dict[str, Any]]:
        """Return one dict a row, ready for JSON."""
        return [
            {
                name: list(cell) if isinstance(cell, tuple) else cell
                for name, cell in zip(self.columns, row, strict=True)
            }
            for row in self.rows
        ]

    def to_dataframe(self) -> Any:
        """Return the table as a `pandas.DataFrame`.

        Raises
        ------
        ModuleNotFoundError
            If pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "to_dataframe needs pandas: pip install 'lowrank_blocks[pandas]'"
            ) from None
        return pd.DataFrame(self.to_records(), columns=list(self.columns))

    def to_html(self) -> str:
        """Return the table as HTML for a notebook."""
        aligns = ["left" if left else "right" for left in self._is_text()]
        head = "".join(
            f'<th style="text-align:{a}">{html.escape(c)}</th>'
            for a, c in zip(aligns, self._heads(), strict=True)
        )
        body = "".join(
            "<tr>"
            + "".join(
                f'<td style="text-align:{a}">{html.escape(c)}</td>' for a, c in zip(aligns, row, strict=True)
            )
            + "</tr>"
            for row in self._shown()
        )
        caption = (
            f'<caption style="text-align:left">{html.escape(printable(self.title))}</caption>'
            if self.title
            else ""
        )
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def __str__(self) -> str:
        return self.to_text().rstrip("\n")

    def _heads(self) -> list[str]:
        return [printable(name) for name in self.columns]

    def _shown(self) -> list[list[str]]:
        return [[show(cell) for cell in row] for row in self.rows]

    def _is_text(self) -> list[bool]:
        return [
            all(isinstance(cell, (str, tuple)) for cell in column) for column in zip(*self.rows, strict=True)
        ]

    def _align(self, row: list[str], widths: list[int]) -> list[str]:
        return [
            c.ljust(w) if left else c.rjust(w)
            for c, w, left in zip(row, widths, self._is_text(), strict=True)
        ]


def show(cell: Cell) -> str:
    """Return a cell as a person reads it: 4 significant digits, ranks as their range."""
    if isinstance(cell, tuple):
        low, high = min(cell), max(cell)
        return str(low) if low == high else f"{low}–{high}"
    if isinstance(cell, float):
        if cell == 0 or not 1e-3 <= abs(cell) < 1e5:
            return f"{cell:.3e}" if cell else "0"
        return f"{cell:#.4g}" if abs(cell) < 1e4 else f"{cell:.0f}"
    return printable(str(cell))


def _csv_cell(cell: Cell) -> str:
    if isinstance(cell, tuple):
        return " ".join(map(str, cell))
    return repr(cell) if isinstance(cell, float) else printable(str(cell))
