"""LoHa: an entrywise product of two matrices of low rank, between two bounds."""

from __future__ import annotations

from typing import Any, ClassVar, final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.peft.claims import Claim, Sizes, Solved, Tensors
from lowrank_blocks.peft.lowrank import Factored, truncated
from lowrank_blocks.peft.stored import Reading
from lowrank_blocks.peft.target import Target
from lowrank_blocks.structures.grids import Global


@final
@shows_call("lb.peft.LoHa(4) for factors of rank 4")
class LoHa(Factored):
    """LoHa: ``dW = (w1_a w1_b) * (w2_a w2_b)``, entry by entry.

    With ones as the second matrix it is LoRA of rank r, which is the member given; and no member has a rank
    above r^2, which is the lower bound. The nearest member lies between. For r = 1 it is the one given.

    Parameters
    ----------
    r : int
        Rank of both matrices.

    References
    ----------
    Hyeon-Woo et al., arXiv 2108.06098.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> fit = lb.peft.LoHa(2).nearest(np.eye(8))
    >>> round(fit.error**2, 9), round(fit.lower_bound**2 * 8, 9), fit.guarantee.value
    (6.0, 4.0, 'upper bound')
    """

    format: ClassVar[str] = "LOHA"
    factors: ClassVar[tuple[str, str]] = "hada_w1_a", "hada_w1_b"
    reading: ClassVar[Reading] = Reading(
        prefix="hada_",
        scale=("hada_w1_a", "alpha", "r"),
        patterns={"rank_pattern": "r", "alpha_pattern": "alpha"},
        idle={"use_effective_conv2d": None},
    )

    def n_parameters(self, shape: Shape) -> int:
        """Return ``2 r (m + n)``."""
        return 2 * self.r * sum(shape)

    def solve(self, target: Target) -> Solved:
        """Return the truncated SVD times ones."""
        (m, n), (b, a) = target.shape, truncated(target, self.r)
        left, right = np.zeros((m, self.r)), np.zeros((self.r, n))
        left[:, 0] = right[0] = 1.0
        tensors = {"hada_w1_a": b, "hada_w1_b": a, "hada_w2_a": left, "hada_w2_b": right}
        if self.r == 1:
            return Solved(tensors)
        largest = min(self.r**2, m, n)
        return Solved(tensors, Claim.UPPER, target.best(Global(), (largest,)).error)

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return the entrywise product."""
        first = tensors["hada_w1_a"] @ tensors["hada_w1_b"]
        return np.asarray(first * (tensors["hada_w2_a"] @ tensors["hada_w2_b"]))

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of both pairs of factors."""
        left, right = (shape[0], self.r), (self.r, shape[1])
        return {"hada_w1_a": left, "hada_w1_b": right, "hada_w2_a": left, "hada_w2_b": right}

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of LoHa, scaled by 1."""
        return {"alpha": self.r, "init_weights": True, "peft_type": self.format, "r": self.r}
