"""Adapters that are the best in the weighted norm: what is written, lost, recorded and left out."""

import json
import math

import numpy as np
import pytest
from pairs import contents
from test_one_pass import sides, stored, write_pair
from test_plans import checkpoints
from weighted_models import WHOLE_ROWS, A, B, C, energy, moment, of, weights_of_pair

import lowrank_blocks as lb

WAYS = {
    "one structure": {"structure": lb.Global(), "rank": 6},
    "a plan": {"structure": [lb.Global(), lb.Localized(2, 1), lb.DiagonalLocal(2)], "rank": 6},
    "uniform": {"structure": lb.Global(), "rank": 4, "ranks": "uniform"},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_adapter_that_is_written_has_the_weighted_error(tmp_path, way):
    updates, weights = write_pair(tmp_path), weights_of_pair()

    made = lb.extract(*sides(tmp_path), tmp_path / "out", **WAYS[way], **weights)

    left = {name: dW - stored(tmp_path / "out", name) for name, dW in updates.items()}
    norms = {name: energy(dW, *of(weights, name)) for name, dW in updates.items()}
    errors = {name: energy(E, *of(weights, name)) for name, E in left.items()}
    expected = math.sqrt(sum(errors.values()) / sum(norms.values()))
    assert made.relative_error == pytest.approx(expected, rel=1e-5)
    if made.plan:
        assert made.plan.relative_error == pytest.approx(made.relative_error, rel=1e-9)
    plain = math.sqrt(sum(np.sum(E**2) for E in left.values()) / sum(np.sum(d**2) for d in updates.values()))
    assert made.plain_relative_error == pytest.approx(plain, rel=1e-6)
    assert plain <= made.bound <= plain + 1e-6
    words = (
        f"{made.relative_error:.4g} in the weighted norm, {made.plain_relative_error:.4g} in the plain one"
    )
    assert words in made.summary
    for matrix in made.written.matrices:
        size = np.linalg.norm(left[matrix.name])
        assert matrix.norm == pytest.approx(np.linalg.norm(updates[matrix.name]), rel=1e-12)
        assert size <= matrix.error_bound <= size + 1e-5
        if matrix.name == C:
            assert matrix.weighted_error is None
        else:
            ratio = math.sqrt(errors[matrix.name] / norms[matrix.name])
            assert matrix.weighted_error == pytest.approx(ratio, rel=1e-5)


def test_the_weighted_adapter_beats_the_plain_one_in_its_norm(tmp_path):
    updates, weights = write_pair(tmp_path), weights_of_pair()
    found = {}
    for out, options in (("plain", {}), ("weighted", weights)):
        lb.extract(*sides(tmp_path), tmp_path / out, structure=lb.Global(), rank=4, **options)
        left = {name: dW - stored(tmp_path / out, name) for name, dW in updates.items()}
        found[out] = sum(energy(E, *of(weights, name)) for name, E in left.items())
    assert found["weighted"] < 0.9 * found["plain"]


def test_a_plan_brings_its_weights_along(tmp_path):
    write_pair(tmp_path)
    weights, base, tuned = weights_of_pair(), *sides(tmp_path)
    plan = lb.plan(base, tuned, WHOLE_ROWS, rank=4, **weights)
    lb.extract(base, tuned, tmp_path / "planned", plan=plan)
    lb.extract(base, tuned, tmp_path / "at once", structure=WHOLE_ROWS, rank=4, **weights)
    assert contents(tmp_path / "planned") == contents(tmp_path / "at once")
    with pytest.raises(TypeError, match="row_weights and col_weights must not come with a plan"):
        lb.extract(base, tuned, tmp_path / "out", plan=plan, **weights)


def test_the_record_names_the_weights(tmp_path):
    write_pair(tmp_path)
    digests = []
    for seed in (0, 1):
        options = {"structure": lb.Global(), "rank": 2, **weights_of_pair(seed)}
        lb.extract(*sides(tmp_path), tmp_path / "out", **options)
        record = json.loads((tmp_path / "out" / "lowrank_blocks.json").read_text())
        digests.append(record["metadata"]["weights"] if "metadata" in record else record["weights"])
    assert set(digests[0]) == {A, B}
    assert digests[0][A] != digests[1][A]
    assert "is the relative error in the weighted norm" in (tmp_path / "out" / "README.md").read_text()


def test_blocks_of_few_samples_get_no_more_ranks_than_these(tmp_path):
    updates, x = write_pair(tmp_path), np.random.default_rng(0).standard_normal((2, 128))
    options = {"structure": lb.Global(), "rank": 5, "col_weights": {A: lb.Activations(x)}}
    made = lb.extract(*sides(tmp_path), tmp_path / "out", ranks="uniform", **options)
    assert {matrix.name: matrix.rank for matrix in made.written.matrices} == {A: 2, B: 5, C: 5}
    np.testing.assert_allclose(stored(tmp_path / "out", A) @ x.T, updates[A] @ x.T, atol=1e-4)


def test_uniform_ranks_need_a_closed_form_too(tmp_path):
    base, tuned = checkpoints({"m.weight": np.eye(4)})
    options = {"rank": 1, "ranks": "uniform", "col_weights": {"m.weight": moment(4)}}
    with pytest.raises(ValueError, match=r"structure must fit m.weight: col_weights must be a vector"):
        lb.extract(base, tuned, tmp_path, structure=lb.Localized(2), **options)


def test_shares_of_what_is_left_out_do_not_depend_on_weights(tmp_path):
    rng = np.random.default_rng(0)
    shapes = {"q.weight": (6, 5), "k.weight": (5, 5), "q.bias": (6,), "embed.weight": (9, 5)}
    base = {name: np.zeros(shape) for name, shape in shapes.items()}
    tuned = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    weights = {"row_weights": {"q.weight": np.full(6, 100.0)}, "col_weights": {"k.weight": moment(5)}}
    one, two = (
        lb.extract(base, tuned, tmp_path / str(k), structure=lb.Global(), rank=2, **options)
        for k, options in enumerate(({}, weights))
    )
    assert two.left_out.share_held == pytest.approx(one.left_out.share_held, rel=1e-13)
    held = sum(float(np.sum(tuned[name] ** 2)) for name in ("q.weight", "k.weight"))
    assert two.left_out.share_held == pytest.approx(
        held / sum(np.sum(t**2) for t in tuned.values()), rel=1e-12
    )
    for row, other in zip(one.left_out.table.rows, two.left_out.table.rows, strict=True):
        assert row[:3] == other[:3]
        assert row[3] == pytest.approx(other[3], rel=1e-12)
    assert one.plain_relative_error is None
    assert "weighted" not in one.summary


def test_rows_are_output_features_of_weights_stored_the_other_way(tmp_path):
    rng = np.random.default_rng(0)
    change = rng.standard_normal((4, 6))  # stored as (in, out)
    base, tuned = {"a.weight": np.zeros((4, 6))}, {"a.weight": change}
    g = rng.uniform(0.1, 5, 6)
    options = {"rank": 2, "fan_in_fan_out": True, "row_weights": {"a.weight": g}}
    made = lb.extract(base, tuned, tmp_path, structure=lb.Global(), **options)
    best = lb.approximate(change.T, lb.Global(), rank=2, row_weights=g)
    assert made.relative_error == pytest.approx(best.relative_error, rel=1e-9)
