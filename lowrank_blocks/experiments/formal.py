"""A formal comparison of G, D and L at a matched budget, on synthetic and genuine matrices.

The abstract of the Localized LoRA paper (arXiv 2506.00236) speaks of one. Only the abstract was read: that
comparison may carry hypotheses which this one does not. Here G, D and L get uniform ranks r, r and r/K, which
store exactly r(m+n) numbers each; D and L with free ranks within as many numbers stand beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from lowrank_blocks._tables import Cell, Table, show
from lowrank_blocks.experiments.cases import SEED, SHAPE, Case, cases_of, matrices
from lowrank_blocks.plotting.budgets import plot_error_curves
from lowrank_blocks.plotting.png import new_figure, png
from lowrank_blocks.plotting.winners import add_winners_legend, plot_winners
from lowrank_blocks.solver.approximation import TIE
from lowrank_blocks.solver.calls import decompose
from lowrank_blocks.solver.curves import ErrorCurve
from lowrank_blocks.structures.grids import DiagonalLocal, Global, Localized

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVE_PARTS = 4
FILES = (
    "report.md",
    "results.csv",
    "curves.csv",
    "winners.png",
    "curves-synthetic.png",
    "curves-genuine.png",
)
_COLUMNS = ("matrix", "K", "r", "n_parameters", "G", "D", "L", "D_free", "L_free", "least", "least_free")


def reproduced() -> dict[str, str | bytes]:
    """Make the formal comparison: report.md, results.csv, curves.csv and the pictures of the report.

    Two runs make the same CSV texts, byte for byte.

    Returns
    -------
    dict of str to str or bytes
        Contents by file name.
    """
    from tqdm import tqdm

    cases: list[Case] = []
    curves: dict[str, list[ErrorCurve]] = {}
    for name, dW in tqdm(matrices().items(), desc="matrices", disable=None):
        whole = decompose(dW, Global())
        cases += cases_of(name, dW, whole)
        others = (DiagonalLocal(CURVE_PARTS), Localized(CURVE_PARTS))
        curves[name] = [p.error_curve() for p in (whole, *(decompose(dW, s) for s in others))]
    return _files(cases, curves)


def _files(cases: Sequence[Case], curves: dict[str, list[ErrorCurve]]) -> dict[str, str | bytes]:
    genuine = {name: found for name, found in curves.items() if name.startswith("genuine")}
    made = {name: found for name, found in curves.items() if name not in genuine}
    contents = (
        _report(cases),
        _table(cases, _digits).to_csv(),
        _curve_table(curves).to_csv(),
        png(_winner_map(cases)),
        png(_panels(made)),
        png(_panels(genuine)),
    )
    return dict(zip(FILES, contents, strict=True))


def _table(cases: Sequence[Case], number: Callable[[float], str]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            c.matrix,
            c.parts,
            c.rank,
            c.n_parameters,
            *map(number, (c.g, c.d, c.l, c.d_free, c.l_free)),
            c.least,
            c.least_free,
        )
        for c in cases
    ]
    return Table(_COLUMNS, tuple(rows))


def _curve_table(curves: dict[str, list[ErrorCurve]]) -> Table:
    rows = [
        (name, curve.label, count, _digits(error))
        for name, found in curves.items()
        for curve in found
        for count, error in zip(curve.n_parameters.tolist(), curve.relative_error.tolist(), strict=True)
    ]
    return Table(("matrix", "structure", "n_parameters", "relative_error"), tuple(rows))


def _digits(error: float) -> str:
    """Write ten significant digits; what is below the rounding of the solver is written as 0."""
    return f"{error:.10g}" if error > TIE else "0"


def _shown(error: float) -> str:
    return show(error if error > TIE else 0.0)


def _report(cases: Sequence[Case]) -> str:
    wins = {kind: _count(cases, "least", kind) for kind in ("G", "D", "L")}
    free = _count(cases, "least_free", "L")
    genuine = [c for c in cases if c.matrix.startswith("genuine")]
    return f"""# The formal comparison

Global (G), diagonal-local (D) and fully localized (L) low-rank approximation at exactly equal parameter
counts: r(m+n) stored numbers, hence rank r for G, rank r on each of the K diagonal blocks for D, rank r/K on
each of the K×K blocks for L. D_free and L_free spend the same budget with the best ranks; G has but one
rank, which is r in any case. Numbers are relative Frobenius errors, each the least that its structure and
ranks allow. The abstract of the Localized LoRA paper (arXiv 2506.00236) speaks of such a comparison; only the
abstract was read, and the paper's may carry hypotheses which this one does not. Synthetic matrices are
{SHAPE[0]}×{SHAPE[1]}, seed {SEED}; the genuine ones are the embedded fine-tuning update.

Of {len(cases)} cases, G alone has the least error in {wins["G"]}, D alone in {wins["D"]} and
L alone in {wins["L"]}; the others tie. With free ranks L alone has the least error in {free}.
On the genuine update G has the least error in {_count(genuine, "least", "G")} of {len(genuine)} cases,
and with free ranks for all in {_count(genuine, "least_free", "G")} of {len(genuine)}.

## Who wins

![Map of winners](winners.png)

## Errors over all budgets, K = {CURVE_PARTS}

Ranks are free in these curves.

![Curves of the synthetic matrices](curves-synthetic.png)

![Curves of the genuine matrices](curves-genuine.png)

## All numbers

`results.csv` and `curves.csv` hold them with ten digits; errors below {TIE:g} are rounding and written as 0.

{_table(cases, _shown).to_markdown()}"""


def _count(cases: Sequence[Case], field: str, kind: str) -> int:
    return sum(getattr(c, field) == kind for c in cases)


def _winner_map(cases: Sequence[Case]) -> Figure:
    groups = {name: list(found) for name, found in groupby(cases, key=lambda c: c.matrix)}
    columns = [f"K={c.parts}\nr={c.rank}" for c in next(iter(groups.values()))]
    figure = new_figure(12.5, 1.6 + 0.3 * len(groups))
    left, right = figure.subplots(1, 2, sharey=True)
    for ax, field, title in (
        (left, "least", "least error with uniform ranks: r for G and D, r/K for L"),
        (right, "least_free", "least error with free ranks within the same r(m+n) numbers"),
    ):
        plot_winners([[getattr(c, field) for c in g] for g in groups.values()], list(groups), columns, ax=ax)
        ax.set_title(title, fontsize="medium")
    add_winners_legend(figure)
    return figure


def _panels(curves: dict[str, list[ErrorCurve]]) -> Figure:
    lines = -(-len(curves) // 3)
    figure = new_figure(12.5, 3.6 * lines)
    panels = list(figure.subplots(lines, 3, squeeze=False).flat)
    for ax, (name, found) in zip(panels, curves.items(), strict=False):
        plot_error_curves(found, ax=ax)
        ax.set_title(name, fontsize="medium")
    for ax in panels[len(curves) :]:
        ax.set_axis_off()
    return figure
