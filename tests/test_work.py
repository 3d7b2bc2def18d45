"""Work on one matrix after another: order, failures, lost workers, and the journal of finished work."""

import os
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

import lowrank_blocks as lb
from lowrank_blocks.checkpoints.updates import iter_updates
from lowrank_blocks.models.journal import FOLDER, Journal
from lowrank_blocks.models.spectra import SpectraJob
from lowrank_blocks.models.work import Failure, Job, gathered


@dataclass(frozen=True)
class Square(Job):
    """Squares a number, and notes in a file that it did."""

    number: int
    log: str = os.devnull
    fatal_in: int = 0  # ends a process other than this one

    @property
    def name(self):
        return str(self.number)

    @property
    def key(self):
        return f"square {self.number}"

    def run(self):
        if self.fatal_in and os.getpid() != self.fatal_in:
            os._exit(1)
        with open(self.log, "a") as log:
            print(self.number, file=log)
        if self.number < 0:
            raise ValueError(f"number must be positive, got {self.number}")
        return self.number**2

    def packed(self, result):
        return {"square": np.array([result])}

    def unpacked(self, arrays):
        return int(arrays["square"][0])


def squares(*numbers, **options):
    return [Square(number, **options) for number in numbers]


@pytest.fixture(params=[None, ThreadPoolExecutor, ProcessPoolExecutor])
def executor(request):
    if request.param is None:
        yield None
        return
    with request.param(2) as pool:
        yield pool


def test_results_are_in_the_order_of_the_jobs(executor):
    assert gathered(squares(*range(9)), executor=executor) == [k**2 for k in range(9)]


def test_a_failure_does_not_stop_the_others(executor):
    found = gathered(squares(3, -1, 2), executor=executor)
    assert found == [9, Failure("number must be positive, got -1"), 4]


def test_lost_workers_lose_nothing():
    jobs = squares(*range(6), fatal_in=os.getpid())
    with ProcessPoolExecutor(2) as pool, pytest.warns(RuntimeWarning, match="the workers were lost"):
        assert gathered(jobs, executor=pool) == [k**2 for k in range(6)]


def test_finished_work_is_not_done_again(tmp_path):
    log = str(tmp_path / "log")
    journal = Journal(tmp_path)
    first = gathered(squares(1, 2, -3, log=log), journal=journal)
    again = gathered(squares(1, 2, -3, 4, log=log), journal=journal)
    assert first == [1, 4, Failure("number must be positive, got -3")]
    assert again == [*first, 16]
    assert (tmp_path / "log").read_text().split() == ["1", "2", "-3", "-3", "4"]
    journal.close()
    assert not (tmp_path / FOLDER).exists()


DAMAGED = {
    "empty": lambda whole: b"",
    "noise": lambda whole: b"noise",
    "half": lambda whole: whole[: len(whole) // 2],
    "a bit of a number": lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]),
    "a bit of the hash": lambda whole: bytes([whole[0] ^ 1]) + whole[1:],
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_damaged_entries_are_done_again(tmp_path, damage):
    journal = Journal(tmp_path)
    gathered(squares(5), journal=journal)
    (entry,) = (tmp_path / FOLDER).iterdir()
    entry.write_bytes(damage(entry.read_bytes()))
    assert gathered(squares(5), journal=journal) == [25]
    assert gathered(squares(5, log="/nowhere/else"), journal=journal) == [25]  # read, not done


def test_an_interrupt_keeps_what_is_finished(tmp_path):
    class Interrupted(Square):
        def run(self):
            raise KeyboardInterrupt

    journal = Journal(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        gathered([*squares(1, 2), Interrupted(3)], journal=journal)
    assert gathered(squares(1, 2, log="/nowhere/else"), journal=journal) == [1, 4]


def test_spectra_come_out_of_the_journal_as_they_went_in(tmp_path):
    rng = np.random.default_rng(0)
    updates = iter_updates({"a": np.zeros((6, 4))}, {"a": rng.standard_normal((6, 4))})
    job = SpectraJob(updates, (lb.Global(), lb.DiagonalLocal(2)), (1.0, 1.0))
    journal = Journal(tmp_path)
    (found,) = gathered([job], journal=journal)
    assert not isinstance(found, Failure)
    (stored,) = gathered([job], journal=journal)
    for before, after in zip(found, stored, strict=True):
        assert before.structure == after.structure
        assert (before.unit, before.outside) == (after.unit, after.outside)
        for name in ("costs", "left", "ceilings"):
            assert getattr(before, name).tolist() == getattr(after, name).tolist()
            assert getattr(before, name).dtype == getattr(after, name).dtype
        assert [s.tolist() for s in before.values] == [s.tolist() for s in after.values]


def test_plans_are_the_same_wherever_they_are_made(executor):
    rng = np.random.default_rng(0)
    base = {f"layer {k}": np.zeros((8, 6)) for k in range(5)}
    tuned = {name: rng.standard_normal((8, 6)) for name in base}
    structures = [lb.Global(), lb.Localized(2)]
    here = lb.compare_checkpoints(base, tuned, structures, rank=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        there = lb.compare_checkpoints(base, tuned, structures, rank=1, executor=executor)
    assert there.to_json() == here.to_json()
    assert there.to_markdown() == here.to_markdown()
