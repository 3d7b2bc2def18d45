"""Threads: the same bits for any number of workers, and on a machine that is busy."""

import itertools
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import lowrank_blocks as lb
from lowrank_blocks.linalg import threads

pytestmark = pytest.mark.exhaustive


@pytest.fixture(autouse=True)
def default_workers():
    yield
    lb.set_workers(None)


@contextmanager
def busy_machine():
    spin = [sys.executable, "-c", "while True: pass"]
    children = [subprocess.Popen(spin) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()


def everything(matrix):
    """Return all numbers of several results, as bytes."""
    grid = lb.decompose(matrix, lb.Localized(4))
    lone = lb.decompose(matrix, lb.Global())
    made = [
        lb.approximate(matrix, lb.Global(), lb.rank_budget(matrix.shape, 9)),
        lb.approximate(matrix, lb.Localized(3), lb.rank_budget(matrix.shape, 30), allocate=lb.uniform),
        grid.within(lb.rank_budget(matrix.shape, 30)),
    ]
    arrays = [*grid.spectra, *lone.spectra, *(f for a in made for pair in a.factors for f in pair)]
    return b"".join(a.tobytes() for a in arrays)


def matrix():
    rng = np.random.default_rng(1)
    return rng.standard_normal((560, 530)) * np.linspace(1, 0.01, 530)


def test_results_do_not_depend_on_the_workers():
    seen = set()
    for count in (1, 2, 3):
        lb.set_workers(count)
        seen.add(everything(matrix()))
    assert len(seen) == 1


def test_results_do_not_depend_on_other_processes():
    idle = everything(matrix())
    with busy_machine():
        assert everything(matrix()) == everything(matrix()) == idle


def test_the_comparison_of_results_sees_one_bit():
    """Two results that differ in the last bit of one entry are not taken for equal."""
    one, other = matrix(), matrix()
    other[0, 0] = np.nextafter(other[0, 0], np.inf)
    assert everything(one) != everything(other)


def test_work_within_a_worker_is_serial(monkeypatch):
    lb.set_workers(2)
    pool, asked, both = threads._pool, [], threading.Barrier(2)
    monkeypatch.setattr(threads, "_pool", lambda: (asked.append(1), pool())[1])

    def nested(i):
        both.wait(10)
        return threads.parallel(lambda j: 10 * i + j, range(3))

    assert threads.parallel(nested, range(2)) == [[0, 1, 2], [10, 11, 12]]
    assert len(asked) == 1
    threads.parallel(abs, range(3))
    assert len(asked) == 2


@pytest.mark.parametrize("first", [0, 1, 5])
def test_errors_cross_threads(first):
    """The error of the first item that fails is raised, and no item after it is begun."""
    lb.set_workers(2)
    begun, both = [], threading.Barrier(2)

    def fail(item):
        begun.append(item)
        if item >= first:
            both.wait(10)
            raise KeyError(item)

    with pytest.raises(KeyError, match=str(first)):
        threads.parallel(fail, range(10))
    assert sorted(begun) == list(range(first + 2))
    assert threads.parallel(abs, range(-3, 0)) == [3, 2, 1]


def test_an_interrupt_is_raised_before_an_error():
    """It is not lost in a thread that did not fail first."""
    lb.set_workers(2)
    both = threading.Barrier(2)

    def fail(error):
        both.wait(10)
        raise error

    with pytest.raises(KeyboardInterrupt):
        threads.parallel(fail, [ValueError, KeyboardInterrupt])


def test_an_interrupt_between_items_lets_no_other_begin(monkeypatch):
    """And those that have begun are waited for."""
    lb.set_workers(2)
    begun, ended, at_work, leave = [], [], threading.Event(), threading.Event()

    def work(item):
        begun.append(item)
        at_work.set()
        leave.wait(10)
        ended.append(item)

    @contextmanager
    def interrupted():
        assert at_work.wait(10)
        raise KeyboardInterrupt
        yield

    finish = threads._finish
    monkeypatch.setattr(threads, "_as_worker", interrupted)
    monkeypatch.setattr(threads, "_finish", lambda others: (leave.set(), finish(others)))
    with pytest.raises(KeyboardInterrupt):
        threads.parallel(work, range(5))
    assert begun == ended == [0]


def test_workers_may_be_set_while_others_compute():
    """No call fails for it, however often the pool is exchanged under it."""
    ended = threading.Event()

    def change():
        for number in itertools.cycle((1, 2, 3, None)):
            lb.set_workers(number)
            if ended.is_set():
                return

    with ThreadPoolExecutor(3) as pool:
        changing = pool.submit(change)
        calls = [
            pool.submit(lambda: [threads.parallel(abs, range(-4, 0)) for _ in range(500)]) for _ in range(2)
        ]
        for done in calls:
            done.exception()
        ended.set()
    assert changing.exception() is None
    assert all(found == [4, 3, 2, 1] for done in calls for found in done.result())


def test_at_the_end_of_the_process_the_caller_works_alone():
    code = (
        "import atexit, lowrank_blocks as lb; from lowrank_blocks.linalg.threads import parallel\n"
        "lb.set_workers(2); atexit.register(lambda: print(parallel(abs, range(-3, 0))))\n"
        "parallel(abs, range(3))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout.strip(), done.stderr) == ("[3, 2, 1]", "")


def test_many_threads_get_the_same_bits():
    """A share of what tests/tools/many_threads.py does, in a process whose BLAS has all its threads."""
    script = Path(__file__).parent / "tools" / "many_threads.py"
    kept = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, script, "--threads", "8", "--calls", "4", "--untimed"],
        env=kept,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_calling_thread_works_too():
    """It does all the work alone while the others are kept busy."""
    lb.set_workers(2)
    leave = threading.Event()
    kept = threads._pool().submit(leave.wait, 10)
    seen = threads.parallel(lambda _: threading.get_ident(), range(4))
    leave.set()
    assert kept.result()
    assert set(seen) == {threading.get_ident()}


@pytest.mark.parametrize(
    ("count", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)]
)
def test_workers_are_judged(count, error):
    with pytest.raises(error, match="count must be"):
        lb.set_workers(count)


def test_the_import_is_light():
    """Importing the package loads neither scipy nor threadpoolctl nor a picture."""
    code = "import sys, lowrank_blocks; print(sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for name in ("'scipy'", "'threadpoolctl'", "'matplotlib'"):
        assert name not in loaded


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_a_pool_of_its_own():
    code = (
        "import os, warnings, numpy as np, lowrank_blocks as lb\n"
        "warnings.simplefilter('ignore')\n"
        "lb.set_workers(2); x = np.ones((80, 80)); lb.decompose(x, lb.Localized(2, 2))\n"
        "import lowrank_blocks.linalg.threads as t; t.parallel(abs, [1, 2])\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    t.parallel(abs, [1, 2]); os._exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "7"
