"""LoKr: one Kronecker product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.peft.checks import counts, require_divides
from lowrank_blocks.peft.claims import Sizes, Solved, Tensors
from lowrank_blocks.peft.family import TellsShape
from lowrank_blocks.peft.stored import Fields, Reading
from lowrank_blocks.peft.target import Target
from lowrank_blocks.structures.kronecker import Kronecker


@final
@shows_call("lb.peft.LoKr(8) for a left factor of 8 by 8")
@dataclass(frozen=True)
class LoKr(TellsShape):
    """LoKr with both factors whole: ``dW = kron(w1, w2)``, with w1 of f×f entries (`Kronecker`).

    PEFT keeps w2 whole where its r is at least half its longer side, so the file says so. With a w2 of low
    rank there is no closed form.

    Parameters
    ----------
    factor : int
        Side f of w1, PEFT's ``decompose_factor``; it divides both sides.

    References
    ----------
    Yeh et al., arXiv 2309.14859; Van Loan & Pitsianis, doi 10.1007/978-94-015-8196-7_17.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> dW = np.kron([[1.0, 2.0], [3.0, 4.0]], np.ones((2, 3)))
    >>> fit = lb.peft.LoKr(2).nearest(dW)
    >>> fit.n_parameters, round(fit.error, 9)
    (10, 0.0)
    """

    factor: int

    format: ClassVar[str] = "LOKR"
    reading: ClassVar[Reading] = Reading(
        scale=("lokr_w1", "alpha", "r"),
        patterns={"rank_pattern": "r", "alpha_pattern": "alpha"},
        idle={"use_effective_conv2d": None, "rank_dropout_scale": None},
    )

    def __post_init__(self) -> None:
        counts(self, "factor")

    def check(self, shape: Shape) -> None:
        """Refuse a factor that does not divide both sides."""
        require_divides("factor", self.factor, shape[0], "the rows of the matrix")
        require_divides("factor", self.factor, shape[1], "its columns")

    def _right(self, shape: Shape) -> Shape:
        return shape[0] // self.factor, shape[1] // self.factor

    def n_parameters(self, shape: Shape) -> int:
        """Return ``f^2 + m n / f^2``."""
        m, n = self._right(shape)
        return self.factor**2 + m * n

    def solve(self, target: Target) -> Solved:
        """Return the nearest Kronecker product."""
        structure = Kronecker(self.factor, self.factor)
        lefts, rights = structure.layout(target.shape).terms(target.best(structure, (1,)).factors[0])
        # the sum over one term, or over none for zeros
        return Solved({"lokr_w1": lefts.sum(axis=0), "lokr_w2": rights.sum(axis=0)})

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``kron(w1, w2)``."""
        return np.kron(tensors["lokr_w1"], tensors["lokr_w2"])

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of both factors."""
        return {"lokr_w1": (self.factor, self.factor), "lokr_w2": self._right(shape)}

    def shape_of(self, sizes: Sizes) -> Shape:
        """Return the products of the sides of both factors."""
        left, right = sizes["lokr_w1"], sizes["lokr_w2"]
        return left[0] * right[0], left[1] * right[1]

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family; of its r nothing but the scale is left, once w2 is known to be whole."""
        return cls(fields.count("decompose_factor"))

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of LoKr, scaled by 1, with an r that leaves w2 whole."""
        r = max(self._right(shape))
        return {
            "alpha": r,
            "decompose_both": False,
            "decompose_factor": self.factor,
            "init_weights": True,
            "peft_type": self.format,
            "r": r,
        }
