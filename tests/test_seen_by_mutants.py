"""What random mutants showed that no other test saw."""

import csv
import io
import json

import numpy as np
import pytest
from command import refused, run

import lowrank_blocks as lb
from lowrank_blocks.allocation import penalties
from lowrank_blocks.checkpoints.updates import iter_updates
from lowrank_blocks.linalg import common_exponent, pseudo_inverses
from lowrank_blocks.models.comparison import ACROSS
from lowrank_blocks.models.factors import FactorJob
from lowrank_blocks.models.journal import Journal
from lowrank_blocks.reports.curves import steps_of

BASE = {"w": np.zeros((9, 6))}
TUNED = {"w": np.random.default_rng(0).standard_normal((9, 6))}


@pytest.mark.parametrize("sign", [1, -1])
def test_the_exponent_is_of_the_largest_entry_whatever_its_sign(sign):
    assert common_exponent(sign * np.array([[1.0, -(2.0**900)]])) == 900
    best = lb.approximate(sign * np.array([[-1e300, 1.0], [1.0, 1.0]]), lb.Global(), rank=1)
    assert best.relative_error == pytest.approx(0, abs=1e-15)


def test_a_curve_names_its_allocation_where_there_are_ranks_to_choose():
    for structure, label in [(lb.Global(), "Global()"), (lb.Localized(2), "Localized(2), uniform")]:
        assert lb.error_curve(TUNED["w"], structure, allocate=lb.uniform).label == label


def test_factors_come_back_from_the_journal_as_they_were(tmp_path):
    for structure, ranks in [(lb.Global(), (3,)), (lb.Localized(3, 2), (1, 0, 2, 1, 1, 2))]:
        job, journal = FactorJob(iter_updates(BASE, TUNED), structure, ranks), Journal(tmp_path)
        made = job.run()
        journal.write(job.key, job.packed(made))
        again = job.unpacked(journal.read(job.key))
        np.testing.assert_array_equal(again.to_dense(), made.to_dense())
        assert [(b.shape, a.shape) for b, a in again.factors] == [(b.shape, a.shape) for b, a in made.factors]
        assert (again.error, again.accuracy) == (made.error, made.accuracy)


def test_states_made_slab_by_slab_are_all_looked_at(monkeypatch):
    rng = np.random.default_rng(1)
    spectra = [np.sort(rng.uniform(0, 1, 9))[::-1] for _ in range(3)]
    expected = [lb.adaptive(spectra, [3, 5, 7], budget) for budget in range(0, 130, 7)]
    monkeypatch.setattr(penalties, "_SLAB", 3)
    for budget, ranks in zip(range(0, 130, 7), expected, strict=True):
        np.testing.assert_array_equal(lb.adaptive(spectra, [3, 5, 7], budget), ranks)


def test_a_rank_of_one_in_place_of_a_budget_is_hinted_at():
    note = lb.approximate(TUNED["w"], lb.Global(), budget=1).note
    assert "rank_budget(dW.shape, 1) is 15" in note


def test_counts_from_two_to_the_53_are_refused():
    lb.adaptive([[1.0]], [2**53 - 1], 5)
    with pytest.raises(ValueError, match=r"costs must be below 2\*\*53"):
        lb.adaptive([[1.0]], [2**53], 5)


def test_an_adapter_drops_nothing_out(tmp_path):
    base, tuned = ({"layer.weight": side["w"]} for side in (BASE, TUNED))
    lb.extract(base, tuned, tmp_path / "a", structure=lb.Global(), rank=1)
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert config["lora_dropout"] == 0.0


def test_the_curve_of_a_structure_passes_through_its_own_plan():
    rng = np.random.default_rng(4)
    tuned = {f"m{k}": rng.standard_normal(shape) for k, shape in enumerate([(8, 8), (8, 20), (12, 5)])}
    base = {name: np.zeros(dW.shape) for name, dW in tuned.items()}
    found = lb.compare_checkpoints(base, tuned, [lb.Global(), lb.Localized(2)], rank=2)
    across = {name.removesuffix(f", {ACROSS}"): plan for name, plan in found.plans.items() if ACROSS in name}
    between = 0  # two steps of the curve
    for label, plan in across.items():
        between += plan.n_parameters not in found.curves[label].n_parameters
        counts, errors = steps_of(found, label)
        at = dict(zip(counts.tolist(), errors.tolist(), strict=True))
        assert at[plan.n_parameters] == pytest.approx(plan.relative_error, abs=1e-12)
    assert between


SPELT = {
    "global": lb.Global(),
    "localized": lb.Localized(3),
    "localized:4": lb.Localized(4),
    "localized:2x5": lb.Localized(2, 5),
    "stripes": lb.Localized(3, 1),
    "stripes:2": lb.Localized(2, 1),
    "column-stripes:2": lb.Localized(1, 2),
    "diagonal:2": lb.DiagonalLocal(2),
    "monarch:4x2": lb.Monarch(4, 2),
    "monarch:4": lb.Monarch(4),
    "kronecker:4x8": lb.Kronecker(4, 8),
    "hodlr:3": lb.HODLR(3),
    "hodlr-dense:2": lb.HODLR(2, dense_leaves=True),
    "circulant:8": lb.BlockCirculant(8),
    "tied-rows:4": lb.Tied(rows=4),
    "tied-columns:5": lb.Tied(cols=5),
    "sparse": lb.Sparse(),
}


def test_structures_are_spelt_on_the_command_line(tmp_path, capsys):
    np.save(tmp_path / "w.npy", np.random.default_rng(0).standard_normal((16, 40)))
    options = [word for text in SPELT for word in ("--structure", text)]
    assert (
        run("compare", tmp_path / "w.npy", "--blocks", "3", "--rank", "2", "--format", "csv", *options) == 0
    )
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    labels = [value for row in rows for value in row.values() if value in set(map(repr, SPELT.values()))]
    assert list(dict.fromkeys(labels)) == list(map(repr, SPELT.values()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blast", "must be one of global"),
        ("kronecker", "must have 2 numbers after kronecker, such as kronecker:4x4"),
        ("hodlr:2x2", "must have 1 number after hodlr, such as hodlr:4"),
        ("monarch:a", "must have numbers such as 4 or 4x4"),
        ("sparse:4", "must have 0 numbers after sparse, such as sparse"),
        ("monarch:0", "rows must be a positive integer, got 0"),
    ],
)
def test_a_structure_that_is_not_one_is_refused_in_one_line(text, message, capsys):
    assert message in refused(capsys, "compare", "--structure", text)


@pytest.mark.parametrize("side", [200, 640])
@pytest.mark.parametrize("exponent", [-40, -9, 9, 40])
def test_bounds_and_methods_scale_with_the_matrix(side, exponent):
    matrix, scale = lb.synthetic.power_law((side, side)).matrix, 2.0**exponent
    for solve in (
        lambda x: lb.approximate(x, lb.Global(), rank=5),
        lambda x: lb.approximate(x, lb.Localized(8), rank=16, allocate=lb.uniform),
        lambda x: lb.decompose(x, lb.Localized(2)),
    ):
        plain, scaled = solve(matrix).accuracy, solve(scale * matrix).accuracy
        assert scaled.methods == plain.methods
        # LAPACK rescales tiny matrices, so that roundings differ.
        np.testing.assert_allclose(scaled.bounds, np.array(plain.bounds) * scale, rtol=0.1)


@pytest.mark.parametrize("side", [1, 2, 5])
def test_pseudo_inverses_are_those_of_numpy(side):
    rng = np.random.default_rng(side)
    factors = rng.standard_normal((4, side, side)) * np.array([1e-3, 1.0, 1e3, 0.0])[:, None, None]
    factors[1, :, -1] = 0  # singular
    grams = factors @ factors.mT
    expected = np.linalg.pinv(grams, rcond=1e-12, hermitian=True)
    np.testing.assert_allclose(pseudo_inverses(grams), expected, rtol=1e-9, atol=1e-18)


@pytest.mark.parametrize("parts", [3, 20])
def test_rectangles_are_grouped_by_their_shapes(parts):
    edges = tuple(range(0, 2 * parts, 2)) + tuple(range(2 * parts, 5 * parts + 1, 3))
    layout = lb.Localized(edges).layout((5 * parts, 5 * parts))
    groups = layout.split(np.zeros((5 * parts, 5 * parts))).groups()
    shapes = [{layout.block_shapes[k] for k in group.tolist()} for group in groups]
    assert sorted(map(sorted, shapes)) == [[(2, 2)], [(2, 3)], [(3, 2)], [(3, 3)]]
    assert sorted(k for group in groups for k in group.tolist()) == list(range(len(layout.block_shapes)))


def test_more_than_three_blocks_are_counted_and_not_listed():
    blocks = [lb.Block(slice(k, k + 1), slice(0, 2)) for k in range(4)]
    assert repr(lb.Blocks(blocks)) == "Blocks(4 blocks)"
    assert repr(lb.Blocks(blocks[:3])) != "Blocks(3 blocks)"


def test_the_transpose_of_circulant_blocks_is_that_of_the_matrix():
    W = np.random.default_rng(3).standard_normal((10, 15))
    best = lb.approximate(W, lb.BlockCirculant(5), 30)
    np.testing.assert_allclose(best.T.to_dense(), best.to_dense().T, rtol=0, atol=1e-15)
    expected = lb.approximate(W.T, lb.BlockCirculant(5), 30).to_dense()
    np.testing.assert_allclose(best.T.to_dense(), expected, rtol=0, atol=1e-14)
