"""Work under weights that is interrupted, shared and kept: the journal and the workers know the weights."""

import numpy as np
import pytest
from pairs import contents, interrupt
from test_one_pass import sides, write_pair
from test_plans import checkpoints
from weighted_models import WHOLE_ROWS, moment, small, weights_of_pair

import lowrank_blocks as lb
from lowrank_blocks.checkpoints.updates import iter_updates
from lowrank_blocks.models.factors import FactorJob
from lowrank_blocks.models.journal import Journal
from lowrank_blocks.models.plain import PlainJob
from lowrank_blocks.models.spectra import SpectraJob
from lowrank_blocks.models.weighing import model_weights
from lowrank_blocks.models.workers import processes


@pytest.mark.parametrize("interrupted_after", [1, 3, 5])
def test_an_interrupted_run_goes_on_to_the_same_bytes(tmp_path, monkeypatch, interrupted_after):
    write_pair(tmp_path)
    options = {"structure": WHOLE_ROWS, "rank": 3, **weights_of_pair()}
    lb.extract(*sides(tmp_path), tmp_path / "whole", **options)
    written = interrupt(monkeypatch, interrupted_after)
    with pytest.raises(KeyboardInterrupt):
        lb.extract(*sides(tmp_path), tmp_path / "again", **options)
    assert len(Journal(tmp_path / "again")) == interrupted_after
    lb.extract(*sides(tmp_path), tmp_path / "again", **options)
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")
    assert len(set(written)) == len(written) == 6  # what was finished was not done again


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
        PlainJob(updates, ((lb.Global(), (2,)),), sent),
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
