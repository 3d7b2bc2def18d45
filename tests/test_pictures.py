"""Pictures can be read: on light and dark paper, for any shape and number of blocks."""

from dataclasses import dataclass
from functools import cache

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axis import Axis
from matplotlib.text import Text

import lowrank_blocks as lb
from lowrank_blocks.plotting.winners import plot_winners

pytestmark = pytest.mark.exhaustive

RNG = np.random.default_rng(0)
SQUARE, WIDE, TALL, ROW = (RNG.standard_normal(shape) for shape in [(64, 64), (48, 192), (192, 48), (1, 70)])
STRUCTURES = [lb.Global(), lb.DiagonalLocal(4), lb.Localized(4), lb.Blocks([(range(9), range(9))])]
EDGES = lb.Localized((0, 3, 10, 20, 30, 40, 50, 64), (0, 5, 64))


def approximation(dW, structure=STRUCTURES[2], rank=3):
    return lb.approximate(dW, structure, lb.rank_budget(dW.shape, rank))


def of_matrix(dW, structure=STRUCTURES[2], rank=3):
    best = approximation(dW, structure, rank)
    return {
        "ranks": lambda: lb.plot_ranks(best),
        "residual": lambda: lb.plot_residual(dW, best),
        "partition": lambda: lb.plot_partition(dW, best),
    }


L4 = STRUCTURES[2]
ALL = ("ranks", "residual", "partition")
MATRICES = {
    "square": (ALL, SQUARE, L4, 3),
    "wide": (ALL, WIDE, L4, 3),
    "tall": (ALL, TALL, L4, 3),
    "row": (("ranks", "partition"), ROW, lb.Localized(1, 10), 1),
    "1024 blocks": (("ranks", "partition"), SQUARE, lb.Localized(32), 3),
    "one block": (("ranks",), SQUARE, lb.Global(), 3),
    "many digits": (("ranks",), np.diag(np.arange(1.0, 65)), lb.Localized(1, 4), 32),
    "long name": (("ranks",), SQUARE, EDGES, 3),
}
L_SHAPE = np.zeros((64, 64))
L_SHAPE[:16, :16] = L_SHAPE[16:32, :16] = L_SHAPE[16:32, 16:32] = 1
PICTURES = {
    f"{kind} {name}": of_matrix(*args)[kind] for name, (kinds, *args) in MATRICES.items() for kind in kinds
}
PICTURES |= {
    "partition found": lambda: lb.plot_partition(L_SHAPE, lb.best_partition(L_SHAPE, 96)),
    "comparison": lambda: lb.plot_comparison(lb.compare(SQUARE, [*STRUCTURES, EDGES], 512, best=True)),
    "curves": lambda: lb.plot_error_curves([lb.error_curve(SQUARE, s) for s in STRUCTURES]),
    "curve with a bound": lambda: lb.plot_error_curves([lb.partition_curve(SQUARE, [256, 512], max_depth=2)]),
    "spectra": lambda: lb.plot_spectra(lb.decompose(SQUARE, EDGES), [1] * 14),
    "spectra pooled": lambda: lb.plot_spectra(lb.decompose(SQUARE, STRUCTURES[2]), pooled=True),
    "winners": lambda: plot_winners([["G", "D", "L", "G=L"]], ["matrix"], ["a", "b", "c", "d"]),
}


DARK = [
    n for n in PICTURES if n.endswith("square") or not n.startswith(ALL)
]  # paper has nothing to do with shape
ALIKE = {"default": {"residual tall", "partition tall", "partition row"}}  # for ``-m exhaustive``
ALIKE["dark_background"] = {"partition square", "curve with a bound", "spectra pooled"}


def chosen(names, theme="default"):
    """Return parameters of names; those of pictures like others are exhaustive."""
    return [pytest.param(n, marks=pytest.mark.exhaustive if n in ALIKE[theme] else ()) for n in names]


def with_theme(names, theme):
    return [pytest.param(*p.values, theme, marks=p.marks) for p in chosen(names, theme)]


OF_MATRICES = chosen(n for n in PICTURES if n.startswith(ALL))


@dataclass(frozen=True)
class Shown:
    """A text of a picture, where it is in pixels from the top left, and its contrast: 1 if not drawn."""

    text: str
    number: bool  # of a block, which is left out where it does not fit
    box: tuple[float, float, float, float]  # left, top, right, bottom
    contrast: float
    block: tuple[float, float] | None = None  # width and height of the block that a number stands in


@dataclass(frozen=True)
class Picture:
    """What the tests ask of a picture: its size, its texts, its pixels, and heights of bars and matrices."""

    size: tuple[float, float]
    texts: list[Shown]
    pixels: np.ndarray
    heights: list[tuple[float, float]]


def picture(name, theme="default"):
    return _picture(name, theme)  # a cache tells a default from the same value given


@cache
def _picture(name, theme):
    with plt.style.context(theme):
        figure = figure_of(PICTURES[name]())
        shown = pixels(figure)
        figure.set_layout_engine("none")  # everything stays where it is
        bars = [(bar, ax) for ax in figure.axes for bar in ax.child_axes]
        heights = [(bar.get_window_extent().height, ax.get_window_extent().height) for bar, ax in bars]
        blocks = homes(figure)
        places = [(text, box_of(text), blocks.get(text)) for text in texts_of(figure)]
        for text in figure.findobj(Text):
            text.set_color((0, 0, 0, 0))
        bare = pixels(figure)
        ratio = (np.maximum(shown, bare) + 0.05) / (np.minimum(shown, bare) + 0.05)
        texts = [Shown(t.get_text(), b is not None, box, peak(ratio, box), b) for t, box, b in places]
        plt.close(figure)
        return Picture((figure.bbox.width, figure.bbox.height), texts, shown, heights)


def figure_of(drawn):
    return np.ravel(drawn)[0].figure


def pixels(figure):
    """Return the figure as drawn, as relative luminances (WCAG 2.1)."""
    figure.canvas.draw()
    rgb = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    levels = np.arange(256) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return linear[rgb] @ [0.2126, 0.7152, 0.0722]


def texts_of(figure):
    """Return all texts that are not empty, without those of ticks beyond the ends of their axis."""
    beyond = set()
    for axis in figure.findobj(Axis):
        low, high = sorted(axis.get_view_interval())
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        beyond |= {label for t in ticks if not low <= t.get_loc() <= high for label in (t.label1, t.label2)}
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in beyond]


def box_of(text):
    box, height = text.get_window_extent(), text.figure.bbox.height
    return box.x0, height - box.y1, box.x1, height - box.y0


def blocks_of(ax):
    """Return left, right, bottom and top of all blocks of axes in pixels, one row a block."""
    boxes = [path.get_extents() for c in ax.collections[:1] for path in c.get_paths()]
    corners = np.array([[b.x0, b.y0, b.x1, b.y1] for b in boxes]).reshape(-1, 2)
    x0, y0, x1, y1 = ax.transData.transform(corners).reshape(-1, 4).T
    return np.array([np.minimum(x0, x1), np.maximum(x0, x1), np.minimum(y0, y1), np.maximum(y0, y1)]).T


def homes(figure):
    """Return for every number of a block the width and height of the block, in pixels."""
    found = {}
    for ax in figure.axes:
        blocks = blocks_of(ax)
        for text in ax.texts if len(blocks) else ():
            x, y = ax.transData.transform(text.get_position())
            left, right, bottom, top = blocks.T
            (home,) = blocks[(left <= x) & (x <= right) & (bottom <= y) & (y <= top)]
            found[text] = home[1] - home[0], home[3] - home[2]
    return found


def peak(ratio, box):
    left, top, right, bottom = box
    return ratio[int(max(top, 0)) : int(bottom) + 1, int(max(left, 0)) : int(right) + 1].max()


@pytest.mark.parametrize(
    ("name", "theme"), with_theme(PICTURES, "default") + with_theme(DARK, "dark_background")
)
def test_all_texts_can_be_read(name, theme):
    drawn = picture(name, theme)
    width, height = drawn.size
    assert drawn.texts
    for shown in drawn.texts:
        left, top, right, bottom = shown.box
        if not shown.number:
            assert min(left, top, width - right, height - bottom) >= 0, f"{shown.text} is clipped"
        assert shown.contrast > 3 or (shown.number and shown.contrast == 1), shown


@pytest.mark.parametrize("name", chosen(n for n in PICTURES if n.startswith(("ranks", "partition"))))
def test_numbers_lie_within_their_blocks(name):
    for shown in picture(name).texts:
        if shown.number and shown.contrast > 1:
            left, top, right, bottom = shown.box
            assert right - left <= shown.block[0]
            assert bottom - top <= 1.25 * shown.block[1]  # a line of text is higher than its digits


@pytest.mark.parametrize(
    ("name", "count"),
    [(f"ranks {n}", k) for n, k in {"square": 16, "one block": 1, "wide": 16, "tall": 16}.items()],
)
def test_numbers_that_fit_are_drawn(name, count):
    assert sum(shown.number and shown.contrast > 3 for shown in picture(name).texts) == count


@pytest.mark.parametrize("name", OF_MATRICES)
def test_the_colour_bar_is_as_long_as_the_matrix(name):
    heights = picture(name).heights
    assert heights
    assert all(0.89 * matrix < bar < 1.001 * matrix for bar, matrix in heights)  # the rest is its arrow


@pytest.mark.parametrize("name", OF_MATRICES)
def test_most_of_the_canvas_is_used(name):
    image = picture(name).pixels
    used = image != image[0, 0]
    assert used.any(axis=1).mean() > 0.85
    assert used.any(axis=0).mean() > 0.6


def test_axes_of_a_user_keep_their_figure():
    figure, pair = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
    lb.plot_residual(WIDE, approximation(WIDE), ax=pair)
    lb.plot_ranks(approximation(TALL), ax=figure.add_subplot(3, 3, 9))
    figure.canvas.draw()
    assert tuple(figure.get_size_inches()) == (9, 3)


@pytest.mark.parametrize("draw", ["residual", "partition"])
@pytest.mark.parametrize("size", [8, 64])
def test_one_large_entry_does_not_wash_out_the_rest(draw, size):
    dW = np.random.default_rng(1).standard_normal((size, size))
    spike = dW.copy()
    spike[2, 3] = 1e6
    tops = [figure_of(of_matrix(W)[draw]()).axes[0].get_images()[0].get_clim()[1] for W in (dW, spike)]
    assert tops[1] == pytest.approx(tops[0], rel=0.3)


def test_few_entries_that_are_not_zero_can_be_seen():
    dW = np.zeros((64, 64))
    dW[0, 0], dW[1, 1] = 1, 2
    assert lb.plot_partition(dW, approximation(dW)).get_images()[0].get_clim() == (0, 1)


FLAT, STEEP, LOW = np.diag([1, 0.9, 0.8]), np.diag([1, 0.1, 1e-7]), np.outer([1, 2], [0.2, 0.3])


@pytest.mark.parametrize(
    ("scale", "matrix"),
    [
        (1e300, STEEP), (1e308, FLAT), (1e308, LOW), (1e-300, LOW), (1e-310, STEEP), (5e-324, FLAT),
    ],
)  # fmt: skip
def test_huge_and_tiny_entries_are_drawn_without_warning(scale, matrix):
    dW = matrix * scale
    best = approximation(dW, lb.Global(), 1)
    axs = plt.figure(figsize=(4, 4), dpi=40).subplots(2, 2)
    lb.plot_spectra(lb.decompose(dW, lb.Global()), [1], ax=axs[0, 0])
    lb.plot_partition(dW, best, ax=axs[0, 1])
    lb.plot_residual(dW, best, ax=axs[1])
    axs[0, 0].figure.canvas.draw()


def test_spectra_name_the_unit_of_huge_values():
    ax = lb.plot_spectra(lb.decompose(np.diag([3e300, 2e300]), lb.Global()))
    assert ax.get_ylabel() == "singular value (units of 1e300 ΔW)"
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), [3, 2], rtol=1e-12)


@pytest.mark.parametrize("name", ["spectra", "curves"])
def test_no_legend_searches_all_points_for_its_place(name, monkeypatch):
    monkeypatch.setattr("matplotlib.legend.Legend._find_best_position", None)  # slow, and warns of it
    figure_of(PICTURES[name]()).canvas.draw()
