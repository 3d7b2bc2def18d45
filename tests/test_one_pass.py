"""Ranks across a model in one pass: every matrix is read once, and its factors are the best of its ranks."""

import heapq
import math
from collections import Counter

import numpy as np
import pytest
from command import run
from pairs import contents
from safetensors.numpy import load_file, save_file

import lowrank_blocks as lb
from lowrank_blocks.checkpoints.updates import Updates, iter_updates
from lowrank_blocks.models.journal import Journal
from lowrank_blocks.models.spectra import SpectraJob
from lowrank_blocks.models.work import gathered
from lowrank_blocks.solver.direct import LeadingFactors

SHAPES = {"a.query.weight": (96, 128), "b.query.weight": (200, 80), "c.query.weight": (80, 80)}


def power(rng, m, n, exponent):
    """Return a matrix with singular values of a power law."""
    u, v = (np.linalg.qr(rng.standard_normal((length, min(m, n))))[0] for length in (m, n))
    return (u * np.arange(1, min(m, n) + 1.0) ** -exponent) @ v.T


def write_pair(folder, scales=(1.0, 2.0, 0.5), dtype=np.float32):
    """Write a pair of checkpoints, and return the differences that they hold, in float64."""
    rng = np.random.default_rng(0)
    base = {name: rng.standard_normal(shape).astype(dtype) for name, shape in SHAPES.items()}
    tuned = {
        name: (w + scale * power(rng, *w.shape, 0.4)).astype(dtype)
        for (name, w), scale in zip(base.items(), scales, strict=True)
    }
    save_file(base, folder / "base.safetensors")
    save_file(tuned, folder / "tuned.safetensors")
    return {name: (tuned[name] - base[name]).astype(np.float64) for name in base}


def sides(folder):
    return str(folder / "base.safetensors"), str(folder / "tuned.safetensors")


def greedy(updates, budget):
    """Buy the values of most energy a number while they fit; one matrix at a time, by heap."""
    spectra = {name: np.linalg.svd(dW, compute_uv=False) ** 2 / sum(dW.shape) for name, dW in updates.items()}
    queue = [(-s[0], name, 0) for name, s in spectra.items()]
    heapq.heapify(queue)
    ranks, spent = dict.fromkeys(updates, 0), 0
    while queue:
        _, name, k = heapq.heappop(queue)
        spent += sum(updates[name].shape)
        if spent > budget:
            return ranks, spent - sum(updates[name].shape)
        ranks[name] = k + 1
        if k + 1 < len(spectra[name]):
            heapq.heappush(queue, (-spectra[name][k + 1], name, k + 1))
    return ranks, spent


@pytest.fixture
def reads(monkeypatch):
    """Count how often every update is read."""
    counted, read = Counter(), Updates.read

    def counting(self, name):
        counted[name] += 1
        return read(self, name)

    monkeypatch.setattr(Updates, "read", counting)
    return counted


def stored(folder, name):
    tensors = load_file(folder / "adapter_model.safetensors")
    a, b = (next(v for k, v in tensors.items() if f"{name[:-7]}.lora_{s}" in k) for s in "AB")
    return b.astype(np.float64) @ a


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rank", [1, 4, 8])
def test_factors_are_the_best_of_the_best_ranks_after_one_pass(tmp_path, reads, rank, dtype):
    updates = write_pair(tmp_path, dtype=dtype)
    most = rank * sum(sum(shape) for shape in SHAPES.values())
    ranks, budget = greedy(updates, most)  # at what it spends, nothing is better
    made = lb.extract(*sides(tmp_path), tmp_path / "out", structure=lb.Global(), budget=budget)
    assert reads == dict.fromkeys(SHAPES, 1)
    assert made.plan.ranks == ranks
    assert made.plan.guarantee == "optimal ranks"
    total = sum(float(np.square(dW).sum()) for dW in updates.values())
    left = 0.0
    for name, dW in updates.items():
        least = np.square(np.linalg.svd(dW, compute_uv=False)[ranks[name] :]).sum()
        if ranks[name]:
            error = np.linalg.norm(dW - stored(tmp_path / "out", name))
            assert error == pytest.approx(math.sqrt(least), abs=1e-7 * np.linalg.norm(dW))
        left += float(least)
    assert made.relative_error == pytest.approx(math.sqrt(left / total), abs=1e-8)
    assert made.plan.relative_error == pytest.approx(math.sqrt(left / total), abs=1e-8)


def test_where_one_matrix_gets_all_its_values_are_deepened(tmp_path, reads):
    updates = write_pair(tmp_path, scales=(1e3, 1.0, 1.0))
    made = lb.extract(*sides(tmp_path), tmp_path / "out", structure=lb.Global(), budget=20 * (96 + 128))
    assert made.plan.ranks == dict(zip(SHAPES, (20, 0, 0), strict=True))
    assert reads == dict(zip(SHAPES, (3, 2, 2), strict=True))  # all deepened; then the factors of one
    dW = updates["a.query.weight"]
    least = np.linalg.norm(np.linalg.svd(dW, compute_uv=False)[20:])
    error = np.linalg.norm(dW - stored(tmp_path / "out", "a.query.weight"))
    assert error == pytest.approx(least, abs=1e-7 * np.linalg.norm(dW))


@pytest.mark.parametrize("structure", [lb.Global(), lb.DiagonalLocal(4), lb.Localized(3, 2)], ids=repr)
@pytest.mark.parametrize("rank", [1, 3, 30])
def test_one_pass_makes_what_two_passes_make(tmp_path, structure, rank):
    write_pair(tmp_path)
    plan = lb.plan(*sides(tmp_path), [structure], rank=rank)
    once = lb.extract(*sides(tmp_path), tmp_path / "once", structure=structure, rank=rank)
    twice = lb.extract(*sides(tmp_path), tmp_path / "twice", plan=plan)
    assert once.plan.ranks == plan.ranks
    assert once.relative_error == pytest.approx(twice.relative_error, abs=1e-8)
    assert once.plan.lower_bound == pytest.approx(plan.lower_bound, abs=1e-8)
    one, two = (load_file(tmp_path / out / "adapter_model.safetensors") for out in ("once", "twice"))
    assert one.keys() == two.keys()
    for key in {key.replace("lora_A", "lora_B") for key in one}:
        products = [found[key] @ found[key.replace("lora_B", "lora_A")] for found in (one, two)]
        assert products[0] == pytest.approx(products[1], abs=1e-5)


@pytest.mark.parametrize(
    "structure", [lb.Global(), lb.Localized(3, 2), lb.Localized((0, 5, 80), 2)], ids=repr
)
def test_factors_come_out_of_the_journal_as_they_went_in(tmp_path, structure):
    rng = np.random.default_rng(0)
    change = rng.standard_normal((80, 66)).astype(np.float32)
    updates = iter_updates({"a": np.zeros((80, 66), np.float32)}, {"a": change})
    job, journal = SpectraJob(updates, (structure,), (2.0,), with_factors=True), Journal(tmp_path)
    ((found,),) = gathered([job])
    ((again,),) = gathered([job], journal=journal)
    assert found.factors is not None
    for name in ("costs", "left", "ceilings"):
        assert getattr(found, name).tobytes() == getattr(again, name).tobytes()
    assert found.values.flat.tobytes() == again.values.flat.tobytes()
    assert (found.unit, found.outside) == (again.unit, again.outside)
    ranks = (np.asarray(found.values.lengths) - 1).tolist()
    here, there = found.factors.truncate(ranks), again.factors.truncate(ranks)
    assert here.accuracy == there.accuracy
    assert (here.error, here.relative_error) == (there.error, there.relative_error)
    for pair, other in zip(here.factors, there.factors, strict=True):
        assert [f.tobytes() for f in pair] == [f.tobytes() for f in other]


def test_factors_that_the_journal_holds_are_not_held_in_memory(tmp_path):
    change = np.random.default_rng(0).standard_normal((80, 66))
    updates = iter_updates({"a": np.zeros((80, 66))}, {"a": change})
    job, journal = SpectraJob(updates, (lb.Global(),), (2.0,), with_factors=True), Journal(tmp_path)
    for _ in range(2):  # written, and found
        ((held,),) = gathered([job], journal=journal)
        assert not any(isinstance(getattr(held, name), LeadingFactors) for name in vars(held))
        assert isinstance(held.factors, LeadingFactors)
    journal.close()
    assert held.factors is None


def test_factors_that_the_journal_has_lost_are_computed_anew(tmp_path, reads, monkeypatch):
    updates = write_pair(tmp_path)
    monkeypatch.setattr(Journal, "read", lambda *_: None)
    made = lb.extract(*sides(tmp_path), tmp_path / "out", structure=lb.Global(), rank=4)
    assert reads == dict.fromkeys(SHAPES, 2)
    for name, dW in updates.items():
        least = np.linalg.norm(np.linalg.svd(dW, compute_uv=False)[made.plan.ranks[name] :])
        error = np.linalg.norm(dW - stored(tmp_path / "out", name))
        assert error == pytest.approx(least, abs=1e-7 * np.linalg.norm(dW))


def test_spectra_with_factors_are_another_entry_of_the_journal():
    updates = iter_updates({"a": np.zeros((4, 4))}, {"a": np.eye(4)})
    keys = {SpectraJob(updates, (lb.Global(),), (2.0,), kept).key for kept in (False, True)}
    assert len(keys) == 2


@pytest.mark.parametrize("interrupted_after", [1, 2, 3])
def test_an_interrupted_extraction_is_the_same_bytes_in_the_end(tmp_path, monkeypatch, interrupted_after):
    write_pair(tmp_path)
    whole, again = tmp_path / "whole", tmp_path / "again"
    lb.extract(*sides(tmp_path), whole, structure=lb.Localized(2), rank=2)
    write, written = Journal.write, []

    def interrupted(self, key, arrays):
        write(self, key, arrays)
        written.append(key)
        if len(written) == interrupted_after:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lb.extract(*sides(tmp_path), again, structure=lb.Localized(2), rank=2)
    assert len(Journal(again)) == interrupted_after
    lb.extract(*sides(tmp_path), again, structure=lb.Localized(2), rank=2)
    assert contents(again) == contents(whole)
    assert len(set(written)) == len(written) == 3  # what was finished was not done again


def test_workers_make_the_same_bytes(tmp_path):
    write_pair(tmp_path)
    base, tuned = sides(tmp_path)
    for out, more in (("alone", []), ("together", ["--workers", "2"])):
        options = ["--blocks", "3", "--structure", "localized", "--rank", "2", *more]
        assert run("extract", "--base", base, "--tuned", tuned, *options, "--out", str(tmp_path / out)) == 0
    assert contents(tmp_path / "alone") == contents(tmp_path / "together")
