"""One colour a structure in all pictures, which stands out on white and on black paper."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

import lowrank_blocks as lb
from lowrank_blocks.plotting.winners import add_winners_legend, plot_winners

EXPECTED = {
    lb.Global(): "#0072b2",
    lb.DiagonalLocal(2): "#009e73",
    lb.DiagonalLocal(4): "#009e73",
    lb.Localized(4): "#d55e00",
    lb.Localized(2, 8): "#d55e00",
    lb.Monarch(4): "#7b61c9",
    lb.Kronecker(4, 4): "#9a6a1e",
    lb.HODLR(2): "#1e8fa8",
    lb.BlockCirculant(4): "#6b8e23",
    lb.Tied(rows=4): "#c2476b",
    lb.Sparse(): "#8c6d5a",
    lb.Blocks([(range(4), range(4))]): "#808080",
}
BEST = "#cc79a7"
STRUCTURES = list(EXPECTED)
MATRIX = np.random.default_rng(0).standard_normal((16, 16))


@pytest.mark.parametrize("structures", [STRUCTURES, STRUCTURES[::-1], STRUCTURES[3:]])
def test_curves(structures):
    curves = [lb.error_curve(MATRIX, s) for s in structures]
    lines = lb.plot_error_curves(curves).get_lines()
    assert [to_hex(line.get_color()) for line in lines[:-1]] == [EXPECTED[s] for s in structures]


def test_curves_with_an_allocation_and_of_the_best_partition():
    curves = [lb.error_curve(MATRIX, lb.Localized(4), allocate=lb.uniform), lb.partition_curve(MATRIX, [64])]
    line, best, bound, _ = lb.plot_error_curves(curves).get_lines()
    assert to_hex(line.get_color()) == EXPECTED[lb.Localized(4)]
    assert to_hex(best.get_color()) == to_hex(bound.get_color()) == BEST


def test_lines_of_one_colour_differ_otherwise():
    curves = [lb.error_curve(MATRIX, s(k)) for k in (1, 2, 4, 8) for s in (lb.DiagonalLocal, lb.Localized)]
    lines = lb.plot_error_curves(curves).get_lines()[: len(curves)]
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}
    assert len(looks) == len(curves)


@pytest.mark.parametrize("structures", [STRUCTURES, STRUCTURES[::-1]])
def test_comparison(structures):
    report = lb.compare(MATRIX, structures, 128, allocate=[lb.adaptive], best=True)
    bars = lb.plot_comparison(report).patches
    assert [to_hex(bar.get_facecolor()) for bar in bars] == [*(EXPECTED[s] for s in structures), BEST]


def test_hatches_tell_allocations():
    for allocate in ([lb.uniform, lb.adaptive], [lb.adaptive, lb.uniform]):
        report = lb.compare(MATRIX, [lb.Localized(4)], 128, allocate=allocate)
        bars = lb.plot_comparison(report).patches
        hatches = {row.allocation: bar.get_hatch() or "" for row, bar in zip(report.rows, bars, strict=True)}
        assert hatches == {"uniform": "///", "adaptive": ""}


@pytest.mark.parametrize("structure", STRUCTURES)
def test_spectra(structure):
    parts = lb.decompose(MATRIX, structure)
    kept = lb.plot_spectra(parts, parts.within(128).ranks).get_lines()[-1]
    assert to_hex(kept.get_color()) == EXPECTED[structure]


def test_winners():
    ax = plot_winners([["G", "D", "L", "G=L"]], ["matrix"], ["a", "b", "c", "d"])
    fills = [to_hex(patch.get_facecolor()) for patch in ax.patches]
    assert fills[:3] == [EXPECTED[s] for s in (lb.Global(), lb.DiagonalLocal(2), lb.Localized(4))]
    assert fills[3] not in EXPECTED.values()


@pytest.mark.parametrize("colour", sorted({*EXPECTED.values(), BEST}))
def test_colours_stand_out_on_white_and_on_black(colour):
    """Contrast of at least 3, which WCAG 2.1 asks of graphical objects."""
    rgb = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
    luminance = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [
        0.2126,
        0.7152,
        0.0722,
    ]
    assert 1.05 / (luminance + 0.05) >= 3
    assert (luminance + 0.05) / 0.05 >= 3


def test_the_legend_says_what_the_letters_of_winners_mean():
    figure = plt.figure(layout="constrained")
    add_winners_legend(figure)
    (legend,) = figure.legends
    meanings = [text.get_text() for text in legend.get_texts()]
    assert [m.split()[1] for m in meanings[:3]] == ["Global(),", "DiagonalLocal(K),", "Localized(K),"]
    assert [m[:2] for m in meanings[:3]] == ["G:", "D:", "L:"]
    fills = [to_hex(patch.get_facecolor()) for patch in legend.get_patches()[:3]]
    assert fills == [EXPECTED[s] for s in (lb.Global(), lb.DiagonalLocal(2), lb.Localized(4))]
