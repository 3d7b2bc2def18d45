"""BLAS at one thread while anyone computes, and as it was before when the last one leaves."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import count
from pathlib import Path

import blas_scenarios
import pytest
from threadpoolctl import ThreadpoolController

import lowrank_blocks as lb
from lowrank_blocks.linalg import limit, threads

BLAS = ThreadpoolController().select(user_api="blas").lib_controllers
OF_THE_PROCESS = BLAS and all(
    b.internal_api == "openblas" and b.info()["threading_layer"] != "openmp" for b in BLAS
)
TELLS_OWNERS = all(hasattr(b, "_SHARED_STATE") for b in BLAS)


@cache
def observed(threads):
    """Return what a child process prints of all scenarios, with OPENBLAS_NUM_THREADS set or not."""
    kept = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    names = [n for n in blas_scenarios.SCENARIOS if "fork" not in n or hasattr(os, "fork")]
    done = subprocess.run(
        [sys.executable, Path(blas_scenarios.__file__), *names],
        env=kept | ({"OPENBLAS_NUM_THREADS": threads} if threads else {}),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.skipif(not OF_THE_PROCESS, reason="of a BLAS with one count of threads for the process")
@pytest.mark.parametrize("threads", ["2", None])
@pytest.mark.parametrize("name", blas_scenarios.SCENARIOS)
def test_scenarios(name, threads):
    seen = observed(threads)
    if name not in seen:
        pytest.skip("needs fork")
    if name == "a_limit_that_outlives_a_call" and not TELLS_OWNERS:
        pytest.skip("threadpoolctl before 3.8 does not tell whether a limit of others is in force")
    expected = {"inside": [1], "theirs": [3], "after": seen["before"]}
    assert seen[name] == [[what, expected[what]] for what, _ in seen[name]]
    assert {"inside", "after"} <= {what for what, _ in seen[name]}


class Controller:
    """A BLAS as threadpoolctl shows it: one count for all threads, one for each, or one that stays."""

    internal_api, dynlib = "mkl", None

    def __init__(self, kind):
        self.kind, self.counts = kind, {}
        self.here = threading.get_ident if kind == "each" else lambda: None

    def get_num_threads(self):
        return self.counts.get(self.here(), 4)

    def set_num_threads(self, number):
        if self.kind != "stays":
            self.counts[self.here()] = number


def limited(*kinds):
    controllers = [Controller(kind) for kind in kinds]
    libraries = [limit.Library(c) for c in controllers]
    return limit.Limit(lambda: libraries), controllers


def test_a_count_for_each_thread_is_limited_and_restored_in_each():
    held, (each, all_) = limited("each", "all")
    with ThreadPoolExecutor(1) as pool:
        inside = held.held(with_scipy=False)
        pool.submit(inside.__enter__).result()
        assert pool.submit(each.get_num_threads).result() == all_.get_num_threads() == 1
        assert each.get_num_threads() == 4
        with held.held(with_scipy=False):
            assert each.get_num_threads() == 1
            with held.held(with_scipy=False):
                pass
            assert each.get_num_threads() == 1
            pool.submit(inside.__exit__, None, None, None).result()
            assert each.get_num_threads() == all_.get_num_threads() == 1
            assert pool.submit(each.get_num_threads).result() == 4
        assert each.get_num_threads() == all_.get_num_threads() == 4


def test_every_worker_is_limited(monkeypatch):
    """Where each thread has a count, and until the last worker ends."""
    held, (each, all_) = limited("each", "all")
    monkeypatch.setattr(threads, "_limit", held)
    lb.set_workers(2)
    both = threading.Barrier(2)

    def work(_):
        both.wait(30)
        return threading.get_ident(), each.get_num_threads(), all_.get_num_threads()

    try:
        with held.held(with_scipy=False):
            found = threads.parallel(work, range(2))
    finally:
        lb.set_workers(None)
    assert len({thread for thread, *_ in found}) == 2
    assert {(own, shared) for _, own, shared in found} == {(1, 1)}


@pytest.mark.parametrize("kinds", [(), ("stays",)])
def test_a_blas_that_cannot_be_limited_is_no_error(kinds):
    held, controllers = limited(*kinds)
    for _ in range(2):
        with held.held(with_scipy=False):
            pass
    assert all(c.get_num_threads() == 4 for c in controllers)


def test_a_number_set_meanwhile_stays():
    held, (all_,) = limited("all")
    with held.held(with_scipy=False):
        all_.set_num_threads(3)
    assert all_.get_num_threads() == 3
    with held.held(with_scipy=False):
        all_.set_num_threads(2)
        with held.held(with_scipy=False):
            assert all_.get_num_threads() == 1
    assert all_.get_num_threads() == 2


def test_scipys_library_is_looked_for_when_it_is_first_needed():
    numpys, scipys = Controller("all"), Controller("all")
    found = iter([[limit.Library(numpys)], [limit.Library(numpys), limit.Library(scipys)]])
    held = limit.Limit(lambda: next(found))
    for _ in range(2):
        with held.held(with_scipy=False):
            assert (numpys.get_num_threads(), scipys.get_num_threads()) == (1, 4)
    for with_scipy in (True, False, True):
        with held.held(with_scipy=with_scipy):
            assert (numpys.get_num_threads(), scipys.get_num_threads()) == (1, 1)
        assert (numpys.get_num_threads(), scipys.get_num_threads()) == (4, 4)


def interrupted(call, at):
    """Interrupt a call at the step `at` of the module or of contextlib; whether there were so many."""
    steps, kept = count(), sys.gettrace()

    def trace(frame, event, _):
        if not frame.f_code.co_filename.endswith(("limit.py", "contextlib.py")):
            return None
        if event != "return" and next(steps) == at:
            raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(kept)
    return False


@pytest.mark.parametrize("kind", ["each", "all"])
def test_an_interrupt_anywhere_leaves_nothing_behind(kind):
    for at in count():
        held, (blas,) = limited(kind)

        def call(held=held, blas=blas):
            with held.held(with_scipy=False):
                assert blas.get_num_threads() == 1

        ended = not interrupted(call, at)
        assert blas.get_num_threads() == 4
        call()
        assert blas.get_num_threads() == 4
        if ended:
            break
    assert at > 30
