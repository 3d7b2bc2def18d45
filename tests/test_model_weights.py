"""Plans in the weighted norm, against its definition and every choice of structures and ranks."""

import itertools
import math

import numpy as np
import pytest
from test_plans import checkpoints
from weighted_models import STRUCTURES, WHOLE_ROWS, energy, moment, small, ways

import lowrank_blocks as lb


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
