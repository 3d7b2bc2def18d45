"""DeLoRA: directions of length 1 and one common strength, which is no restriction."""

from __future__ import annotations

from typing import Any, ClassVar, final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.linalg import evening_rotation
from lowrank_blocks.peft.claims import Sizes, Solved, Tensors
from lowrank_blocks.peft.lowrank import Factored, truncated
from lowrank_blocks.peft.stored import Reading
from lowrank_blocks.peft.target import Target

_LEAST = 1e-4  # PEFT takes shorter rows and columns for this long


@final
@shows_call("lb.peft.DeLoRA(8) for rank 8")
class DeLoRA(Factored):
    """DeLoRA: ``dW = B diag(lambda / (r |A_i| |B_i|)) A diag(w)`` with one number lambda.

    It holds all matrices of rank r: a rotation of the singular vectors gives all r terms the mean singular
    value (Schur & Horn), so that lambda is the nuclear norm. The file says w = 1.

    Parameters
    ----------
    r : int
        Rank.

    References
    ----------
    Bini et al., arXiv 2503.18225; Horn, doi 10.2307/2372705.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> fit = lb.peft.DeLoRA(2).nearest(np.diag([4.0, 2.0, 1.0]))
    >>> round(fit.error, 9), round(float(fit.tensors()["delora_lambda"][0]), 9)
    (1.0, 6.0)
    """

    format: ClassVar[str] = "DELORA"
    factors: ClassVar[tuple[str, str]] = "delora_B", "delora_A"
    reading: ClassVar[Reading] = Reading(
        patterns={"rank_pattern": "r"}, idle={"delora_lambda": None, "lambda_pattern": None}
    )
    fixed: ClassVar[tuple[str, ...]] = ("delora_w_norm",)

    def n_parameters(self, shape: Shape) -> int:
        """Return ``r (m + n) + 1``."""
        return self.r * sum(shape) + 1

    def solve(self, target: Target) -> Solved:
        """Return the truncated SVD, rotated so that all terms are equally strong."""
        b, a = truncated(target, self.r)
        values = np.square(b).sum(axis=0)
        rotation = evening_rotation(values)
        b, a = b @ rotation, rotation.T @ a
        mean = float(values.mean())
        unit = 1 / np.sqrt(mean) if mean else 1.0
        return Solved(
            {
                "delora_A": a * unit,
                "delora_B": b * unit,
                "delora_lambda": np.array([self.r * mean]),
                "delora_w_norm": np.ones(target.shape[1]),
            }
        )

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return the sum of the r terms, all of one strength."""
        a, b = tensors["delora_A"], tensors["delora_B"]
        lengths = _lengths(b, 0) * _lengths(a, 1)
        terms = b * (tensors["delora_lambda"] / self.r / lengths)
        return np.asarray((terms @ a) * tensors["delora_w_norm"])

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of both factors, of lambda and of w."""
        return {
            "delora_A": (self.r, shape[1]),
            "delora_B": (shape[0], self.r),
            "delora_lambda": (1,),
            "delora_w_norm": (shape[1],),
        }

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of DeLoRA."""
        return {"delora_lambda": 1, "module_dropout": 0.0, "peft_type": self.format, "r": self.r}


def _lengths(factor: Matrix, axis: int) -> Matrix:
    return np.asarray(np.maximum(np.sqrt(np.square(factor).sum(axis=axis)), _LEAST))
