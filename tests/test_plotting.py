"""Pictures: what is drawn is the data."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

import lowrank_blocks as lb

QUERY = lb.load_example()["query"]
STRUCTURES = [lb.Global(), lb.DiagonalLocal(4), lb.Localized(4)]
BUDGET = lb.rank_budget(QUERY.shape, 8)


def test_error_curves_draw_every_step():
    curves = [lb.error_curve(QUERY, s) for s in STRUCTURES]
    ax = lb.plot_error_curves(curves)
    for line, curve in zip(ax.get_lines(), curves, strict=False):
        inside = curve.n_parameters < 256 * 256
        np.testing.assert_array_equal(line.get_xdata()[:-1], curve.n_parameters[inside])
        np.testing.assert_array_equal(line.get_ydata()[:-1], curve.relative_error[inside])
        assert (line.get_xdata()[-1], line.get_ydata()[-1]) == (256 * 256, curve.at(256 * 256))
        assert line.get_drawstyle() == "steps-post"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == [repr(s) for s in STRUCTURES]


def test_error_curves_mark_the_dense_count_and_the_equivalent_rank():
    ax = lb.plot_error_curves([lb.error_curve(QUERY, s) for s in STRUCTURES])
    assert list(ax.get_lines()[-1].get_xdata()) == [256 * 256] * 2
    (top,) = ax.child_axes
    ax.figure.canvas.draw()
    np.testing.assert_allclose(np.array(top.get_xlim()) * 512, ax.get_xlim())
    assert "parameters" in ax.get_xlabel()
    assert "rank" in top.get_xlabel()


def test_error_curves_differ_in_more_than_colour():
    ax = lb.plot_error_curves([lb.error_curve(QUERY, s) for s in STRUCTURES])
    looks = {(line.get_linestyle(), line.get_marker()) for line in ax.get_lines()[:3]}
    assert len(looks) == 3


@pytest.mark.parametrize("matrix", [np.diag(10.0 ** -np.arange(8)), np.eye(8), np.ones((8, 8))])
def test_curves_have_one_scale_that_ends_at_the_dense_count(matrix):
    ax = lb.plot_error_curves([lb.error_curve(matrix, s) for s in (lb.Global(), lb.Localized(2))])
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")
    assert (ax.get_xlim(), ax.get_ylim()) == ((2, 64), (-0.02, 1.05))
    ax.set_yscale("log")  # what small errors can be seen on
    ax.figure.canvas.draw()


def test_curves_of_different_matrices_share_a_picture():
    curves = [lb.error_curve(np.eye(n), lb.Global()) for n in (4, 8)]
    ax = lb.plot_error_curves(curves)
    assert len(ax.get_lines()) == 2
    assert not ax.child_axes


def test_a_matrix_of_zeros_can_be_drawn():
    ax = lb.plot_error_curves([lb.error_curve(np.zeros((4, 4)), lb.Global())])
    ax.figure.canvas.draw()


def test_line_settings_are_passed_on():
    ax = lb.plot_error_curves([lb.error_curve(np.eye(4), lb.Global())], label="mine", linewidth=5)
    assert ax.get_lines()[0].get_linewidth() == 5
    assert ax.get_lines()[0].get_label() == "mine"


def test_comparison_draws_one_labelled_bar_a_row():
    report = lb.compare(QUERY, STRUCTURES, BUDGET)
    ax = lb.plot_comparison(report)
    assert [bar.get_width() for bar in ax.patches] == [row.relative_error for row in report.rows]
    assert len({bar.get_hatch() for bar in ax.patches}) == 2
    for text, row in zip(ax.texts, report.rows, strict=True):
        assert f"{row.relative_error:.4f}" in text.get_text()
        assert str(max(row.ranks)) in text.get_text()
    labels = [tick.get_text() for tick in ax.get_yticklabels()]
    assert labels == [f"{row.label}, {row.allocation}" for row in report.rows]


def test_spectra_draw_all_values_and_mark_the_kept():
    parts = lb.decompose(QUERY, lb.Localized(2, 3))
    ranks = parts.within(BUDGET).ranks
    *lines, kept = lb.plot_spectra(parts, ranks).get_lines()
    for line, spectrum in zip(lines, parts.spectra, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), spectrum)
    expected = np.concatenate([s[:r] for s, r in zip(parts.spectra, ranks, strict=True)])
    np.testing.assert_array_equal(kept.get_ydata(), expected)
    assert f"{int(ranks.sum())} of" in kept.get_label()


def test_pooled_spectra_mark_the_same_values():
    parts = lb.decompose(QUERY, lb.Localized(2, 3))
    ranks = parts.within(BUDGET).ranks
    line, kept = lb.plot_spectra(parts, ranks, pooled=True).get_lines()
    pooled = np.sort(np.concatenate(parts.spectra))[::-1]
    np.testing.assert_array_equal(line.get_ydata(), pooled)
    expected = np.sort(np.concatenate([s[:r] for s, r in zip(parts.spectra, ranks, strict=True)]))[::-1]
    np.testing.assert_array_equal(kept.get_ydata(), expected)
    np.testing.assert_array_equal(pooled[kept.get_xdata() - 1], kept.get_ydata())


@pytest.mark.parametrize("pooled", [False, True])
def test_spectra_without_ranks_mark_nothing(pooled):
    ax = lb.plot_spectra(lb.decompose(np.eye(4), lb.Global()), pooled=pooled)
    assert [line.get_label() for line in ax.get_lines()] == ["all"]


@pytest.mark.parametrize("structure", [*STRUCTURES, lb.Localized((0, 10, 256), 3)])
def test_ranks_are_drawn_where_the_blocks_lie(structure):
    best = lb.approximate(QUERY, structure, BUDGET)
    ax = lb.plot_ranks(best)
    (cells,) = ax.collections
    np.testing.assert_array_equal(cells.get_array(), best.ranks)
    assert [int(t.get_text()) for t in ax.texts] == best.ranks.tolist()
    for path, block in zip(cells.get_paths(), best.blocks, strict=True):
        box = path.get_extents()
        assert (box.x0, box.x1) == (block.cols.start, block.cols.stop)
        assert (box.y0, box.y1) == (block.rows.start, block.rows.stop)


def test_many_blocks_have_no_numbers():
    assert not lb.plot_ranks(lb.approximate(QUERY, lb.Localized(32), BUDGET)).texts


def test_residual_is_drawn_beside_the_matrix_on_one_scale():
    best = lb.approximate(QUERY, lb.Localized(4), BUDGET)
    left, right = lb.plot_residual(QUERY, best)
    (whole,), (rest,) = left.get_images(), right.get_images()
    np.testing.assert_array_equal(whole.get_array(), np.abs(QUERY.astype(np.float64)))
    np.testing.assert_array_equal(rest.get_array(), np.abs(QUERY.astype(np.float64) - best.to_dense()))
    assert whole.get_clim() == rest.get_clim()
    assert len(right.collections[0].get_paths()) == 16


@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: lb.plot_error_curves([lb.error_curve(np.eye(4), lb.Global())], ax=ax),
        lambda ax: lb.plot_comparison(lb.compare(np.eye(4), [lb.Global()], 8), ax=ax),
        lambda ax: lb.plot_spectra(lb.decompose(np.eye(4), lb.Global()), ax=ax),
        lambda ax: lb.plot_ranks(lb.approximate(np.eye(4), lb.Global(), 8), ax=ax),
    ],
)
def test_pictures_are_drawn_on_the_axes_given(draw):
    ax = plt.figure().subplots()
    assert draw(ax) is ax
    assert len(plt.get_fignums()) == 1
    with pytest.raises(TypeError, match="ax must be a matplotlib Axes or None, got 'here'"):
        draw("here")


def test_residual_is_drawn_on_the_pair_given():
    best = lb.approximate(np.eye(4), lb.Global(), 8)
    pair = plt.figure().subplots(1, 2)
    assert list(lb.plot_residual(np.eye(4), best, ax=pair)) == list(pair)
    for bad in (pair[0], "ab", [None, None], [pair[0]]):
        with pytest.raises(TypeError, match="ax must be a pair of matplotlib Axes or None"):
            lb.plot_residual(np.eye(4), best, ax=bad)


def test_residual_needs_the_same_shape():
    with pytest.raises(
        ValueError, match=r"dW must have the shape of the approximation, \(4, 4\), got \(4, 5\)"
    ):
        lb.plot_residual(np.ones((4, 5)), lb.approximate(np.eye(4), lb.Global(), 8))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lb.plot_error_curves([]), ValueError, "curves must hold at least one error curve"),
        (lambda: lb.plot_error_curves([3]), TypeError, r"curves\[0\] must be what lb.error_curve returned"),
        (
            lambda: lb.plot_error_curves(lb.error_curve(np.eye(4), lb.Global())),
            TypeError,
            "put it in a list",
        ),
        (lambda: lb.plot_comparison(3), TypeError, "comparison must be what lb.compare returned"),
        (lambda: lb.plot_spectra(3), TypeError, "decomposition must be what lb.decompose returned"),
        (lambda: lb.plot_ranks(3), TypeError, "approximation must be what lb.approximate returned"),
        (
            lambda: lb.plot_spectra(lb.decompose(np.eye(4), lb.Global()), [5]),
            ValueError,
            "ranks must be at most 4 for block 0, got 5",
        ),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
