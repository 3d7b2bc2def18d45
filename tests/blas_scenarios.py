"""The number of BLAS threads while callers come and go; run in a child process, printed as JSON.

    python tests/blas_scenarios.py

Every scenario returns the pairs (what, numbers of threads seen): each number that any BLAS reports.
"""

import json
import os
import signal
import sys
import threading
from contextlib import ExitStack

import numpy as np
import scipy.linalg  # noqa: F401  # its BLAS counts, too
from threadpoolctl import ThreadpoolController, threadpool_limits

import lowrank_blocks as lb
from lowrank_blocks.linalg.threads import one_blas_thread, parallel

CONTROLLER = ThreadpoolController().select(user_api="blas")


def counts():
    return sorted({library["num_threads"] for library in CONTROLLER.info()})


class Thread(threading.Thread):
    """A thread that does one thing at a time, when it is asked to."""

    def __init__(self):
        super().__init__(daemon=True)
        self._asked, self._done, self._stack = threading.Semaphore(0), threading.Semaphore(0), ExitStack()
        self.start()

    def run(self):
        while self._asked.acquire() and self._work is not None:
            self._answer = self._work()
            self._done.release()
        self._done.release()

    def do(self, work):
        """Do something in this thread; return what it returns."""
        self._work = work
        self._asked.release()
        assert self._done.acquire(timeout=60)
        return None if work is None else self._answer

    def enter(self, make):
        self.do(lambda: self._stack.enter_context(make()))

    def leave(self):
        self.do(self._stack.close)


def ours():
    return one_blas_thread(with_scipy=True)


def call():
    rng = np.random.default_rng(0)
    lb.approximate(rng.standard_normal((130, 130)), lb.Localized(2), 4000)


def a_call_from_another_thread():
    """The limit is the same wherever the first call came from."""
    call()
    other = Thread()
    other.enter(ours)
    seen = [("inside", other.do(counts))]
    other.leave()
    return [*seen, ("after", counts())]


def callers_leave_in_the_order_they_came():
    first, second = Thread(), Thread()
    first.enter(ours)
    second.enter(ours)
    first.leave()
    seen = [("inside", counts())]
    second.leave()
    return [*seen, ("after", counts())]


def a_caller_leaves_last_in_a_thread_that_ends():
    call()
    other = Thread()
    other.enter(ours)
    with ours():
        other.leave()
        other.do(None)
        seen = [("inside", counts())]
    return [*seen, ("after", counts())]


def limits_of_others_work_after_a_call():
    call()
    other = Thread()
    other.enter(lambda: threadpool_limits(1))
    seen = [("inside", counts())]
    other.leave()
    return [*seen, ("after", counts())]


def a_limit_around_a_call_in_another_thread():
    other = Thread()
    other.enter(lambda: threadpool_limits(3))
    with ours():
        seen = [("inside", counts())]
    seen.append(("theirs", counts()))
    other.leave()
    return [*seen, ("after", counts())]


def a_limit_around_a_call_in_its_thread():
    with threadpool_limits(3):
        with ours():
            seen = [("inside", counts())]
        seen.append(("theirs", counts()))
    return [*seen, ("after", counts())]


def a_limit_that_ends_during_a_call():
    other, third = Thread(), Thread()
    other.enter(lambda: threadpool_limits(3))
    with ours():
        other.leave()
        third.enter(ours)
        seen = [("inside", counts())]
    third.leave()
    return [*seen, ("after", counts())]


def a_limit_within_a_call():
    other = Thread()
    with ours():
        other.enter(lambda: threadpool_limits(1))
        seen = [("inside", counts())]
        other.leave()
        seen.append(("inside", counts()))
    return [*seen, ("after", counts())]


def a_limit_that_outlives_a_call():
    """What it puts back is our limit; the next call makes good for it."""
    other = Thread()
    with ours():
        other.enter(lambda: threadpool_limits(1))
    seen = [("inside", counts())]
    other.leave()
    call()
    return [*seen, ("after", counts())]


def a_lasting_limit_of_another_thread():
    other = Thread()
    other.do(lambda: threadpool_limits(3))
    with ours():
        seen = [("inside", counts())]
    seen.append(("theirs", counts()))
    other.do(threadpool_limits(before).restore_original_limits)
    other.do(lambda: threadpool_limits(before))
    return [*seen, ("after", counts())]


def interrupts():
    """One while this thread works, and one while it waits for another, or is about to."""
    return [pair for waiting in (False, True) for pair in _interrupted(waiting)]


def _interrupted(waiting):
    lb.set_workers(2)
    seen, both, idle = [], threading.Barrier(2), threading.Event()
    caller = threading.current_thread()

    def work(_):
        both.wait(30)
        if threading.current_thread() is caller:
            idle.set()
            if not waiting:
                signal.raise_signal(signal.SIGINT)
            return
        idle.wait(30)
        if waiting:
            os.kill(os.getpid(), signal.SIGINT)
        seen.append(("inside", counts()))

    try:
        with ours():
            parallel(work, range(2))
    except KeyboardInterrupt:
        seen.append(("after", counts()))
    return seen


def a_fork_while_another_thread_is_inside():
    other = Thread()
    other.enter(ours)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, json.dumps(counts()).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    seen = [("after", json.loads(os.read(reading, 100))), ("inside", counts())]
    other.leave()
    return [*seen, ("after", counts())]


def a_fork_inside():
    reading, writing = os.pipe()
    with ours():
        pid = os.fork()
        if pid == 0:
            os.write(writing, json.dumps(counts()).encode())
    if pid == 0:
        os.write(writing, b"\n" + json.dumps(counts()).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    inside, after = (json.loads(line) for line in os.read(reading, 100).splitlines())
    return [("inside", inside), ("after", after), ("after", counts())]


SCENARIOS = {
    f.__name__: f
    for f in (
        a_call_from_another_thread,
        callers_leave_in_the_order_they_came,
        a_caller_leaves_last_in_a_thread_that_ends,
        limits_of_others_work_after_a_call,
        a_limit_around_a_call_in_another_thread,
        a_limit_around_a_call_in_its_thread,
        a_limit_that_ends_during_a_call,
        a_limit_within_a_call,
        a_limit_that_outlives_a_call,
        a_lasting_limit_of_another_thread,
        interrupts,
        a_fork_while_another_thread_is_inside,
        a_fork_inside,
    )
}

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a parent in the background ignores it
    before = max(counts(), default=0)
    print(json.dumps({"before": counts(), **{name: SCENARIOS[name]() for name in sys.argv[1:] or SCENARIOS}}))
