"""`Blocks` values, and the pictures and reports that show them."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

import lowrank_blocks as lb
from lowrank_blocks.cli import main

L_SHAPE = (
    (range(0, 4), range(0, 2)),
    (range(4, 6), range(0, 2)),
    (range(4, 6), range(2, 5)),
)


def test_blocks_are_a_value():
    same = [(slice(0, 4), (0, 1)), (np.arange(4, 6), [0, 1]), (range(4, 6), slice(2, 5))]
    assert lb.Blocks(L_SHAPE) == lb.Blocks(same)
    assert hash(lb.Blocks(L_SHAPE)) == hash(lb.Blocks(same))
    assert repr(lb.Blocks(L_SHAPE)) == f"Blocks({list(L_SHAPE)})"
    assert repr(lb.Blocks([([k], [0]) for k in range(9)])) == "Blocks(9 blocks)"


def test_blocks_approximate_their_entries_only():
    W = np.arange(30.0).reshape(6, 5)
    X = lb.approximate(W, lb.Blocks(L_SHAPE), 1000).to_dense()
    mask = np.zeros((6, 5), dtype=bool)
    mask[:4, :2] = mask[4:, :2] = mask[4:, 2:] = True
    np.testing.assert_allclose(X, np.where(mask, W, 0), atol=1e-12)


@pytest.mark.parametrize(
    ("blocks", "error", "message"),
    [
        ([], ValueError, r"blocks must be a nonempty sequence of \(rows, cols\), got none"),
        ("abcd", TypeError, "blocks must be a nonempty sequence"),
        ([(0, 1, 2)], TypeError, r"blocks\[0\] must be a pair \(rows, cols\)"),
        ([([0], 3)], TypeError, r"cols of blocks\[0\] must be a slice .* got 3"),
        ([([0], [0.5])], TypeError, r"cols of blocks\[0\] must be a slice .* got 0.5"),
        ([([True], [0])], TypeError, r"rows of blocks\[0\] .* got the bool True; pass np.flatnonzero"),
        ([([0], [0]), ([-1], [0])], ValueError, r"rows of blocks\[1\] .* got -1"),
        ([([0, 2, 0], [0])], ValueError, r"rows of blocks\[0\] .* got 0 twice"),
        ([([], [0])], ValueError, r"rows of blocks\[0\] .* got none"),
        ([(slice(2, 2), [0])], ValueError, r"rows of blocks\[0\] .* got none"),
        ([(slice(None), [0])], ValueError, r"must have a start and a stop, .* write slice\(0, length\)"),
        (
            [(range(2), range(2)), ([5], [5]), ([3, 1], [7, 1])],
            ValueError,
            r"got blocks\[0\] and blocks\[2\]",
        ),
    ],
)
def test_bad_blocks(blocks, error, message):
    with pytest.raises(error, match=message):
        lb.Blocks(blocks)


@pytest.mark.parametrize(
    ("shape", "where"), [((5, 5), "row 5 in blocks.1."), ((6, 4), "column 4 in blocks.2.")]
)
def test_blocks_beyond_the_matrix(shape, where):
    with pytest.raises(ValueError, match=rf"within the shape .*, got {where}"):
        lb.approximate(np.ones(shape), lb.Blocks(L_SHAPE), 8)


def test_plot_partition_draws_leaves_and_positive_ranks():
    W = np.kron(np.diag([1.0, 2.0, 0.0]), np.ones((4, 4)))
    found = lb.best_partition(W, 16)
    ax = lb.plot_partition(W, found)
    ranks = found.ranks
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
    assert (row.guarantee, row.partition) == ("optimal ranks", "DiagonalLocal(4)")
    assert row.gap == pytest.approx(0, abs=1e-12)
    assert row.n_parameters + row.slack == 128


def test_command_adds_the_best_partition(tmp_path, capsys):
    np.save(tmp_path / "dW.npy", np.kron(np.eye(4), np.ones((4, 4))))
    assert main(["compare", str(tmp_path / "dW.npy"), "--rank", "1", "--best"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()[1:9]
    assert head.split()[-2:] == ["gap", "partition"]
    *_, optimal, ranks, gap, partition = rows[-1].split()
    assert (optimal, ranks, partition) == ("optimal", "ranks", "DiagonalLocal(4)")
    assert 0 <= float(gap) <= 1e-15
