"""Which blocks are solved together: blocks of one shape, in slabs that fit memory and threads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._validation import Shape
from lowrank_blocks.linalg.stacks import least_together

Indices = NDArray[np.int64]

_FEW = 8  # slabs, unless they are too large or too small: threads wait for each other between them
_SMALLEST, _LARGEST = 1 << 13, 1 << 18  # entries


def slabs(group: Indices, shape: Shape) -> list[Indices]:
    """Cut a group of blocks of one shape into a few slabs, neither too small to pay nor too large."""
    size = shape[0] * shape[1]
    least = max(_SMALLEST // size, least_together(min(shape)))
    step = max(1, min(_LARGEST // size, max(least, -(-len(group) // _FEW))))
    return [group[i : i + step] for i in range(0, len(group), step)]
