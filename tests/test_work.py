"""Work on one matrix after another: order, failures, lost workers, and the journal of finished work."""

import contextlib
import os
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

import lowrank_blocks as lb
from lowrank_blocks.checkpoints.updates import iter_updates
from lowrank_blocks.models.journal import NAME, Journal
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
    assert not (tmp_path / NAME).exists()
    assert gathered(squares(1), journal=journal) == gathered(squares(1), journal=Journal(tmp_path)) == [1]
    assert (tmp_path / NAME).exists()


def ends_of_entries(folder, *numbers):
    """Write the squares of some numbers, and return where the file ends after each."""
    ends = []
    for number in numbers:
        gathered(squares(number), journal=Journal(folder))
        ends.append((folder / NAME).stat().st_size)
    return ends


def damaged(folder, place):
    """Change one bit of the journal, work on the same numbers, and return which were done again."""
    path, log = folder / NAME, folder / "log"
    whole = bytearray(path.read_bytes())
    whole[place] ^= 1
    path.write_bytes(whole)
    assert gathered(squares(5, 6, 7, log=str(log)), journal=Journal(folder)) == [25, 36, 49]
    assert gathered(squares(5, 6, 7, log="/nowhere/else"), journal=Journal(folder)) == [25, 36, 49]
    return log.read_text().split()


def test_damaged_entries_are_done_again(tmp_path):
    """Without a header nothing of what follows is found; where numbers are damaged, the rest is."""
    ends = ends_of_entries(tmp_path, 5, 6, 7)
    whole = (tmp_path / NAME).read_bytes()
    header = whole[ends[0] :].index(b"[[")
    for place in range(ends[0], ends[1]):
        (tmp_path / NAME).write_bytes(whole)
        (tmp_path / "log").unlink(missing_ok=True)
        assert damaged(tmp_path, place) == (["6", "7"] if place < ends[0] + header else ["6"])


def test_an_entry_that_was_changed_since_it_was_written_is_not_read(tmp_path):
    """As by another run in the same folder."""
    journal = Journal(tmp_path)
    journal.write("key", {"numbers": np.arange(3.0)})
    assert journal.read("key")["numbers"].tolist() == [0, 1, 2]
    whole = bytearray((tmp_path / NAME).read_bytes())
    whole[-1] ^= 1
    (tmp_path / NAME).write_bytes(whole)
    assert journal.read("key") is None


def test_what_was_cut_off_is_done_again(tmp_path):
    """Wherever the writing stopped, also within a header; and what follows is found afterwards."""
    ends = ends_of_entries(tmp_path, 5, 6)
    whole = (tmp_path / NAME).read_bytes()
    for length in range(ends[1] + 1):
        (tmp_path / NAME).write_bytes(whole[:length])
        kept = sum(length >= end for end in ends)
        journal = Journal(tmp_path)
        assert len(journal) == kept
        assert gathered(squares(5, 6, 7)[kept:], journal=journal) == [25, 36, 49][kept:]
        assert gathered(squares(5, 6, 7, log="/nowhere/else"), journal=Journal(tmp_path)) == [25, 36, 49]


def test_what_cannot_be_written_leaves_the_entries_before(tmp_path, monkeypatch):
    """And the next entry takes its place."""
    journal = Journal(tmp_path)
    gathered(squares(5), journal=journal)
    before = (tmp_path / NAME).read_bytes()
    monkeypatch.setattr(type(tmp_path), "open", half_written)
    with pytest.raises(OSError, match="full"):
        gathered(squares(6), journal=journal)
    monkeypatch.undo()
    assert (tmp_path / NAME).read_bytes()[: len(before)] == before
    assert len((tmp_path / NAME).read_bytes()) > len(before)
    assert len(Journal(tmp_path)) == 1
    gathered(squares(7), journal=journal)
    assert gathered(squares(5, 7, log="/nowhere/else"), journal=Journal(tmp_path)) == [25, 49]


@contextlib.contextmanager
def half_written(path, mode):
    """Open a file on a disk that is full after half of what is written."""
    with open(path, mode) as file:
        write = file.write

        class Full:
            def __getattr__(self, name):
                return getattr(file, name)

            def write(self, content):
                write(bytes(content)[: len(content) // 2])
                raise OSError("full")

        yield Full()


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
