"""The atlas of one update, or of a model, as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lowrank_blocks._colours import CLAIMS
from lowrank_blocks._escaping import html
from lowrank_blocks._tables import Table, show
from lowrank_blocks.reports._curve import key, staircase
from lowrank_blocks.reports._document import document, require_words
from lowrank_blocks.reports._listing import plain, sortable
from lowrank_blocks.reports._svg import HIGHEST, Scale, budget_line, figure, frame
from lowrank_blocks.reports.comparison import Comparison, Row
from lowrank_blocks.reports.curves import Steps
from lowrank_blocks.reports.model_atlas import ModelAtlas
from lowrank_blocks.solver.curves import ErrorCurve

_COLUMNS = ("family", "numbers", "slack", "relative_error", "gap", "guarantee", "file")
_TITLE = "The nearest adapter of every family"
_MARKS = {  # about the origin
    "optimal": "M5 0A5 5 0 1 1 -5 0A5 5 0 1 1 5 0Z",
    "infimum": "M-4.5 -4.5H4.5V4.5H-4.5Z",
    "optimal with one half fixed": "M0 -6L6 0L0 6L-6 0Z",
    "upper bound": "M-5.5 -4.5H5.5L0 5.5Z",
}


def atlas_page(
    found: Comparison | ModelAtlas,
    *,
    curves: Sequence[ErrorCurve] = (),
    title: str = _TITLE,
    details: Mapping[str, str] | None = None,
) -> str:
    """Return an atlas as one HTML page.

    Styles, script and drawing are inside, and a Content-Security-Policy lets the page load and run nothing
    else. The same atlas gives the same text.

    Parameters
    ----------
    found : Comparison or ModelAtlas
        What `atlas` or `atlas_checkpoints` returned.
    curves : sequence of ErrorCurve, optional
        Drawn behind the marks of one update, such as ``[lb.error_curve(dW, lb.Global())]``.
    title : str, optional
        Heading of the page.
    details : dict of str to str, optional
        Facts for the head of the page, such as the command and the versions.

    Returns
    -------
    str
        HTML 5, to be written as UTF-8.

    Raises
    ------
    TypeError
        If `found` is no atlas, `title` no str, or `details` no dict of str to str.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> page = atlas_page(lb.atlas(np.eye(8), rank=1), title="The identity")
    >>> page[:15], page.count("<h1>The identity</h1>")
    ('<!doctype html>', 1)
    """
    require_words(title, details)
    if isinstance(found, ModelAtlas):
        facts, sections = _facts_of_model(found), _sections_of_model(found)
    elif isinstance(found, Comparison) and all(row.file for row in found.rows):
        facts, sections = _facts(found), _sections(found, curves)
    else:
        raise TypeError(f"found must be what lb.atlas or lb.atlas_checkpoints returned, got {found!r}.")
    return document(title, facts | dict(details or {}), sections)


def _facts(found: Comparison) -> dict[str, str]:
    m, n = found.shape
    return {
        "matrix": f"{m}×{n} of norm {found.norm:.4g}",
        "budget": f"{found.budget:,} of {m * n:,} numbers",
    }


def _sections(found: Comparison, curves: Sequence[ErrorCurve]) -> dict[str, str]:
    best = found.best
    words = (
        f"{best.label} has the least error: {show(best.relative_error)} of the norm of the update, with "
        f"{best.n_parameters:,} of {found.budget:,} numbers ({best.guarantee})."
    )
    claims = [claim for claim in CLAIMS if any(row.guarantee == claim for row in found.rows)]
    listed = sortable(
        Table(_COLUMNS, tuple(map(_cells, found.rows))),
        "All families",
        "Guarantee",
        claims,
        [claims.index(row.guarantee) for row in found.rows],
    )
    return {
        "Who is nearest": f'<div class="verdict"><p>{html(words)}</p></div>{_note(found.note)}',
        "Errors and numbers": _figure(found, curves, claims),
        "All families": listed,
    }


def _facts_of_model(found: ModelAtlas) -> dict[str, str]:
    return {
        "matrices": f"{len(found.comparisons):,}",
        "budget": f"{sum(c.budget for c in found.comparisons.values()):,} numbers in all",
    }


def _sections_of_model(found: ModelAtlas) -> dict[str, str]:
    name, matrices, numbers, error = found.table.rows[0]
    words = (
        f"{name} has the least error of the whole model: {show(error)} of the norm of all updates, with "
        f"{numbers:,} numbers on {matrices} of {len(found.comparisons)} matrices."
    )
    rows = [(name, *_cells(row)) for name, c in found.comparisons.items() for row in c.rows]
    places = [k for k, c in enumerate(found.comparisons.values()) for _ in c.rows]
    names = list(found.comparisons)
    return {
        "Who is nearest": f'<div class="verdict"><p>{html(words)}</p></div>'
        f"<p>A matrix that a family does not fit counts as not adapted.</p>"
        + plain(found.table, "Sums over all matrices", 0),
        "All matrices": sortable(
            Table(("name", *_COLUMNS), tuple(rows)), "All matrices", "Matrix", names, places
        ),
    }


def _cells(row: Row) -> tuple[str, int, int, float, float | None, str, str]:
    return (
        row.label, row.n_parameters, row.slack, row.relative_error, row.gap, row.guarantee, row.file,
    )  # fmt: skip


def _note(note: str) -> str:
    return f'<p class="note">{html(note)}</p>' if note else ""


def _figure(found: Comparison, curves: Sequence[ErrorCurve], claims: Iterable[str]) -> str:
    """Return one mark a family, the curves behind, and the budget."""
    scale = Scale(min(row.n_parameters for row in found.rows) / 2, 2.0 * found.budget)
    lines = "".join(staircase(curve.label, _until(curve, scale.right), scale, "") for curve in curves)
    keys = "".join(key(curve.label, "") for curve in curves) + "".join(map(_key, claims))
    marks = "".join(_mark(row, scale) for row in found.rows)
    behind = frame(scale, "numbers that training may change") + budget_line(scale, found.budget)
    return figure(
        behind + lines + marks, "Relative error of every family against its numbers, one mark each", keys
    )


def _until(curve: ErrorCurve, last: float) -> Steps:
    """Return the steps of a curve that lie on the drawing."""
    seen = curve.n_parameters <= last
    return curve.n_parameters[seen], curve.relative_error[seen]


def _mark(row: Row, scale: Scale) -> str:
    """Return the mark of a family; errors above the drawing stand at its top."""
    x, y = scale.x(row.n_parameters), scale.y(min(row.relative_error, HIGHEST))
    hint = f"{row.label}: {row.n_parameters:,} numbers, relative error {show(row.relative_error)}"
    return (
        f'<path class="found" d="{_MARKS[row.guarantee]}" fill="{CLAIMS[row.guarantee]}" '
        f'transform="translate({x:.1f} {y:.1f})"><title>{html(hint)}</title></path>'
    )


def _key(claim: str) -> str:
    sample = f'<path d="{_MARKS[claim]}" fill="{CLAIMS[claim]}" transform="translate(20 7)"/>'
    return f'<li><svg class="sample" viewBox="0 0 40 14" aria-hidden="true">{sample}</svg> {claim}</li>'
