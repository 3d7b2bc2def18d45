"""The largest entries, each a block of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._calls import shows_call
from lowrank_blocks._results import locked
from lowrank_blocks._validation import Shape
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.picked import RectangleLayout


@final
@shows_call("lb.Sparse(); the number of entries is the budget: lb.approximate(dW, lb.Sparse(), budget=1000)")
@dataclass(frozen=True)
class Sparse(Structure):
    """The N largest entries, as in SHiRA: every entry is a block, and costs one number.

    `adaptive` keeps the largest entries, which is the nearest matrix with N entries. As for every
    structure, budgets do not charge positions. Here the values choose them, so that
    `Approximation.n_with_positions` counts one integer for every entry besides its value.

    References
    ----------
    Bhardwaj et al., "Sparse High Rank Adapters", arXiv 2406.13175.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> best = lb.approximate([[3.0, 0.5], [-4.0, 1.0]], lb.Sparse(), budget=2)
    >>> best.to_dense().round(12).tolist()
    [[3.0, 0.0], [-4.0, 0.0]]
    >>> best.n_parameters, best.n_with_positions
    (2, 4)
    """

    def layout(self, shape: Shape) -> EntriesLayout:
        """Return all entries, row by row."""
        return EntriesLayout(shape)

    def transposed(self) -> Sparse:
        """Return itself."""
        return self


@final
class EntriesLayout(RectangleLayout):
    """Every entry as a block of its own, for one number."""

    def __init__(self, shape: Shape) -> None:
        rows, cols = (axis.ravel() for axis in np.indices(shape))
        super().__init__(shape, np.column_stack([rows, rows + 1, cols, cols + 1]))

    @cached_property
    def rank_costs(self) -> NDArray[np.int64]:
        """One number an entry: the other factor of a block of one entry is folded in."""
        return locked(np.ones(len(self.block_shapes), dtype=np.int64))

    def positions(self, ranks: NDArray[np.int64]) -> int:
        """Return one integer for every entry that is kept."""
        return int(ranks.sum())
