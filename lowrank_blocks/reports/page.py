"""A comparison of checkpoints as one HTML page that needs nothing else: no network, no fonts, no files."""

from __future__ import annotations

from collections.abc import Mapping

from lowrank_blocks._escaping import html
from lowrank_blocks.models.comparison import PLAN, ModelComparison
from lowrank_blocks.reports._curve import curve_figure
from lowrank_blocks.reports._document import document, require_words
from lowrank_blocks.reports._listing import left_out_table, matrices_table, ways_table
from lowrank_blocks.reports._maps import ranks_figure, winners_figure
from lowrank_blocks.reports._words import verdict
from lowrank_blocks.reports.modules import module_grid

_TITLE = "Low-rank approximation of a fine-tuned model"


def to_page(
    comparison: ModelComparison, *, title: str = _TITLE, details: Mapping[str, str] | None = None
) -> str:
    """Return a comparison of checkpoints as one HTML page.

    Styles, script and drawings are inside, and a Content-Security-Policy lets the page load and run
    nothing else. The same comparison gives the same text.

    Parameters
    ----------
    comparison : ModelComparison
        What `compare_checkpoints` returned.
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
        If `comparison` is no ModelComparison, `title` no str, or `details` no dict of str to str.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> base, tuned = {"q": np.zeros((4, 4))}, {"q": np.diag([4.0, 3, 2, 1])}
    >>> found = lb.compare_checkpoints(base, tuned, [lb.Global(), lb.DiagonalLocal(2)], rank=1)
    >>> page = to_page(found, title="One matrix")
    >>> page[:15], page.count("<h1>One matrix</h1>")
    ('<!doctype html>', 1)
    """
    if not isinstance(comparison, ModelComparison):
        raise TypeError(f"comparison must be what lb.compare_checkpoints returned, got {comparison!r}.")
    require_words(title, details)
    return document(title, _facts(comparison) | dict(details or {}), _sections(comparison))


def _sections(comparison: ModelComparison) -> dict[str, str]:
    best = comparison.plans[comparison.best]
    grid = module_grid(comparison.plans[PLAN].ranks)
    sentences = "".join(f"<p>{html(sentence)}</p>" for sentence in verdict(comparison))
    return {
        "Who wins": f'<div class="verdict">{sentences}</div>{ways_table(comparison)}',
        "The whole model at every budget": curve_figure(comparison),
        "Who wins where": winners_figure(comparison, grid),
        "Where the numbers go": f"<p>{_RANKS}</p>{ranks_figure(best, grid, comparison.best)}",
        "All matrices": matrices_table(comparison),
        "Left out": left_out_table(comparison),
    }


_RANKS = "Numbers stored, as the rank at which one global factorisation of the matrix stores as many."


def _facts(comparison: ModelComparison) -> dict[str, str]:
    plan = comparison.plans[PLAN]
    unit = sum(map(sum, plan.shapes.values()))
    dense = sum(m * n for m, n in plan.shapes.values())
    return {
        "matrices": f"{len(plan.ranks):,}",
        "budget": f"{comparison.budget:,} of {dense:,} numbers, as rank {comparison.budget / unit:.4g} of "
        "Global() everywhere",
        **_norms(comparison),
    }


def _norms(comparison: ModelComparison) -> dict[str, str]:
    """Return in which norm the errors are, where it is not the Frobenius norm of all matrices."""
    if not comparison.weighted:
        return {}
    plan = comparison.plans[PLAN]
    count = sum(map(plan.is_weighted, plan.ranks))
    return {
        "norm": f"weighted, by weights of {count:,} of the {len(plan.ranks):,} matrices; "
        "plain relative errors are in the Frobenius norm"
    }
