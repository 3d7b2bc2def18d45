"""Tables: rows of plain values, written for people and for machines."""

from __future__ import annotations

import csv
import html
import io
from dataclasses import dataclass, replace
from typing import Any

from lowrank_blocks._escaping import markdown, printable

Cell = str | int | float | tuple[int, ...] | None

_FEW, _SHOWN = 24, 8  # rows that are printed in full; of more, so many at the head and at the tail


@dataclass(frozen=True)
class Table:
    """Rows under named columns. Printed, a long table shows its head and its tail; every `to_` gives all.

    Attributes
    ----------
    columns : tuple of str
        Names of the columns.
    rows : tuple of tuple
        Cells: text, ints, floats, tuples of ints such as the ranks of all blocks, or None.
    title : str
        A line above the table.
    note : str
        A line below it, for people only: in text, Markdown and HTML.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    title: str = ""
    note: str = ""

    def to_text(self) -> str:
        """Return the table aligned for a terminal: text to the left, numbers to the right."""
        cells = [self._heads(), *self._shown()]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        aligns = [str.ljust if left else str.rjust for left in self._is_text()]
        lines = ["  ".join(a(c, w) for a, c, w in zip(aligns, row, widths, strict=True)) for row in cells]
        rule = "  ".join("-" * w for w in widths)
        lines = [line.rstrip() for line in lines]
        around = [[printable(line)] if line else [] for line in (self.title, self.note)]
        return "\n".join([*around[0], lines[0], rule, *lines[1:], *around[1]]) + "\n"

    def to_markdown(self) -> str:
        """Return the table in GitHub's Markdown."""
        rule = [":---" if left else "---:" for left in self._is_text()]
        shown = [[markdown(c) for c in row] for row in (self._heads(), *self._shown())]
        lines = [shown[0], rule, *shown[1:]]
        body = "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
        note = f"\n{markdown(self.note)}\n" if self.note else ""
        return (f"**{markdown(self.title)}**\n\n{body}" if self.title else body) + note

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
        note = f"<p>{html.escape(self.note)}</p>" if self.note else ""
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}"

    def short(self) -> Table:
        """Return the table as it is printed: of many rows the first and the last few, and their number."""
        count = len(self.rows)
        if count <= _FEW:
            return self
        gap = ("…",) * len(self.columns)
        left_out = f"{count - 2 * _SHOWN} of {count} rows are not shown; to_text() and to_csv() give all"
        rows = (*self.rows[:_SHOWN], gap, *self.rows[-_SHOWN:])
        return replace(self, rows=rows, note="; ".join(filter(None, (left_out, self.note))))

    def without_empty(self) -> Table:
        """Return the table without the columns that are empty in all rows: empty text, no ranks or None."""
        kept = [k for k in range(len(self.columns)) if any(row[k] not in ("", None, ()) for row in self.rows)]
        columns = tuple(self.columns[k] for k in kept)
        return replace(self, columns=columns, rows=tuple(tuple(row[k] for k in kept) for row in self.rows))

    def __str__(self) -> str:
        return self.short().to_text().rstrip("\n")

    def _repr_html_(self) -> str:
        return self.short().to_html()

    def _heads(self) -> list[str]:
        return [printable(name) for name in self.columns]

    def _shown(self) -> list[list[str]]:
        return [[show(cell) for cell in row] for row in self.rows]

    def _is_text(self) -> list[bool]:
        columns = range(len(self.columns))
        return [all(isinstance(row[k], (str, tuple)) for row in self.rows) for k in columns]


def show(cell: Cell) -> str:
    """Return a cell as a person reads it: 4 significant digits, ranks as their range, – for None."""
    if cell is None:
        return "–"
    if isinstance(cell, tuple):
        if not cell:
            return ""
        low, high = min(cell), max(cell)
        return str(low) if low == high else f"{low}–{high}"
    if isinstance(cell, float):
        if cell == 0 or not 1e-3 <= abs(cell) < 1e5:
            return f"{cell:.3e}" if cell else "0"
        return f"{cell:#.4g}" if abs(cell) < 1e4 else f"{cell:.0f}"
    return printable(str(cell))


def _csv_cell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, tuple):
        return " ".join(map(str, cell))
    return repr(cell) if isinstance(cell, float) else printable(str(cell))
