"""The limit of BLAS to one thread, held while any thread of the process computes.

BLAS libraries count their threads for the whole process (OpenBLAS with threads of its own) or for each
thread that calls (MKL, OpenBLAS with OpenMP). Callers are counted for both: the first caller sets the
limit, and the last one restores the former number, whichever thread it is.

threadpoolctl, from 3.8 on, lets only one thread change OpenBLAS until that thread is done, and ignores
all others. Here the library is called directly. Limits that threadpoolctl holds for others are read,
never changed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from itertools import product
from typing import Any

_OPENBLAS = [f"{p}openblas_set_num_threads{s}" for p, s in product(("", "scipy_"), ("", "64_", "_64"))]


class Library:
    """A BLAS that is loaded, and how many threads it may use.

    Parameters
    ----------
    controller : threadpoolctl.LibController
    """

    def __init__(self, controller: Any) -> None:
        self._controller = controller

    @property
    def count(self) -> int:
        """Number of threads, as the calling thread sees it; 1 where it is not known."""
        return int(self._controller.get_num_threads() or 1)

    @property
    def owner(self) -> threading.Thread | None:
        """The thread whose limit threadpoolctl has in force, where it keeps account of that."""
        shared = getattr(self._controller, "_SHARED_STATE", None)
        return getattr(shared, "controlling_thread", None)

    @cached_property
    def set(self) -> Callable[[int], Any]:
        """Set the number of threads, whichever thread calls."""
        known: Callable[[int], Any] = self._controller.set_num_threads
        if self._controller.internal_api != "openblas" or self._controller.threading_layer == "openmp":
            return known
        found = (getattr(self._controller.dynlib, name, None) for name in _OPENBLAS)
        return next((f for f in found if f is not None), known)

    @cached_property
    def per_thread(self) -> bool:
        """Whether other threads do not see the limit of this one, which must be 1 at the first call."""
        seen = list[int]()
        other = threading.Thread(target=lambda: seen.append(self.count))
        try:
            other.start()
            other.join()
        except RuntimeError:  # no thread can be started, so there is no other
            return False
        return seen != [1]


def loaded_libraries() -> list[Library]:
    """Return the BLAS libraries that are loaded and known to threadpoolctl."""
    from threadpoolctl import ThreadpoolController

    return [Library(c) for c in ThreadpoolController().lib_controllers if c.user_api == "blas"]


class Limit:
    """Holds BLAS at one thread while there is any caller.

    Parameters
    ----------
    find : callable, optional
        Returns the libraries to limit.
    """

    def __init__(self, find: Callable[[], Sequence[Library]] = loaded_libraries) -> None:
        self._find = find
        self._lock = threading.RLock()
        self._libraries: Sequence[Library] | None = None
        self._knows_scipy = False
        self._callers: dict[object, int] = {}  # the callers inside, with the thread of each
        # The number found and its owner, by library and thread; by library and None for all threads.
        self._before: dict[tuple[Library, int | None], tuple[int, threading.Thread | None]] = {}

    @contextmanager
    def held(self, *, with_scipy: bool) -> Iterator[None]:
        """Hold the limit; `with_scipy` if scipy's BLAS will be called, which may be another than numpy's.

        Leaving a second time changes nothing, so that an interrupt at any step leaves nothing behind.
        """
        if with_scipy:
            import_module("scipy.linalg")
        caller = object()
        try:
            try:
                self._enter(caller, with_scipy)
                yield
            finally:
                self._leave(caller)
        except BaseException:
            self._leave(caller)  # in case that it was interrupted
            raise

    def after_fork(self) -> None:
        """Forget the callers of other threads, which a forked child does not have."""
        self._lock = threading.RLock()
        here = threading.get_ident()
        self._callers = {c: thread for c, thread in self._callers.items() if thread == here}
        self._leave(None)

    def _enter(self, caller: object, with_scipy: bool) -> None:
        here = threading.get_ident()
        with self._lock:
            self._callers[caller] = here
            for library in self._known(with_scipy):
                count = library.count
                if count > 1:  # not limited yet, or no longer
                    self._before[library, None] = count, library.owner
                    library.set(1)
                    if library.per_thread:
                        self._before[library, here] = self._before[library, None]
                        del self._before[library, None]

    def _leave(self, caller: object) -> None:
        here = threading.get_ident()
        with self._lock:
            self._callers.pop(caller, None)
            inside = set(self._callers.values())
            for library, thread in list(self._before):
                if not inside if thread is None else thread == here and here not in inside:
                    self._restore(library, thread)

    def _restore(self, library: Library, thread: int | None) -> None:
        """Restore the number found, unless another limit has been set since.

        A limit of threadpoolctl that began while this one was held restores 1 when it ends. So the number
        found is kept until the next caller leaves.
        """
        count, owner = self._before[library, thread]
        now = library.owner
        if library.count == 1 and now is owner:
            library.set(count)
        elif library.count == 1 and now is not None:
            return
        del self._before[library, thread]

    def _known(self, with_scipy: bool) -> Sequence[Library]:
        if self._libraries is None or (with_scipy and not self._knows_scipy):
            self._libraries, self._knows_scipy = self._find(), with_scipy
        return self._libraries
