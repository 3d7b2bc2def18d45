"""HiRA: the weight times a matrix of low rank, entry by entry: weighted low rank, between two bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.peft.claims import Claim, Sizes, Solved, Tensors
from lowrank_blocks.peft.linear import Array, LinearMap, least_squares
from lowrank_blocks.peft.lowrank import OfRank, truncated
from lowrank_blocks.peft.stored import Reading
from lowrank_blocks.peft.target import Target
from lowrank_blocks.structures.grids import Global

_SWEEPS = 2


@dataclass(frozen=True, eq=False)
class _Weighted(LinearMap):
    """The weight times ``numbers @ right``, entry by entry."""

    weight: Array
    right: Array

    def forward(self, numbers: Array) -> Array:
        """Return the product of (m, r) numbers."""
        return np.asarray(self.weight * (numbers @ self.right))

    def adjoint(self, matrix: Array) -> Array:
        """Return (m, r) numbers."""
        return np.asarray((self.weight * matrix) @ self.right.T)

    def grams(self) -> Array:
        """Return the Gram matrix of every row."""
        r = len(self.right)
        pairs = (self.right[:, None] * self.right[None]).reshape(r * r, -1)
        return np.asarray((np.square(self.weight) @ pairs.T).reshape(-1, r, r))


@final
@shows_call("lb.peft.HiRA(8) for rank 8")
class HiRA(OfRank):
    """HiRA: ``dW = W * (B A)``, entry by entry.

    The nearest member is a low-rank approximation with the weights W^2, which is NP-hard in general.
    Given is what alternating least squares reaches from the singular vectors of ``W * dW``, the direction of
    steepest descent. The lower bound is ``min |W|`` times what the truncated SVD leaves of
    ``dW / W``, and 0 if W has zeros.

    Parameters
    ----------
    r : int
        Rank.

    References
    ----------
    Huang et al., "HiRA: Parameter-Efficient Hadamard High-Rank Adaptation for Large Language Models", ICLR
    2025; Gillis & Glineur, doi 10.1137/110820361.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> fit = lb.peft.HiRA(1).nearest(np.ones((3, 3)), base=np.ones((3, 3)))
    >>> round(fit.error, 9), fit.guarantee.value
    (0.0, 'upper bound')
    """

    needs_base: ClassVar[bool] = True
    format: ClassVar[str] = "HIRA"
    conv1d: ClassVar[bool] = True
    reading: ClassVar[Reading] = Reading(patterns={"rank_pattern": "r"})

    def n_parameters(self, shape: Shape) -> int:
        """Return ``r (m + n)``."""
        return self.r * sum(shape)

    def solve(self, target: Target) -> Solved:
        """Return what alternating least squares reaches, and a lower bound."""
        weight, matrix = target.weight, target.matrix
        b, a = truncated(Target(weight * matrix, None), self.r)
        for _ in range(_SWEEPS):
            b = least_squares(_Weighted(weight, a), matrix)
            a = least_squares(_Weighted(weight.T, b.T), matrix.T).T
        return Solved({"hira_A": np.ascontiguousarray(a), "hira_B": b}, Claim.UPPER, self._bound(target))

    def _bound(self, target: Target) -> float:
        least = float(np.abs(target.weight).min())
        if least == 0:
            return 0.0
        return least * Target(_quotient(target), None).best(Global(), (self.r,)).error

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``W * (B A)``."""
        return np.asarray(target.weight * (tensors["hira_B"] @ tensors["hira_A"]))

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of A and B."""
        return {"hira_A": (self.r, shape[1]), "hira_B": (shape[0], self.r)}

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of HiRA."""
        return {"hira_dropout": 0.0, "init_weights": True, "peft_type": self.format, "r": self.r}


def _quotient(target: Target) -> Array:
    return np.asarray(target.matrix / target.weight)
