"""SHiRA: some entries, chosen freely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.peft.checks import counts, require_most
from lowrank_blocks.peft.claims import Sizes, Solved, Tensors
from lowrank_blocks.peft.family import Readable
from lowrank_blocks.peft.stored import Fields, Reading
from lowrank_blocks.peft.target import Target


@final
@shows_call("lb.peft.SHiRA(8) for as many entries as LoRA of rank 8 stores")
@dataclass(frozen=True)
class SHiRA(Readable):
    """SHiRA: the ``r (m + n)`` largest entries, as `Sparse` keeps them. Positions are not counted.

    Parameters
    ----------
    r : int
        Rank of the LoRA that stores as many numbers.

    References
    ----------
    Bhardwaj et al., arXiv 2406.13175.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> fit = lb.peft.SHiRA(1).nearest(np.arange(9.0).reshape(3, 3))
    >>> fit.n_parameters, round(fit.error**2, 9)
    (6, 5.0)
    """

    r: int

    format: ClassVar[str] = "SHIRA"
    reading: ClassVar[Reading] = Reading(idle={"random_seed": None})
    has_positions: ClassVar[bool] = True
    fixed: ClassVar[tuple[str, ...]] = ("shira_indices",)

    def __post_init__(self) -> None:
        counts(self, "r")

    def check(self, shape: Shape) -> None:
        """Refuse more entries than there are."""
        require_most("r", self.r, shape[0] * shape[1] // sum(shape), "m n / (m + n)")

    def n_parameters(self, shape: Shape) -> int:
        """Return ``r (m + n)``."""
        return self.r * sum(shape)

    def solve(self, target: Target) -> Solved:
        """Return the largest entries and their places, row by row."""
        # what `adaptive` buys of blocks of one entry, without an object for each of them
        count = self.n_parameters(target.shape)
        sizes = np.abs(target.matrix).ravel()
        kept = np.sort(np.argpartition(sizes, sizes.size - count)[sizes.size - count :])
        places = np.stack(np.divmod(kept, target.shape[1])).astype(np.int32)
        return Solved({"shira_weight": target.matrix.ravel()[kept], "shira_indices": places})

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return the entries at their places."""
        places = np.ravel_multi_index(tuple(tensors["shira_indices"].astype(np.int64)), target.shape)
        dense = np.zeros(target.shape)
        np.add.at(dense.reshape(-1), places, tensors["shira_weight"])  # PEFT adds up what is there twice
        return dense

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of the entries and of their places."""
        count = self.n_parameters(shape)
        return {"shira_weight": (count,), "shira_indices": (2, count)}

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family."""
        return cls(fields.count("r"))

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of SHiRA; places come from the file, not from a seed."""
        return {"init_weights": True, "mask_type": "random", "peft_type": self.format, "r": self.r}
