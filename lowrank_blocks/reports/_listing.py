"""Tables of the page: the ways, every matrix in every way, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence

from lowrank_blocks._escaping import html
from lowrank_blocks._tables import Cell, Table, show
from lowrank_blocks.models.comparison import ModelComparison

_HEADS = {"n_parameters": "stored numbers"}
_FEW_BLOCKS = 64  # of more, the hint on ranks gives their sum in place of all


def ways_table(comparison: ModelComparison) -> str:
    """Return the ways to spend the budget, with a mark at the best."""
    best = list(comparison.plans).index(comparison.best)
    table = comparison.table
    note = f'<p class="note">{html(table.note)}</p>' if table.note else ""
    return plain(table, "Ways to spend the budget", best) + note


def left_out_table(comparison: ModelComparison) -> str:
    """Return the tensors that were not compared, with reasons, or a sentence that there are none."""
    table = comparison.left_out
    return plain(table, "Tensors left out") if table.rows else "<p>No tensor was left out.</p>"


def matrices_table(comparison: ModelComparison) -> str:
    """Return every matrix in every way, with the controls that `page.js` serves."""
    labels = list(comparison.plans)
    ways = [k for k, found in enumerate(comparison.plans.values()) for _ in found.ranks]
    return sortable(comparison.matrices, "All matrices", "Way", labels, ways, labels.index(comparison.best))


def sortable(
    table: Table,
    caption: str,
    what: str,
    choices: Sequence[str],
    chosen: Sequence[int],
    selected: int | None = None,
) -> str:
    """Return a table to be sorted and filtered, with the controls that `page.js` serves.

    Parameters
    ----------
    table : Table
        The rows.
    caption : str
        What the table is.
    what : str
        What the choices are.
    choices : sequence of str
        Rows can be narrowed down to those of one of them.
    chosen : sequence of int
        The choice of every row.
    selected : int, optional
        The choice that is shown first; all of them by default.
    """
    options = "".join(
        f'<option value="{k}"{" selected" if k == selected else ""}>{html(label)}</option>'
        for k, label in enumerate(choices)
    )
    heads = "".join(
        f'<th scope="col" aria-sort="none"{_kind(numeric)}><button type="button">{_head(name)}</button></th>'
        for name, numeric in zip(table.columns, _numeric(table), strict=True)
    )
    rows = "".join(
        f'<tr data-way="{way}">{_cells(row, table)}</tr>' for way, row in zip(chosen, table.rows, strict=True)
    )
    return (
        "<noscript><p>Without scripts the table shows all rows and cannot be sorted.</p></noscript>"
        f'<div class="controls"><label>{what} <select id="way"><option value="">all</option>'
        f'{options}</select></label><label>Filter <input id="filter" type="search" autocomplete="off" '
        'spellcheck="false" placeholder="part of a name or structure"></label>'
        f'<output id="shown" for="way filter">{len(table.rows)} of {len(table.rows)} rows</output></div>'
        f'<div class="scroll tall" tabindex="0" role="region" aria-label="{caption}">'
        f'<table id="matrices"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def plain(table: Table, caption: str, marked: int | None = None) -> str:
    """Return a table as it is, with a mark at one row."""
    heads = "".join(
        f'<th scope="col"{_kind(numeric)}>{_head(name)}</th>'
        for name, numeric in zip(table.columns, _numeric(table), strict=True)
    )
    rows = "".join(
        f"<tr{_BEST if k == marked else ''}>{_cells(row, table)}</tr>" for k, row in enumerate(table.rows)
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}">'
        f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


_BEST = ' class="best" title="the least error"'


def _cells(row: tuple[Cell, ...], table: Table) -> str:
    return "".join(_cell(cell, name) for cell, name in zip(row, table.columns, strict=True))


def _cell(cell: Cell, column: str) -> str:
    """Return a cell with the full number as its hint, and what it is sorted by where that differs."""
    text = html(show(cell))
    if isinstance(cell, str):
        kind = ' class="name"' if column in {"name", "reason"} else ""
        order = f' data-sort="{_area(cell)}"' if column == "shape" else ""
        return f"<td{kind}{order}>{text}</td>"
    if isinstance(cell, tuple):
        return f'<td class="number" data-sort="{max(cell)}" title="{_ranks(cell)}">{text}</td>'
    if cell is None:
        return '<td class="number" data-sort="Infinity"></td>'
    return f'<td class="number" title="{html(repr(cell))}">{text}</td>'


def _ranks(ranks: tuple[int, ...]) -> str:
    if len(ranks) <= _FEW_BLOCKS:
        return " ".join(map(str, ranks))
    return f"{len(ranks)} blocks, ranks {min(ranks)} to {max(ranks)}, sum {sum(ranks)}"


def _area(shape: str) -> int:
    rows, columns = map(int, shape.split("×"))
    return rows * columns


def _head(name: str) -> str:
    return html(_HEADS.get(name, name.replace("_", " ")))


def _kind(numeric: bool) -> str:
    return ' class="number"' if numeric else ""


def _numeric(table: Table) -> list[bool]:
    columns = range(len(table.columns))
    return [any(not isinstance(row[k], str) for row in table.rows) for k in columns]
