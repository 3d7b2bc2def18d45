"""Threads: one BLAS thread for every worker, and Python threads over independent pieces of work.

A BLAS that spreads one product over all cores waits in a loop for its slowest thread, and collapses
when any other process is busy. Workers that each run a one-threaded BLAS only share the cores. Work
is cut at places that do not depend on the number of workers, so neither does any result.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._validation import as_count

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

Array = NDArray[np.float64]
Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_WORKERS = 8  # by default: the blocks of one matrix seldom feed more
_DESK = 1 << 18  # numbers that a thread keeps room for


class _State:
    """What the process shares: the pool of workers, and the limit of BLAS while it is set."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.workers: int | None = None
        self.pool: ThreadPoolExecutor | None = None
        self.limit: Any = None
        self.controller: Any = None
        self.inside = threading.local()


_state = _State()


def set_workers(count: int | None) -> None:
    """Set how many Python threads share the work of one call; the only setting of the kernel.

    Parameters
    ----------
    count : int or None
        At least 1; None for the default, the processors that this process may use, at most 8.
        It changes how long a call takes and never what it returns.

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
    return _state.workers or min(_processors(), _MOST_WORKERS)


def parallel(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Return ``work(item)`` of all items in order; called from within a worker, one after another.

    The thread that calls is one of the workers: it is awake already. After an error no other item is
    begun; of several, that of the first item is raised.
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
                errors[index] = error

    others = [_pool().submit(pull) for _ in range(min(workers(), len(items)) - 1)]
    _state.inside.worker = True
    try:
        pull()
    finally:
        _state.inside.worker = False
    for other in others:
        if not other.cancel():
            other.result()
    if errors:
        raise errors[min(errors)]
    return [done[k] for k in range(len(items))]


def panels(length: int, size: int) -> list[slice]:
    """Cut a length into equal pieces of at most `size`."""
    count = -(-length // size)
    return [slice(a, b) for a, b in pairwise(i * length // count for i in range(count + 1))]


def desk(shape: tuple[int, ...]) -> Array:
    """Return room for an array, the same at every call of a thread if it is not too large.

    The pages of new memory cost as much as many a small block: the system clears them one by one.
    """
    size = math.prod(shape)
    if size > _DESK:
        return np.empty(shape)
    if not hasattr(_state.inside, "desk"):
        _state.inside.desk = np.empty(_DESK)
    room: Array = _state.inside.desk
    return room[:size].reshape(shape)


@contextmanager
def one_blas_thread(*, with_scipy: bool) -> Iterator[None]:
    """Limit BLAS to one thread; `with_scipy` if scipy's BLAS will be called.

    The limit is the process's, so the thread that set it must lift it. Other threads that come in
    the meantime find it set, and at worst go on without it.
    """
    if with_scipy:
        import_module("scipy.linalg")
    with _state.lock:
        mine = _state.limit is None
        if mine:
            _state.limit = _controller().limit(limits=1, user_api="blas")
    try:
        yield
    finally:
        if mine:
            with _state.lock:
                _state.limit.restore_original_limits()
                _state.limit = None


def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    loaded = "scipy.linalg" in sys.modules  # it brings a BLAS of its own
    if _state.controller is None or _state.controller[0] != loaded:
        _state.controller = loaded, ThreadpoolController()
    return _state.controller[1]


def _pool() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    with _state.lock:
        if _state.pool is None:
            _state.pool = ThreadPoolExecutor(workers() - 1, "lowrank_blocks", initializer=_mark_worker)
        return _state.pool


def _mark_worker() -> None:
    _state.inside.worker = True


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _forget() -> None:
    """Start afresh in a forked child, where the threads of the pool do not exist."""
    workers_ = _state.workers
    _state.__init__()  # type: ignore[misc]
    _state.workers = workers_


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
