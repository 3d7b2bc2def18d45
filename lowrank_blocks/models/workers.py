"""Workers: processes of this machine, or of a Dask cluster."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any

from lowrank_blocks.linalg import set_workers

_PATIENCE = 20  # seconds in which a scheduler must answer


@contextlib.contextmanager
def processes(count: int) -> Iterator[Executor]:
    """Yield an executor of some processes, each of which computes in one thread.

    They are started afresh, and not forked: a fork of a process with threads can hang.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=set_workers, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def dask_workers(address: str) -> Iterator[Executor]:
    """Yield an executor of a Dask cluster; its workers must have this package and see the files.

    Raises
    ------
    ModuleNotFoundError
        If Dask is not installed.
    ValueError
        If there is no scheduler at the address.
    """
    try:
        import distributed
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "--dask must have Dask to talk to; install it: pip install 'lowrank-blocks[dask]'"
        ) from None
    try:
        client: Any = distributed.Client(address, timeout=_PATIENCE)  # type: ignore[no-untyped-call,unused-ignore]
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"--dask must be the address of a scheduler, got {address!r}: {error}.") from None
    with client:
        yield client.get_executor()
