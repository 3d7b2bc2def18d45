"""Plans for whole models, against brute force over structures and ranks."""

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import block_costs, block_spectra, diagonal, grid, outside_energy

import lowrank_blocks as lb
from lowrank_blocks.checkpoints.updates import iter_updates
from lowrank_blocks.models import assignments, candidates, closing
from lowrank_blocks.models.spectra import ModelSpectra, SpectraJob

STRUCTURES = {
    lb.Global(): lambda m, n: grid(1, 1, m, n),
    lb.DiagonalLocal(2): lambda m, n: diagonal(2, m, n),
    lb.Localized(2): lambda m, n: grid(2, 2, m, n),
}


def checkpoints(updates):
    """Return a base of small integers, and the base plus the updates."""
    base = {name: np.full(dW.shape, float(k % 3)) for k, (name, dW) in enumerate(updates.items())}
    return base, {name: base[name] + dW for name, dW in updates.items()}


def ways(W, structures):
    """Return the least energy for every count of numbers that some structure and ranks store."""
    m, n = W.shape
    least = {}
    for structure in structures:
        blocks = STRUCTURES[structure](m, n)
        spectra, costs, outside = block_spectra(W, blocks), block_costs(blocks), outside_energy(W, blocks)
        for ranks in itertools.product(*(range(len(s) + 1) for s in spectra)):
            count = sum(r * c for r, c in zip(ranks, costs, strict=True))
            energy = outside + sum(float(np.sum(s[r:] ** 2)) for s, r in zip(spectra, ranks, strict=True))
            least[count] = min(energy, least.get(count, math.inf))
    return least


def least_energy(matrices, structures, budget):
    """Return the least energy that any structures and ranks within a budget leave."""
    states = {0: 0.0}
    for W in matrices:
        new = {}
        for (a, before), (b, more) in itertools.product(states.items(), ways(W, structures).items()):
            if a + b <= budget and before + more < new.get(a + b, math.inf):
                new[a + b] = before + more
        states = new
    return min(states.values())


@st.composite
def models(draw):
    entries = st.integers(-3, 3).map(float)
    shapes = draw(st.lists(st.tuples(st.integers(2, 4), st.integers(2, 4)), min_size=1, max_size=3))
    updates = {}
    for k, (m, n) in enumerate(shapes):
        rows = draw(st.lists(st.lists(entries, min_size=n, max_size=n), min_size=m, max_size=m))
        updates[f"layer {k}"] = np.array(rows)
        updates[f"layer {k}"][0, 0] += 0.5  # never zero
    structures = draw(st.lists(st.sampled_from(list(STRUCTURES)), min_size=1, unique=True))
    return updates, structures, draw(st.integers(0, 2 * sum(m * n for m, n in shapes)))


@given(models())
def test_no_structures_and_ranks_beat_the_bound(model):
    updates, structures, budget = model
    norm = math.sqrt(sum(float(np.sum(dW**2)) for dW in updates.values()))
    optimum = math.sqrt(max(0.0, least_energy(updates.values(), structures, budget))) / norm

    found = lb.plan(*checkpoints(updates), structures, budget=budget)

    assert found.n_parameters <= budget
    assert found.lower_bound <= optimum + 1e-7 <= found.relative_error + 2e-7
    assert found.guarantee == "optimal ranks"  # for so few choices the search is exhaustive
    assert found.relative_error == pytest.approx(optimum, abs=1e-7)


@pytest.mark.parametrize("most", [0, 1 << 18])
def test_between_points_of_the_hull_a_search_closes_the_gap(monkeypatch, most):
    """Without it some plans are off; with it none is, and all are known to be the optimum."""
    monkeypatch.setattr(closing, "_MANY_STATES", most)
    rng, off, open_gaps = np.random.default_rng(0), 0, 0
    for _ in range(30):
        updates = {
            f"layer {m}×{n}": rng.standard_normal((m, n)) * rng.uniform(0.5, 2)
            for m, n in [(4, 4), (2, 4), (3, 3), (4, 2)]
        }
        budget = int(rng.integers(10, 50))
        found = lb.plan(*checkpoints(updates), list(STRUCTURES), budget=budget)
        norm2 = sum(float(np.sum(dW**2)) for dW in updates.values())
        optimum = math.sqrt(least_energy(updates.values(), list(STRUCTURES), budget) / norm2)
        assert found.lower_bound <= optimum + 1e-12
        off += found.relative_error > optimum + 1e-9
        open_gaps += found.guarantee != "optimal ranks"
        assert found.guarantee != "optimal ranks" or found.relative_error == pytest.approx(optimum, abs=1e-12)
    assert (off > 3, open_gaps > 15) == ((True, True) if most == 0 else (False, False))
    assert most == 0 or off == open_gaps == 0


@given(models())
def test_the_plan_is_what_its_structures_and_ranks_leave(model):
    updates, structures, budget = model
    found = lb.plan(*checkpoints(updates), structures, budget=budget)

    left, stored = 0.0, 0
    for name, dW in updates.items():
        blocks = STRUCTURES[found.structures[name]](*dW.shape)
        ranks = found.ranks[name] if isinstance(found.ranks[name], tuple) else (found.ranks[name],)
        spectra = block_spectra(dW, blocks)
        energy = outside_energy(dW, blocks) + sum(
            float(np.sum(s[r:] ** 2)) for s, r in zip(spectra, ranks, strict=True)
        )
        count = sum(r * c for r, c in zip(ranks, block_costs(blocks), strict=True))
        assert found.stored[name] == count
        assert found.relative_errors[name] == pytest.approx(math.sqrt(energy / np.sum(dW**2)), abs=1e-7)
        left, stored = left + energy, stored + count
    norm2 = sum(float(np.sum(dW**2)) for dW in updates.values())
    assert found.n_parameters == stored
    assert found.relative_error == pytest.approx(math.sqrt(left / norm2), abs=1e-7)


@given(models())
def test_the_plan_is_no_worse_than_any_structure_alone(model):
    updates, structures, budget = model
    base, tuned = checkpoints(updates)
    found = lb.plan(base, tuned, structures, budget=budget)
    for structure in structures:
        parts = {name: lb.decompose(dW, structure) for name, dW in updates.items()}
        alone = lb.allocate_ranks(parts, budget=budget)
        assert found.relative_error <= alone.relative_error + 1e-9
        assert lb.plan(base, tuned, [structure], budget=budget).ranks == alone.ranks


@settings(max_examples=10)
@given(models())
def test_counts_of_the_hull_are_the_optimum(model):
    updates, structures, _ = model
    base, tuned = checkpoints(updates)
    norm = math.sqrt(sum(float(np.sum(dW**2)) for dW in updates.values()))
    curve = lb.compare_checkpoints(base, tuned, structures, rank=1).curves["plan"]
    for count, error in list(zip(curve.n_parameters.tolist(), curve.relative_error.tolist(), strict=True))[
        :6
    ]:
        optimum = math.sqrt(max(0.0, least_energy(updates.values(), structures, count))) / norm
        assert error == pytest.approx(optimum, abs=1e-7)
        assert lb.plan(base, tuned, structures, budget=count).relative_error == pytest.approx(error, abs=1e-7)


def power(rng, m, n, exponent):
    """Return a matrix whose singular values fall with a power of their index."""
    k = min(m, n)
    left, right = (np.linalg.qr(rng.standard_normal((side, k)))[0] for side in (m, n))
    return (left * np.arange(1, k + 1.0) ** -exponent) @ right.T


def large():
    rng = np.random.default_rng(0)
    shapes = [(96, 96), (128, 80), (80, 160)]
    updates = {  # of different sizes: of equal values rounding would choose one
        f"layer {k}": (1 + k / 50) * power(rng, *shapes[k % 3], (0.3, 1.0)[k // 3]) for k in range(6)
    }
    updates["low rank"] = power(rng, 90, 90, 0.5)
    updates["low rank"] = updates["low rank"][:, :3] @ updates["low rank"][:3]
    return updates


@pytest.mark.parametrize("rank", [1, 4, 30])
def test_leading_values_give_the_plan_of_whole_spectra(monkeypatch, rank):
    updates = large()
    base, tuned = checkpoints(updates)
    structures = [lb.Global(), lb.DiagonalLocal(2), lb.Localized(2)]
    whole = lb.compare_checkpoints(base, tuned, structures, rank=rank)
    monkeypatch.setattr(candidates, "_WHOLE_BELOW", 0)
    monkeypatch.setattr(candidates, "_LEADING_SHARE", 1)

    leading = lb.compare_checkpoints(base, tuned, structures, rank=rank)

    for way, found in whole.plans.items():
        other = leading.plans[way]
        for name in set(updates) - {"low rank"}:  # ranks above 3 of that one keep nothing but rounding
            assert other.ranks[name] == found.ranks[name]
        assert (other.structures, other.guarantee) == (found.structures, found.guarantee)
        assert other.relative_error == pytest.approx(found.relative_error, abs=1e-10)
        assert other.lower_bound == pytest.approx(found.lower_bound, abs=1e-10)


def test_leading_values_are_deepened_where_all_of_the_budget_goes_to_one_matrix(monkeypatch):
    monkeypatch.setattr(candidates, "_WHOLE_BELOW", 0)
    monkeypatch.setattr(candidates, "_LEADING_SHARE", 1)
    rng = np.random.default_rng(0)
    updates = {"large": 1e3 * power(rng, 90, 90, 0.1)} | {
        f"small {k}": power(rng, 90, 90, 0.1) for k in range(9)
    }

    found = lb.plan(*checkpoints(updates), [lb.Global()], rank=4)

    assert found.ranks == {"large": 40} | {f"small {k}": 0 for k in range(9)}
    assert found.guarantee == "optimal ranks"


def test_zero_and_unusable_matrices_are_named():
    updates = {"good": np.eye(3), "still": np.zeros((3, 3)), "bad": np.full((3, 3), np.nan)}
    base, tuned = checkpoints(updates)
    with pytest.warns(RuntimeWarning, match="bad is left out: .*finite"):
        found = lb.plan(base, tuned, [lb.Global()], rank=1)
    assert list(found.ranks) == ["good"]
    assert found.budget == 6
    assert found.skipped == {"still": "unchanged"}
    assert "finite" in found.failed["bad"]


def test_structures_that_do_not_fit_are_no_candidates():
    updates = {"wide": np.ones((2, 9)), "square": np.eye(4)}
    found = lb.plan(*checkpoints(updates), [lb.DiagonalLocal(4), lb.Global()], rank=2)
    assert found.structures == {"wide": lb.Global(), "square": lb.DiagonalLocal(4)}
    assert found.relative_error == 0
    with pytest.raises(ValueError, match="structures must hold one that fits wide, got none"):
        lb.plan(*checkpoints(updates), [lb.DiagonalLocal(4)], rank=2)


@pytest.mark.parametrize(
    ("structures", "error"),
    [
        ([], "structures must hold at least one structure"),
        ("global", "structures must be a sequence of structures, got 'global'"),
        ([lb.Global(), 4], r"structures\[1\] must be a structure"),
    ],
)
def test_bad_structures_are_named(structures, error):
    with pytest.raises((TypeError, ValueError), match=error):
        lb.plan(*checkpoints({"a": np.eye(2)}), structures, rank=1)


def test_a_budget_or_a_rank_must_be_given():
    with pytest.raises(TypeError, match="budget"):
        lb.plan(*checkpoints({"a": np.eye(2)}), [lb.Global()])


def test_unchanged_checkpoints_have_no_plan():
    with pytest.raises(ValueError, match="a matrix must have changed and be usable, got none; a: unchanged"):
        lb.plan(*checkpoints({"a": np.zeros((2, 2))}), [lb.Global()], rank=1)


def test_huge_and_tiny_updates_share_a_budget():
    updates = {"huge": 1e300 * np.eye(3), "tiny": 1e-300 * np.eye(3)}
    base = {name: np.zeros((3, 3)) for name in updates}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = lb.plan(base, updates, [lb.Global(), lb.DiagonalLocal(3)], budget=6)
    assert found.structures["huge"] == lb.DiagonalLocal(3)
    assert found.ranks == {"huge": (1, 1, 1), "tiny": 0} or found.relative_error == 0


def test_equal_values_and_no_budget_do_not_ask_for_more_values_for_ever(monkeypatch):
    monkeypatch.setattr(candidates, "_WHOLE_BELOW", 0)
    monkeypatch.setattr(candidates, "_LEADING_SHARE", 1)
    orthogonal = np.linalg.qr(np.random.default_rng(0).standard_normal((90, 90)))[0]
    for budget, rank in ((0, 0), (179, 0), (180, 1), (7200, 40)):
        found = lb.plan({"a": np.zeros((90, 90))}, {"a": orthogonal}, [lb.Global()], budget=budget)
        assert found.ranks == {"a": rank}


def test_a_poor_answer_is_not_called_optimal_however_small_its_error(monkeypatch):
    search = assignments._Search
    monkeypatch.setattr(search, "promising", lambda self: iter([(1,) * len(self.matrices)]))
    monkeypatch.setattr(search, "swapped", lambda self, best: best)
    monkeypatch.setattr(search, "closed", lambda self, best: (best, False))
    for tail in (1e-3, 1e-7, 1e-10):  # of the norm: the energy that is missed is its square
        change = np.diag([1.0, 0.0, 1.0, 0.0]) + tail * np.random.default_rng(0).standard_normal((4, 4))
        found = lb.plan({"a": np.zeros((4, 4))}, {"a": change}, [lb.Global(), lb.Localized(2)], budget=16)
        best = math.sqrt(least_energy([change], [lb.Global(), lb.Localized(2)], 16)) / np.linalg.norm(change)
        assert found.relative_error > 1.1 * best
        assert found.guarantee == "greedy ranks"
        assert found.lower_bound <= best * (1 + 1e-9)


def test_a_matrix_that_cannot_be_read_again_is_named(monkeypatch):
    monkeypatch.setattr(candidates, "_WHOLE_BELOW", 0)
    monkeypatch.setattr(candidates, "_LEADING_SHARE", 1)
    updates = iter_updates(*checkpoints({"a": power(np.random.default_rng(0), 90, 90, 0.1), "b": np.eye(90)}))
    known = ModelSpectra(updates, (lb.Global(),), 1.0)
    assert set(known.candidates) == {"a", "b"}
    monkeypatch.setattr(SpectraJob, "run", lambda self: (_ for _ in ()).throw(ValueError("it is gone")))
    with pytest.raises(ValueError, match="a must be readable twice, got: it is gone"):
        known.deepen({"a": [lb.Global()]})
