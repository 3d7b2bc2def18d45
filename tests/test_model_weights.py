"""Weights of the matrices of a model: plans and adapters in the weighted norm, against its definition."""

import itertools
import json
import math

import numpy as np
import pytest
from oracles import block_costs, block_spectra, diagonal, grid, outside_energy
from test_cli_checkpoints import contents
from test_one_pass import SHAPES, sides, stored, write_pair
from test_plans import checkpoints

import lowrank_blocks as lb
from lowrank_blocks.checkpoints.updates import iter_updates
from lowrank_blocks.models.factors import FactorJob
from lowrank_blocks.models.journal import FOLDER, Journal
from lowrank_blocks.models.spectra import SpectraJob
from lowrank_blocks.models.weighing import model_weights
from lowrank_blocks.models.workers import processes

STRUCTURES = {
    lb.Global(): lambda m, n: grid(1, 1, m, n),
    lb.DiagonalLocal(2): lambda m, n: diagonal(2, m, n),
    lb.Localized(2, 1): lambda m, n: grid(2, 1, m, n),
}
WHOLE_ROWS = [lb.Global(), lb.Localized(2, 1)]
A, B, C = SHAPES


def moment(n, seed=0, samples=None):
    x = np.random.default_rng(seed).standard_normal((samples or 2 * n, n)) * 0.7 ** np.arange(n)
    return x.T @ x / len(x)


def energy(E, rows=None, cols=None):
    """Return the squared norm of E under weights, by its definition."""
    cols = cols.x.T @ cols.x / len(cols.x) if isinstance(cols, lb.Activations) else cols
    G, M = (
        np.eye(k) if w is None else np.diag(w) if np.ndim(w) == 1 else w
        for w, k in zip((rows, cols), E.shape, strict=True)
    )
    return float(np.trace(G @ E @ M @ E.T))


def ways(W, structures):
    """Return the least energy for every count of numbers that some structure and ranks store."""
    least = {}
    for structure in structures:
        blocks = STRUCTURES[structure](*W.shape)
        spectra, costs, outside = block_spectra(W, blocks), block_costs(blocks), outside_energy(W, blocks)
        for ranks in itertools.product(*(range(len(s) + 1) for s in spectra)):
            count = sum(r * c for r, c in zip(ranks, costs, strict=True))
            left = outside + sum(float(np.sum(s[r:] ** 2)) for s, r in zip(spectra, ranks, strict=True))
            least[count] = min(left, least.get(count, math.inf))
    return least


def small(seed):
    """Return updates, their weights, and by hand the weighted matrices with what is a candidate for them."""
    rng = np.random.default_rng(seed)
    updates = {
        name: rng.standard_normal(shape) for name, shape in (("v", (4, 3)), ("m", (3, 4)), ("p", (4, 4)))
    }
    g, c, M = rng.uniform(0.1, 5, 4), rng.uniform(0.1, 5, 3), moment(4, seed)
    h = rng.uniform(0.1, 5, 3)
    by_hand = {
        "v": (np.sqrt(g)[:, None] * updates["v"] * np.sqrt(c), list(STRUCTURES)),
        "m": (np.sqrt(h)[:, None] * updates["m"] @ np.linalg.cholesky(M), WHOLE_ROWS),
        "p": (updates["p"], list(STRUCTURES)),
    }
    return updates, {"row_weights": {"v": g, "m": h}, "col_weights": {"v": c, "m": M}}, by_hand


@pytest.mark.parametrize("budget", [0, 7, 16, 25, 40])
@pytest.mark.parametrize("seed", range(4))
def test_a_plan_is_the_best_of_the_weighted_matrices(seed, budget):
    updates, weights, by_hand = small(seed)
    states = {0: 0.0}
    for W, structures in by_hand.values():
        new = {}
        for (a, before), (b, more) in itertools.product(states.items(), ways(W, structures).items()):
            if a + b <= budget and before + more < new.get(a + b, math.inf):
                new[a + b] = before + more
        states = new
    norms = {name: energy(dW, *(side.get(name) for side in weights.values())) for name, dW in updates.items()}

    found = lb.plan(*checkpoints(updates), list(STRUCTURES), budget=budget, **weights)

    assert found.relative_error == pytest.approx(
        math.sqrt(min(states.values()) / sum(norms.values())), abs=1e-10
    )
    assert found.guarantee == "optimal ranks"
    assert found.structures["m"] in WHOLE_ROWS
    total = sum(norms[name] * found.relative_errors[name] ** 2 for name in norms)
    assert total == pytest.approx(found.relative_error**2 * sum(norms.values()), abs=1e-10)
    for name, dW in updates.items():
        ranks = np.atleast_1d(found.ranks[name]).tolist()
        made = lb.decompose(
            dW,
            found.structures[name],
            row_weights=weights["row_weights"].get(name),
            col_weights=weights["col_weights"].get(name),
        )
        assert found.relative_errors[name] == pytest.approx(made.relative_error(ranks), abs=1e-12)


def test_a_plan_says_that_its_errors_are_weighted():
    updates, weights, _ = small(0)
    found = lb.plan(*checkpoints(updates), [lb.Global()], rank=1, **weights)
    assert "in the weighted norm" in repr(found)
    assert "in the weighted norm" in str(found).splitlines()[0]
    plain = lb.plan(*checkpoints(updates), [lb.Global()], rank=1, row_weights={}, col_weights={"v": None})
    assert "weighted" not in repr(plain)
    assert plain == lb.plan(*checkpoints(updates), [lb.Global()], rank=1)


def weights_of_pair(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((300, 128)) * 0.95 ** np.arange(128)
    rows = {B: rng.uniform(0.1, 3, 200)}
    return {"row_weights": rows, "col_weights": {A: lb.Activations(x), B: moment(80, seed)}}


def of(weights, name):
    return [side.get(name) for side in weights.values()]


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


@pytest.mark.parametrize("interrupted_after", [1, 3, 5])
def test_an_interrupted_run_goes_on_to_the_same_bytes(tmp_path, monkeypatch, interrupted_after):
    write_pair(tmp_path)
    options = {"structure": WHOLE_ROWS, "rank": 3, **weights_of_pair()}
    lb.extract(*sides(tmp_path), tmp_path / "whole", **options)
    written = interrupt(monkeypatch, interrupted_after)
    with pytest.raises(KeyboardInterrupt):
        lb.extract(*sides(tmp_path), tmp_path / "again", **options)
    assert len(list((tmp_path / "again" / FOLDER).iterdir())) == interrupted_after
    lb.extract(*sides(tmp_path), tmp_path / "again", **options)
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")
    assert len(set(written)) == len(written) == 6  # what was finished was not done again


def interrupt(monkeypatch, after):
    write, written = Journal.write, []

    def interrupted(self, key, arrays):
        write(self, key, arrays)
        written.append(key)
        if len(written) == after:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "write", interrupted)
    return written


@pytest.mark.parametrize("other", [{}, weights_of_pair(1)], ids=["none", "others"])
def test_other_weights_do_not_use_what_is_in_the_journal(tmp_path, monkeypatch, other):
    write_pair(tmp_path)
    options = {"structure": WHOLE_ROWS, "rank": 3}
    lb.extract(*sides(tmp_path), tmp_path / "fresh", **options, **other)
    written = interrupt(monkeypatch, 5)
    with pytest.raises(KeyboardInterrupt):
        lb.extract(*sides(tmp_path), tmp_path / "out", **options, **weights_of_pair())
    lb.extract(*sides(tmp_path), tmp_path / "out", **options, **other)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")
    assert len(set(written)) == len(written)


def test_workers_make_the_same_bytes(tmp_path):
    write_pair(tmp_path)
    options = {"structure": WHOLE_ROWS, "rank": 3, **weights_of_pair()}
    lb.extract(*sides(tmp_path), tmp_path / "alone", **options)
    with processes(2) as executor:
        lb.extract(*sides(tmp_path), tmp_path / "together", executor=executor, **options)
        plan = lb.plan(*sides(tmp_path), WHOLE_ROWS, rank=3, executor=executor, **weights_of_pair())
    assert contents(tmp_path / "alone") == contents(tmp_path / "together")
    assert plan == lb.plan(*sides(tmp_path), WHOLE_ROWS, rank=3, **weights_of_pair())


def jobs(weights):
    updates = iter_updates({"w": np.zeros((9, 6))}, {"w": np.random.default_rng(0).standard_normal((9, 6))})
    sent = weights and model_weights(*({"w": v} for v in weights), updates).only("w")
    return (
        SpectraJob(updates, (lb.Global(),), (2.0,), weights=sent),
        FactorJob(updates, lb.Global(), (2,), sent),
    )


def test_a_job_takes_only_the_weights_of_its_matrix():
    updates, weights, _ = small(0)
    found = model_weights(weights["row_weights"], weights["col_weights"], iter_updates(*checkpoints(updates)))
    sent = found.only("v")
    assert (list(sent.rows), list(sent.cols), sent.digests["v"]) == (["v"], ["v"], found.digests["v"])
    assert found.only("p") is None
    assert repr(found) == "ModelWeights(of 2 matrices)"


def test_every_change_of_the_weights_is_another_entry_of_the_journal():
    g, c = np.arange(1.0, 10), np.arange(1.0, 7)
    samples = np.random.default_rng(0).standard_normal((6, 6))
    several = [None, (g, c), (g + 1, c), (g, c + 1), (g, None), (None, c), (None, np.diag(c))]
    square = samples.T @ samples
    several += [(None, w) for w in (square, lb.Activations(square), lb.Activations(square[:3]))]
    for keys in zip(*([job.key for job in jobs(weights)] for weights in several), strict=True):
        assert len(set(keys)) == len(several)
    assert [job.key for job in jobs((g, c))] == [job.key for job in jobs((g.copy(), c.copy()))]


WEIGHTED = {
    "plain": None,
    "weighted": (np.arange(1.0, 10), moment(6)),
    "one sample": (None, lb.Activations(np.ones((1, 6)))),
}


@pytest.mark.parametrize("weights", WEIGHTED.values(), ids=WEIGHTED)
def test_factors_come_out_of_the_journal_as_they_went_in(tmp_path, weights):
    job, journal = jobs(weights)[1], Journal(tmp_path)
    made = job.run()
    journal.write(job.key, job.packed(made))
    again = job.unpacked(journal.read(job.key))
    assert (made.plain is None) == (weights is None)
    fields = "plain", "error", "relative_error", "accuracy", "guarantee", "lower_bound", "budget", "unit_cost"
    for field in fields:
        assert getattr(made, field) == getattr(again, field)
    np.testing.assert_array_equal(made.to_dense(), again.to_dense())
    np.testing.assert_array_equal(made.ranks, again.ranks)


def test_blocks_of_few_samples_get_no_more_ranks_than_these(tmp_path):
    updates, x = write_pair(tmp_path), np.random.default_rng(0).standard_normal((2, 128))
    options = {"structure": lb.Global(), "rank": 5, "col_weights": {A: lb.Activations(x)}}
    made = lb.extract(*sides(tmp_path), tmp_path / "out", ranks="uniform", **options)
    assert {matrix.name: matrix.rank for matrix in made.written.matrices} == {A: 2, B: 5, C: 5}
    np.testing.assert_allclose(stored(tmp_path / "out", A) @ x.T, updates[A] @ x.T, atol=1e-4)


def test_structures_without_a_closed_form_are_no_candidates():
    updates = {"m": np.kron(np.eye(2), np.ones((2, 2))), "p": np.kron(np.eye(2), np.ones((2, 2)))}
    structures, cols = [lb.DiagonalLocal(2), lb.Kronecker(2, 2), lb.Global()], {"m": moment(4)}
    found = lb.plan(*checkpoints(updates), structures, rank=1, col_weights=cols)
    assert found.structures == {"m": lb.Global(), "p": lb.DiagonalLocal(2)}
    for structure, reason in (
        (lb.DiagonalLocal(2), "must be a vector"),
        (lb.Kronecker(2, 2), "closed form"),
    ):
        with pytest.raises(ValueError, match=f"structures must hold one that fits m, got none: .*{reason}"):
            lb.plan(*checkpoints(updates), [structure], rank=1, col_weights=cols)


def test_uniform_ranks_need_a_closed_form_too(tmp_path):
    base, tuned = checkpoints({"m.weight": np.eye(4)})
    options = {"rank": 1, "ranks": "uniform", "col_weights": {"m.weight": moment(4)}}
    with pytest.raises(ValueError, match=r"structure must fit m.weight: col_weights must be a vector"):
        lb.extract(base, tuned, tmp_path, structure=lb.Localized(2), **options)


REFUSED = {
    "unknown": (
        {"row_weights": {"z": np.ones(3)}},
        r"row_weights must be of the matrices .*'z'; such as 'a'",
    ),
    "bias": ({"col_weights": {"bias": np.ones(3)}}, r"col_weights .*'bias', which is left out: not 2-D"),
    "excluded": ({"col_weights": {"other": np.ones(3)}}, r"'other', which is left out: excluded"),
    "number": ({"row_weights": {3: np.ones(3)}}, r"row_weights must be of the matrices .*got 3"),
    "no mapping": (
        {"row_weights": np.ones(4)},
        r"row_weights must be a mapping .*ndarray; write row_weights=",
    ),
    "length": ({"row_weights": {"a": np.ones(3)}}, r"row_weights\['a'\] must be 4 weights.*got 3"),
    "sign": ({"col_weights": {"a": [1, -1, 1]}}, r"col_weights\['a'\] must be positive.*\[1\] = -1.0"),
    "nan": ({"col_weights": {"a": [1, np.nan, 1]}}, r"col_weights\['a'\] must be finite"),
    "ragged": ({"col_weights": {"a": [[1], [1, 2]]}}, r"col_weights\['a'\] must be a rectangular array"),
    "text": ({"col_weights": {"a": "much"}}, r"col_weights\['a'\] must be"),
    "indefinite": (
        {"col_weights": {"a": np.diag([1.0, 1, -1])}},
        r"col_weights\['a'\] must be positive semi",
    ),
    "samples": (
        {"col_weights": {"a": lb.Activations(np.ones((9, 4)))}},
        r"col_weights\['a'\] must have samples",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_weights_are_refused_by_name(tmp_path, name):
    weights, message = REFUSED[name]
    base = {"a": np.zeros((4, 3)), "b": np.zeros((3, 3)), "bias": np.zeros(3), "other": np.zeros((3, 3))}
    tuned = {key: value + 1 for key, value in base.items()}
    with pytest.raises((TypeError, ValueError), match=message):
        lb.plan(base, tuned, [lb.Global()], rank=1, exclude="other", **weights)
    with pytest.raises((TypeError, ValueError), match=message):
        lb.extract(base, tuned, tmp_path, structure=lb.Global(), rank=1, exclude="other", **weights)
    assert not list(tmp_path.iterdir())


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


def test_a_matrix_that_no_sample_sees_is_named_as_such():
    updates = {"a": np.diag([1.0, 0, 0]), "b": np.eye(3)}
    unseen = {"a": lb.Activations([[0.0, 1.0, 1.0]])}
    found = lb.plan(*checkpoints(updates), [lb.Global()], rank=1, col_weights=unseen)
    assert list(found.ranks) == ["b"]
    assert found.skipped == {"a": "unchanged, or zero under its weights"}


@pytest.mark.parametrize("unit", [1e300, 1.0, 1e-300])
@pytest.mark.parametrize("structure", [lb.Global(), lb.Localized(3, 1)], ids=repr)
def test_the_plain_error_is_certified(structure, unit):
    W = unit * np.random.default_rng(0).standard_normal((30, 20))
    for rank in (1, 5, 20):
        best = lb.approximate(W, structure, rank=rank, col_weights=moment(20))
        exact = np.zeros(W.shape, dtype=np.longdouble)
        for block, (b, a) in zip(best.blocks, best.factors, strict=True):
            exact[block.index] = b.astype(np.longdouble) @ a.astype(np.longdouble)
        error = np.sqrt(np.square(W - exact).sum())
        assert abs(best.plain.error - float(error)) <= best.plain.bound <= 1e-12 * best.plain.norm
