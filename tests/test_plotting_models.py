"""Pictures of whole models: what is drawn is the comparison."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from models_of import HOSTILE, STRUCTURES, compared, layers

import lowrank_blocks as lb
from lowrank_blocks._colours import HEAT_STOPS
from lowrank_blocks._escaping import printable

MODEL = compared(*layers(3))
COLOURS = ["#0072b2", "#009e73", "#d55e00"]


def lines_of(ax):
    """Return the lines by label, without dots and marks."""
    return {line.get_label(): line for line in ax.get_lines() if not line.get_label().startswith("_")}


def test_curves_are_those_of_the_comparison_down_to_what_was_found():
    lines = lines_of(lb.plot_model_curves(MODEL))

    assert list(lines) == [*map(repr, STRUCTURES), "plan, lower bound"]
    for label, colour in zip(map(repr, STRUCTURES), COLOURS, strict=True):
        line, curve, found = lines[label], MODEL.curves[label], MODEL.plans[f"{label}, ranks across"]
        drawn = dict(zip(line.get_xdata().tolist(), line.get_ydata().tolist(), strict=True))
        known = dict(zip(curve.n_parameters.tolist(), curve.relative_error.tolist(), strict=True))
        assert drawn.keys() - known.keys() <= {found.n_parameters, line.get_xdata()[-1]}
        assert drawn[found.n_parameters] == min(
            found.relative_error, *(e for c, e in known.items() if c <= found.n_parameters)
        )
        assert all(drawn[count] <= error for count, error in known.items())
        assert np.all(np.diff(line.get_ydata()) <= 0)
        assert (line.get_drawstyle(), to_hex(line.get_color())) == ("steps-post", colour)


def test_no_way_is_below_the_bound_that_is_drawn():
    for seed in range(3):
        model = compared(*layers(2), seed=seed)
        bound = lines_of(lb.plot_model_curves(model))["plan, lower bound"]
        assert (bound.get_drawstyle(), bound.get_linestyle()) == ("steps-pre", ":")
        for found in model.plans.values():
            at = np.searchsorted(bound.get_xdata(), found.n_parameters)
            assert bound.get_ydata()[at] <= found.relative_error + 1e-12


def test_the_budget_and_what_was_found_there_are_marked():
    ax = lb.plot_model_curves(MODEL)
    dots = [
        (line.get_xdata()[0], line.get_ydata()[0]) for line in ax.get_lines() if len(line.get_xdata()) == 1
    ]
    found = [p for label, p in MODEL.plans.items() if not label.endswith("same rank")]

    assert dots == [(p.n_parameters, p.relative_error) for p in found]
    assert [96, 96] in [list(line.get_xdata()) for line in ax.get_lines()]
    assert ax.texts[0].get_text() == "budget 96"
    (top,) = ax.child_axes
    ax.figure.canvas.draw()
    np.testing.assert_allclose(np.array(top.get_xlim()) * 96, ax.get_xlim())


def test_ranks_stand_by_layer_and_kind():
    for way in (None, *MODEL.plans):
        ax = lb.plot_model_ranks(MODEL, way)
        plan = MODEL.plans[way or MODEL.best]
        values = ax.collections[0].get_array()
        expected = [
            [plan.stored[f"model.layers.{k}.{kind}.weight"] / 16 for kind in ("attn.q", "mlp.up")]
            for k in range(3)
        ]
        np.testing.assert_array_equal(values, expected)
        assert [t.get_text() for t in ax.texts] == [f"{v:.3g}" for row in expected for v in row]
        assert [t.get_text() for t in ax.get_xticklabels()] == ["attn.q", "mlp.up"]
        assert [t.get_text() for t in ax.get_yticklabels()] == ["0", "1", "2"]


def test_cells_without_a_matrix_stay_empty():
    ax = lb.plot_model_ranks(compared("h.0.a", "h.0.b", "h.1.b"))

    assert np.ma.getmaskarray(ax.collections[0].get_array()).tolist() == [[False, False], [True, False]]
    assert len(ax.texts) == 3


def test_names_are_text():
    ax = lb.plot_model_ranks(compared(*HOSTILE))
    labels = [t.get_text() for t in ax.get_xticklabels()]
    ax.figure.canvas.draw()

    assert all(label.isprintable() and len(label) <= 25 for label in labels)
    assert printable(HOSTILE[2]) in labels


def test_updates_of_zero_and_budgets_of_none_can_be_drawn():
    zero = {"a": np.zeros((4, 4)), "b": np.zeros((4, 4))}
    for tuned, budget in ((zero | {"b": np.eye(4)}, 0), (zero | {"b": np.eye(4)}, 99)):
        found = lb.compare_checkpoints(zero, tuned, [lb.Global()], budget=budget)
        for draw in (lb.plot_model_curves, lb.plot_model_ranks):
            draw(found).figure.canvas.draw()


def test_heat_of_pages_is_that_of_pictures():
    stops = [to_hex(mpl.colormaps["cividis"](k / 4)) for k in range(5)]
    apart = [
        abs(int(a[i : i + 2], 16) - int(b[i : i + 2], 16))
        for a, b in zip(stops, HEAT_STOPS, strict=True)
        for i in (1, 3, 5)
    ]

    assert max(apart) == 0


@pytest.mark.parametrize("draw", [lb.plot_model_curves, lb.plot_model_ranks])
def test_pictures_are_drawn_on_the_axes_given(draw):
    ax = plt.figure().subplots()

    assert draw(MODEL, ax=ax) is ax
    assert len(plt.get_fignums()) == 1
    with pytest.raises(TypeError, match="ax must be a matplotlib Axes or None, got 'here'"):
        draw(MODEL, ax="here")


@pytest.mark.parametrize("draw", [lb.plot_model_curves, lb.plot_model_ranks])
def test_a_comparison_is_asked_for_with_the_call_that_makes_one(draw):
    report = lb.compare(np.eye(4), [lb.Global()], 8)

    with pytest.raises(
        TypeError, match=r"comparison must be what lb.compare_checkpoints returned, got Comp.*; "
    ):
        draw(report)


@pytest.mark.parametrize(("way", "error"), [("Global()", ValueError), (3, TypeError)])
def test_ways_are_named(way, error):
    with pytest.raises(error, match=r"way must be one of \['Global\(\), same rank', .*'plan'\], got"):
        lb.plot_model_ranks(MODEL, way)
