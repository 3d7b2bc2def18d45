"""What PyTorch's generator draws, without PyTorch: adapters keep a seed in place of positions and numbers.

PyTorch's generator for the CPU is the Mersenne twister, which numpy has, too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._results import locked
from lowrank_blocks._validation import Shape, as_count

_MANTISSA = 24  # random bits of a float32
_SEEDS = 1 << 32


def as_seed(value: object, name: str) -> int:
    """Return a seed as an int below 2**32, of which the twister uses no more bits."""
    seed = as_count(value, name)
    if seed >= _SEEDS:
        raise ValueError(f"{name} must be below 2**32, got {seed}.")
    return seed


@lru_cache(maxsize=8)
def first_of_permutation(length: int, count: int, seed: int) -> NDArray[np.int64]:
    """Return ``torch.randperm(length, generator=torch.Generator().manual_seed(seed))[:count]``.

    It exchanges place k with one of those from k on, chosen by the remainder of a draw of 32 bits.
    """
    steps = min(count, length - 1)
    draws = _raw(steps, seed) % (length - np.arange(steps, dtype=np.uint64))
    moved: dict[int, int] = {}
    found = np.empty(count, np.int64)
    for k, step in enumerate(draws.tolist()):
        other = k + step
        found[k] = moved.get(other, other)
        moved[other] = moved.get(k, k)
    if count == length:
        found[-1] = moved.get(length - 1, length - 1)
    return locked(found)


def uniform(shapes: tuple[Shape, ...], bounds: tuple[float, ...], seed: int) -> list[NDArray[np.float64]]:
    """Return float32 tensors as ``uniform_(-bound, bound)`` fills them one after another, in float64."""
    sizes = [m * n for m, n in shapes]
    draws = _raw(sum(sizes), seed) & np.uint64((1 << _MANTISSA) - 1)
    parts = np.split(draws * 2.0**-_MANTISSA, np.cumsum(sizes)[:-1])
    single = [float(np.float32(bound)) for bound in bounds]
    return [  # rounded once to float32, as a fused multiplication and addition does
        (part * (2 * bound) - bound).astype(np.float32).astype(np.float64).reshape(shape)
        for part, shape, bound in zip(parts, shapes, single, strict=True)
    ]


def _raw(count: int, seed: int) -> NDArray[np.uint64]:
    """Return draws of 32 bits."""
    twister: Any = np.random.MT19937()
    twister.state = np.random.RandomState(seed).get_state(legacy=False)
    return np.asarray(twister.random_raw(count), np.uint64)
