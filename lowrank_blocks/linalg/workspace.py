"""Memory that a thread keeps from one call to the next.

The pages of new memory cost as much as many a small block: the system clears them one by one.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_KEPT = 1 << 18  # numbers that a thread keeps room for

_kept = threading.local()


@contextmanager
def workspace(shape: tuple[int, ...]) -> Iterator[Array]:
    """Lend an uninitialised array until the block ends; it must not be used after that.

    The kept memory is taken out while it is lent, so that nobody else can get it: a second borrower in
    the same thread gets memory of its own, as does one who asks for more than is kept.
    """
    size = math.prod(shape)
    if size > _KEPT:
        yield np.empty(shape)
        return
    room: Array | None = getattr(_kept, "room", None)
    _kept.room = None
    if room is None:
        room = np.empty(_KEPT)
    try:
        yield room[:size].reshape(shape)
    finally:
        _kept.room = room
