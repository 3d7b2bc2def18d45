"""`Partition` values, and the pictures and reports that show them."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

import lowrank_blocks as lb
from lowrank_blocks.cli import main

L_SHAPE = ((0, 4, 0, 2), (4, 6, 0, 2), (4, 6, 2, 5))


def test_partition_is_a_value():
    assert lb.Partition(L_SHAPE) == lb.Partition([list(r) for r in L_SHAPE])
    assert hash(lb.Partition(L_SHAPE)) == hash(lb.Partition(L_SHAPE))
    assert repr(lb.Partition(L_SHAPE)) == f"Partition({list(L_SHAPE)})"
    assert repr(lb.Partition([(k, k + 1, 0, 1) for k in range(9)])) == "Partition(9 blocks)"


def test_partition_approximates_its_rectangles_only():
    W = np.arange(30.0).reshape(6, 5)
    X = lb.approximate(W, lb.Partition(L_SHAPE), 1000).to_dense()
    mask = np.zeros((6, 5), dtype=bool)
    mask[:4, :2] = mask[4:, :2] = mask[4:, 2:] = True
    np.testing.assert_allclose(X, np.where(mask, W, 0), atol=1e-12)


@pytest.mark.parametrize(
    ("rectangles", "error", "message"),
    [
        ([], TypeError, "rectangles must be a nonempty sequence"),
        ("abcd", TypeError, "rectangles must be a nonempty sequence"),
        ([(0, 1, 2)], TypeError, r"rectangles\[0\] must be four ints"),
        ([(0, 1, 0.5, 1)], TypeError, r"rectangles\[0\]\[2\] must be a non-negative integer, got 0.5"),
        (
            [(0, 1, 0, 1), (-1, 1, 0, 1)],
            ValueError,
            r"rectangles\[1\]\[0\] must be a non-negative integer, got -1",
        ),
        ([(2, 2, 0, 1)], ValueError, r"top < bottom and 0 <= left < right, got \(2, 2, 0, 1\)"),
        ([(0, 2, 0, 2), (1, 3, 1, 3)], ValueError, r"disjoint, got \(0, 2, 0, 2\) and \(1, 3, 1, 3\)"),
    ],
)
def test_bad_rectangles(rectangles, error, message):
    with pytest.raises(error, match=message):
        lb.Partition(rectangles)


def test_rectangles_beyond_the_matrix():
    with pytest.raises(ValueError, match=r"within the shape \(4, 4\), got one that ends at \(6, 5\)"):
        lb.approximate(np.eye(4), lb.Partition(L_SHAPE), 8)


def test_plot_partition_draws_leaves_and_positive_ranks():
    W = np.kron(np.diag([1.0, 2.0, 0.0]), np.ones((4, 4)))
    found = lb.best_partition(W, 16)
    ax = lb.plot_partition(W, found)
    ranks = found.approximation.ranks
    assert [int(t.get_text()) for t in ax.texts] == [r for r in ranks if r]
    assert len(ax.collections[0].get_paths()) == len(ranks)
    np.testing.assert_array_equal(ax.get_images()[0].get_array(), np.abs(W))
    assert found.verdict in ax.get_title()


def test_plot_partition_takes_an_approximation_and_axes():
    ax = plt.figure().subplots()
    assert lb.plot_partition(np.eye(4), lb.approximate(np.eye(4), lb.Localized(2), 16), ax=ax) is ax
    assert "Localized(2)" in ax.get_title()


def test_plot_partition_refuses_others():
    found = lb.best_partition(np.eye(4), 8)
    with pytest.raises(ValueError, match="dW must have the shape of the approximation"):
        lb.plot_partition(np.eye(5), found)
    with pytest.raises(TypeError, match="found must be what"):
        lb.plot_partition(np.eye(4), 3)


def test_bounds_are_drawn_beside_the_curve():
    curve = lb.partition_curve(np.diag(np.arange(1.0, 9)), max_depth=1)
    staircase, bound, *_ = lb.plot_error_curves([curve]).get_lines()
    np.testing.assert_array_equal(staircase.get_ydata(), curve.relative_error)
    np.testing.assert_array_equal(bound.get_ydata(), curve.lower_bound)
    assert bound.get_label() == "best partition, lower bound"


def test_bounds_end_at_the_dense_count():
    """Bounds fall with the budget, so what holds at the next count beyond holds there, too."""
    counts, values = np.array([0, 8, 14, 20]), np.array([1, 0.5, 0.25, 0.125])
    curve = lb.ErrorCurve("best partition", (4, 4), counts, values, values)
    staircase, bound, *_ = lb.plot_error_curves([curve]).get_lines()
    assert staircase.get_xydata().tolist() == [[0, 1], [8, 0.5], [14, 0.25], [16, 0.25]]
    assert bound.get_xydata().tolist() == [[0, 1], [8, 0.5], [14, 0.25], [16, 0.125]]


def test_compare_adds_the_best_partition():
    W = lb.synthetic.block_diagonal((32, 32), 4, 2).matrix
    report = lb.compare(W, [lb.Global()], lb.rank_budget(W.shape, 2), best=True)
    row = report.rows[-1]
    assert report.best is row
    assert row.label == "best partition"
    assert row.guarantee.startswith("DiagonalLocal(4); gap at most ")
    assert row.n_parameters + row.slack == 128


def test_command_adds_the_best_partition(tmp_path, capsys):
    np.save(tmp_path / "dW.npy", np.kron(np.eye(4), np.ones((4, 4))))
    assert main(["compare", str(tmp_path / "dW.npy"), "--rank", "1", "--best"]) == 0
    assert "DiagonalLocal(4); gap at most" in capsys.readouterr().out
