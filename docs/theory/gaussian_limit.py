"""Captured energy of Gaussian matrices against their size; writes gaussian_limit.csv and gaussian_limit.png.

Run it as ``python docs/theory/gaussian_limit.py``; the file names are taken relative to this script.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import lowrank_blocks as lb

PARTS = 4
RATIO = 8  # r = d / RATIO
SIZES = (32, 64, 128, 256, 512)
SEEDS = range(64)
STRUCTURES = {"G": lb.Global(), "D": lb.DiagonalLocal(PARTS), "L": lb.Localized(PARTS)}
COLUMNS = (
    "size",
    "rank",
    "draws",
    "G",
    "D",
    "L",
    "G_sd",
    "D_sd",
    "L_sd",
    "L_minus_G",
    "L_minus_G_sd",
    "L_ahead",
)


def limit(fraction: float) -> float:
    """Return the limiting captured share of the top `fraction` of the singular values, by bisection."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        theta = (low + high) / 2
        if (2 * theta - math.sin(2 * theta)) / math.pi < fraction:
            low = theta
        else:
            high = theta
    return (4 * low - math.sin(4 * low)) / (2 * math.pi)


def limits() -> dict[str, float]:
    """Return the limit of every structure."""
    whole = limit(1 / RATIO)
    return {"G": whole, "D": limit(min(1.0, PARTS / RATIO)) / PARTS, "L": whole}


def captured(size: int, seed: int) -> list[float]:
    """Return the captured share of G, D and L, one rank a block, at the budget of rank size / RATIO."""
    dW = lb.synthetic.gaussian((size, size), seed=seed).matrix
    budget = lb.rank_budget(dW.shape, size // RATIO)
    report = lb.compare(dW, list(STRUCTURES.values()), budget, allocate=[lb.uniform])
    return [row.captured for row in report.rows]


def summary(size: int) -> dict[str, float]:
    """Return mean and standard deviation over the draws, and on how many of them L captured more than G."""
    draws = np.array([captured(size, seed) for seed in SEEDS])
    ahead = draws[:, 2] - draws[:, 0]
    mean, sd = draws.mean(axis=0), draws.std(axis=0, ddof=1)
    values = (size, size // RATIO, len(draws), *mean, *sd, ahead.mean(), ahead.std(ddof=1), (ahead > 0).sum())
    return dict(zip(COLUMNS, values, strict=True))


def cells(row: dict[str, float]) -> list[str]:
    """Return counts as ints and shares with six decimals, which no BLAS changes."""
    return [f"{v:.6f}" if isinstance(v, float) else str(int(v)) for v in row.values()]


def write_csv(rows: list[dict[str, float]], path: Path) -> None:
    """Write the table."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(map(cells, rows))


def draw_captured(ax: Axes, rows: list[dict[str, float]]) -> None:
    """Draw the captured share of G, D and L with its limits."""
    sizes = column(rows, "size")
    styles = {
        "L": ("localized (L), rank d/32", "#D55E00", "s", 8, "none"),
        "G": ("global (G), rank d/8", "#0072B2", "o", 4, "#0072B2"),
        "D": ("diagonal-local (D), rank d/8", "#009E73", "^", 6, "#009E73"),
    }
    for name, (label, colour, marker, markersize, fill) in styles.items():
        ax.errorbar(
            sizes,
            100 * column(rows, name),
            100 * column(rows, f"{name}_sd"),
            label=label,
            color=colour,
            marker=marker,
            markersize=markersize,
            markerfacecolor=fill,
            linestyle="none",
            capsize=3,
        )
    for value, label in ((limits()["G"], "limit of G and L"), (limits()["D"], "limit of D")):
        ax.axhline(100 * value, color="0.35", linestyle="--", linewidth=1, zorder=0)
        ax.annotate(
            f"{label}: {100 * value:.2f} %",
            (1, 100 * value),
            (-4, -4),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            va="top",
            color="0.25",
            fontsize=9,
        )
    ax.set(ylabel="captured energy (%)", ylim=(15, 45), title="Mean and spread of one draw (±1 sd)")
    ax.legend(loc="center left", bbox_to_anchor=(0, 0.55), frameon=False, fontsize=9)


def draw_difference(ax: Axes, rows: list[dict[str, float]]) -> None:
    """Draw how far L is ahead of G."""
    sizes, mean, sd = column(rows, "size"), column(rows, "L_minus_G"), column(rows, "L_minus_G_sd")
    error = sd / np.sqrt(column(rows, "draws"))
    ax.fill_between(sizes, 100 * (mean - sd), 100 * (mean + sd), color="0.85", label="one draw (±1 sd)")
    ax.errorbar(
        sizes,
        100 * mean,
        200 * error,
        color="black",
        marker="D",
        markersize=5,
        linestyle="-",
        linewidth=1,
        capsize=3,
        label="mean (±2 standard errors)",
    )
    ax.axhline(0, color="0.35", linestyle="--", linewidth=1)
    for row, x in zip(rows, sizes, strict=True):
        ax.annotate(
            f"{row['L_ahead']:.0f}/{row['draws']:.0f}",
            (x, 0.02),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            fontsize=9,
        )
    ax.set(ylabel="L minus G (percentage points)", title="How far L is ahead of G (below: on how many draws)")
    ax.set_ylim(-2.6, 2.6)
    ax.legend(loc="upper right", frameon=False, fontsize=9)


def column(rows: list[dict[str, float]], name: str) -> NDArray[np.float64]:
    """Return one column of the summary."""
    return np.array([row[name] for row in rows], dtype=np.float64)


def draw(rows: list[dict[str, float]], path: Path) -> None:
    """Draw both panels and save them."""
    from matplotlib.figure import Figure

    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10}):
        figure = Figure(figsize=(10, 4), layout="constrained")
        left, right = figure.subplots(1, 2)
        draw_captured(left, rows)
        draw_difference(right, rows)
        for ax in (left, right):
            ax.set_xscale("log", base=2)
            ax.set_xlabel("size d of the d×d Gaussian matrix")
            ax.set_xticks(SIZES, [str(size) for size in SIZES])
            ax.minorticks_off()
        figure.savefig(path, dpi=150, metadata={"Software": None})


def main() -> None:
    """Compute all sizes and write the table and the figure beside this script."""
    with threadpool_limits(limits=1):  # threads slow such small matrices down
        rows = [summary(size) for size in SIZES]
    here = Path(__file__).resolve().parent
    write_csv(rows, here / "gaussian_limit.csv")
    draw(rows, here / "gaussian_limit.png")


if __name__ == "__main__":
    main()
