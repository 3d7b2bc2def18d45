"""Memory that a thread keeps for short-lived arrays.

The system clears new pages one by one, which takes as long as many a small block.
"""

from __future__ import annotations

import math
import threading

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_KEPT = 1 << 18  # entries of an array; larger ones are new
_own = threading.local()


def scratch(name: str, shape: tuple[int, ...]) -> Array:
    """Return an array of this shape with any entries; the next call by this name and thread reuses it."""
    size = math.prod(shape)
    if size > _KEPT:
        return np.empty(shape)
    kept: Array | None = getattr(_own, name, None)
    if kept is None:
        kept = np.empty(_KEPT)
        setattr(_own, name, kept)
    return kept[:size].reshape(shape)
