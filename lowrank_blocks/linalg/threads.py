"""Threads: one BLAS thread for every worker, and Python threads over independent pieces of work.

A BLAS that spreads one product over all cores waits in a loop for its slowest thread, and collapses
when any other process is busy. Workers that each run a one-threaded BLAS only share the cores. Work
is cut at places that do not depend on the number of workers, so neither does any result.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

from lowrank_blocks._validation import as_count
from lowrank_blocks.linalg.limit import Limit

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_WORKERS = 8  # by default: the blocks of one matrix seldom feed more


class _State:
    """The state of the process: the pool of workers, and which threads are workers."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.workers: int | None = None
        self.pool: ThreadPoolExecutor | None = None
        self.inside = threading.local()


_state = _State()
_limit = Limit()


def set_workers(count: int | None) -> None:
    """Set how many Python threads share the work of one call; the only setting of the kernel.

    Parameters
    ----------
    count : int or None
        At least 1; None for the default, the processors that this process may use, at most 8.
        It changes how long a call takes, and never what it returns.

    Raises
    ------
    TypeError, ValueError
        If `count` is neither None nor a positive integer.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> lb.set_workers(1)
    >>> lb.set_workers(None)
    """
    if count is not None and as_count(count, "count") == 0:
        raise ValueError("count must be at least 1 worker, or None for the default, got 0.")
    with _state.lock:
        _state.workers, old = count, _state.pool
        _state.pool = None
    if old is not None:
        old.shutdown(wait=True)


def workers() -> int:
    """Return how many Python threads share the work of one call."""
    return _state.workers or min(processors(), _MOST_WORKERS)


def parallel(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return ``work(item)`` of all items in order; within a worker the items run one after another.

    The calling thread is one of the workers. After an error no other item is begun; of several errors,
    that of the first item is raised. After an interrupt the call waits for the items that are begun.
    """
    if len(items) < 2 or workers() == 1 or getattr(_state.inside, "worker", False):
        return [work(item) for item in items]
    order, lock = iter(range(len(items))), threading.Lock()
    done: dict[int, Result] = {}
    errors: dict[int, BaseException] = {}

    def pull() -> None:
        while not errors:
            with lock:
                index = next(order, None)
            if index is None:
                return
            try:
                done[index] = work(items[index])
            except BaseException as error:
                errors[index if isinstance(error, Exception) else -1] = error  # interrupts come first

    others: list[Future[None]] = []
    try:
        _ask(others, pull, len(items) - 1)
        with _as_worker():
            pull()
        _finish(others)
    except BaseException as interrupt:
        errors[-1] = interrupt
        _finish(others)
        raise
    if errors:
        raise errors[min(errors)]
    return [done[k] for k in range(len(items))]


def _ask(others: list[Future[None]], pull: Callable[[], None], most: int) -> None:
    """Let other workers pull, too; under the lock, so that their pool cannot be shut down meanwhile."""

    def limited() -> None:  # a worker stays longer than a caller who is interrupted twice
        with one_blas_thread(with_scipy=False):
            pull()

    with _state.lock, suppress(RuntimeError):  # at the end of the process no thread can be started
        others.extend(_pool().submit(limited) for _ in range(min(workers() - 1, most)))


def _finish(others: Sequence[Future[None]]) -> None:
    """Wait for the workers that have begun."""
    for other in others:
        if not other.cancel():
            other.exception()


@contextmanager
def _as_worker() -> Iterator[None]:
    """Mark this thread as a worker meanwhile."""
    _state.inside.worker = True
    try:
        yield
    finally:
        _state.inside.worker = False


def panels(length: int, size: int) -> list[slice]:
    """Cut a length into equal pieces of at most `size`."""
    count = -(-length // size)
    return [slice(a, b) for a, b in pairwise(i * length // count for i in range(count + 1))]


def one_blas_thread(*, with_scipy: bool) -> AbstractContextManager[None]:
    """Limit BLAS to one thread; `with_scipy` if scipy's BLAS will be called.

    Threads may come and go in any order: the limit is lifted when the last one leaves.
    """
    return _limit.held(with_scipy=with_scipy)


def _pool() -> ThreadPoolExecutor:
    """Return the pool; to be called with the lock."""
    from concurrent.futures import ThreadPoolExecutor

    if _state.pool is None:
        _state.pool = ThreadPoolExecutor(workers() - 1, "lowrank_blocks", initializer=_mark_worker)
    return _state.pool


def _mark_worker() -> None:
    _state.inside.worker = True


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _forget() -> None:
    """Start afresh in a forked child, where the threads of the pool do not exist."""
    workers_ = _state.workers
    _state.__init__()  # type: ignore[misc]
    _state.workers = workers_
    _limit.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
