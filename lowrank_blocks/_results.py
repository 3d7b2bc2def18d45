"""What all results share: arrays that stay read-only when a result is pickled or copied."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class ReadOnly:
    """A result whose arrays are read-only, also in copies made by `pickle` and `copy`."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        lock_all(list(state.values()))
        self.__dict__.update(state)  # past __setattr__, which a frozen dataclass refuses


def locked(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array, read-only from now on."""
    array.setflags(write=False)
    return array


def lock_all(value: object) -> None:
    """Make an array, or all arrays in nested tuples and lists, read-only."""
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
    elif isinstance(value, (tuple, list)):
        for part in value:
            lock_all(part)
