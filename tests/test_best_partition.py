"""The best partition behaves as an approximation, and shows its blocks."""

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import pytest
from oracles import residual, tolerance
from parsing import Cells
from registry import SMALL

import lowrank_blocks as lb

L_SHAPE = np.ones((8, 8))
L_SHAPE[4:, 4:] = 0
L_SHAPE[:4, 4:] *= 2
L_SHAPE[4:, :4] *= -3
L_SHAPE[0, 0] = 9
CASES = {
    "l-shape": (L_SHAPE, 30),
    "ragged": (SMALL["ragged"], 60),
    "thin": (SMALL["tall"][:, :3], 30),
    "zeros": (SMALL["zeros"], 40),
    "nothing": (SMALL["ragged"], 1),
}


@pytest.fixture(params=CASES, name="case")
def _case(request):
    W, budget = CASES[request.param]
    return W, budget, lb.best_partition(W, budget, max_depth=2)


def test_it_is_the_approximation_on_its_structure(case):
    W, budget, found = case
    again = lb.approximate(W, found.structure, budget)

    assert isinstance(found, lb.BestPartition)
    assert isinstance(found, lb.Approximation)
    assert not hasattr(found, "approximation")
    np.testing.assert_allclose(found.to_dense(), again.to_dense(), rtol=0, atol=tolerance(W))
    assert found.ranks.tolist() == again.ranks.tolist()
    assert found.blocks == again.blocks
    for name in ("structure", "shape", "n_parameters", "nbytes", "guarantee", "budget"):
        assert getattr(found, name) == getattr(again, name), name
    for name in ("error", "relative_error", "captured"):
        assert getattr(found, name) == pytest.approx(getattr(again, name), abs=tolerance(W), rel=0)
    assert found.error == pytest.approx(residual(W, np.asarray(found)), abs=tolerance(W), rel=0)
    assert found.gap == found.relative_error - found.lower_bound >= 0


def test_it_multiplies(case):
    W, _, found = case
    X, rng = found.to_dense(), np.random.default_rng(0)
    x, z = rng.standard_normal((5, W.shape[1])), rng.standard_normal((5, W.shape[0]))

    np.testing.assert_allclose(found @ x.T, X @ x.T, rtol=0, atol=1e-11)
    np.testing.assert_allclose(found.apply(x), x @ X.T, rtol=0, atol=1e-11)
    np.testing.assert_allclose(z @ found, z @ X, rtol=0, atol=1e-11)
    np.testing.assert_allclose(found.to_linear_operator() @ x.T, X @ x.T, rtol=0, atol=1e-11)


def test_its_transpose_is_the_best_partition_of_the_transposed_matrix(case):
    W, budget, found = case
    turned = found.T
    fresh = lb.best_partition(W.T, budget, max_depth=2)

    assert isinstance(turned, lb.BestPartition)
    np.testing.assert_array_equal(np.asarray(turned), np.asarray(found).T)
    assert turned.depth == found.depth[::-1] == fresh.depth
    assert turned.relative_error == pytest.approx(fresh.relative_error, abs=1e-9)
    assert turned.lower_bound == found.lower_bound
    assert turned.T.verdict == found.verdict
    assert repr(turned.T) == repr(found)


def test_a_verdict_turns_with_the_blocks():
    W = np.zeros((8, 12))
    W[:4, 6:] = SMALL["square"][:4, :6]
    found = lb.best_partition(W, 20, max_depth=1)

    assert found.verdict == "one block, rows 0:4, columns 6:12"
    assert found.T.verdict == "one block, rows 6:12, columns 0:4"


@pytest.mark.exhaustive
def test_every_picture_takes_it(case):
    W, _, found = case
    numbers = [int(t.get_text()) for t in lb.plot_ranks(found).texts]
    assert numbers == found.ranks.tolist()
    assert len(lb.plot_residual(W, found)) == 2
    assert [int(t.get_text()) for t in lb.plot_partition(W, found).texts] == [r for r in numbers if r]
    titles = [lb.plot_partition(W, a).get_title() for a in (found, lb.approximate(W, lb.Global(), 0))]
    assert [found.verdict in title.replace("\n", " ") for title in titles] == [True, False]


def test_it_prints_as_a_table_of_its_blocks(case):
    _, _, found = case
    head, names, _, *lines = str(found).splitlines()
    note = lines[len(found.ranks) :]

    assert head == repr(found)
    assert names.split() == ["rows", "columns", "rank", "n_parameters"]
    assert note == []
    for line, block, rank, (B, A) in zip(lines, found.blocks, found.ranks, found.factors, strict=True):
        rows, cols = (f"{part.start}:{part.stop}" for part in block)
        assert line.split() == [rows, cols, str(rank), str(B.size + A.size)]
    assert sum(row[-1] for row in found.table.rows) == found.n_parameters


def test_a_notebook_shows_the_table(case):
    _, _, found = case
    cells = Cells(found._repr_html_()).found

    assert cells["th"] == ["rows", "columns", "rank", "n_parameters"]
    assert cells["caption"] == [repr(found)]
    assert len(cells["td"]) == 4 * len(found.ranks)


def test_many_blocks_are_shown_in_part():
    found = lb.best_partition(np.eye(32), 64)

    assert len(found.ranks) == 32
    assert len(str(found).splitlines()) == 3 + 8 + 1 + 8 + 1
    assert "16 of 32 rows are not shown" in str(found)
    assert "16 of 32 rows are not shown" in found._repr_html_()
    assert len(found.table.to_text().splitlines()) == 34


def test_the_bound_is_over_all_partitions():
    """Of the structure alone the ranks are optimal; the bound of the search may lie below."""
    from lowrank_blocks.search import branch_and_bound as refinement

    W = SMALL["wide"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(refinement, "_MANY_RECTANGLES", 1)
        found = lb.best_partition(W, 62, max_depth=2)
    exact = lb.best_partition(W, 62, max_depth=2)

    assert found.guarantee == "optimal ranks"
    assert found.lower_bound <= exact.relative_error <= found.relative_error
    assert found.lower_bound < lb.approximate(W, found.structure, 62).lower_bound == found.relative_error
    assert found.gap > 0.001


def test_rows_say_one_thing_in_every_column():
    W = lb.load_example()["key"][:8, :8]
    report = lb.compare(W, [lb.Global(), lb.Localized(2)], 40, best=True)
    *named, best = report.rows
    found = lb.best_partition(W, 40)

    assert {row.guarantee for row in report.rows} == {"optimal ranks", "given ranks"}
    assert [row.gap for row in named] == [0, None, 0]
    assert [row.partition for row in named] == ["", "", ""]
    assert (best.partition, best.gap, best.guarantee) == (found.verdict, found.gap, found.guarantee)
    assert "partition" in report.to_text().splitlines()[1]
    assert "partition" not in lb.compare(W, [lb.Global()], 100).to_text()
    assert "partition" in lb.compare(W, [lb.Global()], 100).to_csv()


def test_greedy_ranks_have_their_gap_in_the_row():
    from lowrank_blocks.allocation import knapsack

    W = SMALL["ragged"]
    structure = lb.Localized((0, 1, 3, 13), (0, 1, 5, 11))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(knapsack, "_MANY_STATES", 0)
        rows = [lb.compare(W, [structure], b, allocate=[lb.adaptive]).rows[0] for b in range(20, 120, 7)]
        answers = [lb.approximate(W, structure, b) for b in range(20, 120, 7)]
    greedy = [(row, best) for row, best in zip(rows, answers, strict=True) if row.guarantee == "greedy ranks"]
    assert len(greedy) >= 5
    for row, best in greedy:
        assert row.gap == pytest.approx(best.gap, abs=1e-15)
        assert row.gap > 0
