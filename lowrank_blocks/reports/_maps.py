"""Maps of a model as HTML tables: who has the least error where, and what rank is spent where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from lowrank_blocks._colours import HEAT_STOPS, colour_of, heat, ink
from lowrank_blocks._escaping import html
from lowrank_blocks._tables import show
from lowrank_blocks.models.comparison import SAME as SAME_RANK
from lowrank_blocks.models.comparison import ModelComparison
from lowrank_blocks.models.plans import ModelPlan
from lowrank_blocks.reports.modules import ModuleGrid, equivalent_ranks, short_label
from lowrank_blocks.solver.approximation import TIE

_TIE_COLOUR = "#D9D9D9"
_LONGEST_CODE = 10
_LONGEST_HEAD = 48
_MANY_ROWS = 24  # scroll under their heads

Drawn = tuple[str, str, str]  # colour, text (HTML) and hint (plain) of one matrix


def winners_figure(comparison: ModelComparison, grid: ModuleGrid) -> str:
    """Return the map of which structure has the least error at the same rank, or "" where none was tried."""
    plans = {
        label.rpartition(", ")[0]: found
        for label, found in comparison.plans.items()
        if label.endswith(f", {SAME_RANK}")
    }
    if not plans:
        return ""
    codes = codes_of(plans)
    won = {name: _winners(plans, name) for name in grid.places}

    def draw(name: str) -> Drawn:
        least, *others = won[name]
        fill = _TIE_COLOUR if others else colour_of(least)
        error = plans[least].relative_errors[name]
        text = f"{html(' = '.join(codes[w] for w in won[name]))}<small>{_short(error)}</small>"
        errors = (f"{structure} {show(p.relative_errors[name])}" for structure, p in plans.items())
        return fill, text, f"{name}: {', '.join(errors)}"

    alone = Counter(w[0] for w in won.values() if len(w) == 1)
    keys = [(colour_of(s), codes[s], f"{s}, alone best for {alone[s]} of {len(won)}") for s in plans]
    ties = sum(len(w) > 1 for w in won.values())
    if ties:
        keys.append((_TIE_COLOUR, "=", f"several, a tie: {ties} of {len(won)}"))
    return _figure(grid, draw, "Which structure has the least error at the same rank", _keys(keys))


def ranks_figure(plan: ModelPlan, grid: ModuleGrid, label: str) -> str:
    """Return the map of the numbers that every matrix stores, as the rank of a global factorisation."""
    ranks = equivalent_ranks(plan)
    top = max(ranks.values(), default=0.0) or 1.0

    def draw(name: str) -> Drawn:
        structure, rank = plan.structures[name], ranks[name]
        hint = (
            f"{name}: {plan.stored[name]:,} numbers, {structure!r}, rank {show(plan.ranks[name])}, "
            f"relative error {show(plan.relative_errors[name])}"
        )
        return heat(rank / top), f"{rank:.4g}", hint

    stops = ", ".join(HEAT_STOPS)
    bar = f'<span class="bar" style="background:linear-gradient(to right, {stops})"></span>'
    keys = f'<p class="keys">0 {bar} {top:.4g}</p>'
    return _figure(grid, draw, f"Ranks across the model: {html(label)}", keys)


def codes_of(structures: Iterable[str]) -> dict[str, str]:
    """Return a short name for every structure, each its own.

    Examples
    --------
    >>> codes_of(["Global()", "DiagonalLocal(4)", "Localized(4)"])
    {'Global()': 'G', 'DiagonalLocal(4)': 'D(4)', 'Localized(4)': 'L(4)'}
    """
    codes: dict[str, str] = {}
    for k, structure in enumerate(structures):
        kind, _, rest = structure.partition("(")
        code = kind[:1] + (f"({rest}" if rest != ")" else "")
        codes[structure] = code if len(code) <= _LONGEST_CODE and code not in codes.values() else f"{k + 1}"
    return codes


def _winners(plans: dict[str, ModelPlan], name: str) -> list[str]:
    errors = {structure: found.relative_errors[name] for structure, found in plans.items()}
    least = min(errors.values())
    return [structure for structure, error in errors.items() if error <= least + TIE]


def _figure(grid: ModuleGrid, draw: Callable[[str], Drawn], caption: str, keys: str) -> str:
    at = {place: name for name, place in grid.places.items()}
    head = "".join(_head("col", column) for column in grid.columns)
    corner = f'<th scope="col">{grid.heads[0]} \\ {grid.heads[1]}</th>'
    body = "".join(
        f"<tr>{_head('row', row)}"
        + "".join(_cell(at.get((i, j)), draw) for j in range(len(grid.columns)))
        + "</tr>"
        for i, row in enumerate(grid.rows)
    )
    tall = " tall" if len(grid.rows) > _MANY_ROWS else ""
    return (
        f'<figure><p class="note">{caption}</p>'
        f'<div class="scroll{tall}" tabindex="0" role="region" aria-label="{caption}">'
        f'<table class="map"><thead><tr>{corner}{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div><figcaption>{keys}</figcaption></figure>"
    )


def _cell(name: str | None, draw: Callable[[str], Drawn]) -> str:
    if name is None:
        return '<td class="none">·</td>'
    fill, text, hint = draw(name)
    return f'<td style="background:{fill};color:{ink(fill)}" title="{html(hint)}">{text}</td>'


def _keys(keys: Sequence[Drawn]) -> str:
    items = "".join(
        f'<li><span class="code" style="background:{fill};color:{ink(fill)}">{html(code)}</span> '
        f"{html(text)}</li>"
        for fill, code, text in keys
    )
    return f'<ul class="keys">{items}</ul>'


def _head(scope: str, label: str) -> str:
    """Return a head that may be broken after a dot or an underscore; a long one is cut in the middle."""
    text = short_label(label, _LONGEST_HEAD)
    hint = f' title="{html(label)}"' if "…" in text else ""
    return f'<th scope="{scope}"{hint}>{html(text).replace(".", ".<wbr>").replace("_", "_<wbr>")}</th>'


def _short(error: float) -> str:
    return f"{error:.2f}" if error >= 0.01 or error == 0 else f"{error:.0e}"
