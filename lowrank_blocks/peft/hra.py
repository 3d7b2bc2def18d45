"""HRA: the weight is reflected in some directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.linalg import orthonormal_columns, smallest_eigenvectors
from lowrank_blocks.peft.checks import counts, require_most
from lowrank_blocks.peft.claims import Sizes, Solved, Tensors
from lowrank_blocks.peft.family import Readable
from lowrank_blocks.peft.stored import Fields
from lowrank_blocks.peft.target import Target


@final
@shows_call("lb.peft.HRA(8) for 8 reflections")
@dataclass(frozen=True)
class HRA(Readable):
    """HRA with orthogonal directions (``apply_GS``): ``W' = W (I - 2 U U.T)``.

    The squared error is ``|W|^2 + |T|^2 - 2 trace(W.T T) + 4 trace(U.T S U)`` with S the symmetric part of
    ``W.T T``, so U spans the eigenvectors of its r smallest eigenvalues (Ky Fan). Exactly r directions are
    reflected, also where fewer would be nearer.

    Parameters
    ----------
    r : int
        Number of reflections, at most n.

    References
    ----------
    Yuan et al., arXiv 2405.17484; Fan, doi 10.1073/pnas.35.11.652.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> W = np.diag([3.0, 2.0, 1.0])
    >>> round(lb.peft.HRA(1).nearest(np.diag([0.0, -4.0, 0.5]), base=W).error, 9)
    0.5
    """

    r: int

    needs_base: ClassVar[bool] = True
    format: ClassVar[str] = "HRA"

    def __post_init__(self) -> None:
        counts(self, "r")

    def check(self, shape: Shape) -> None:
        """Refuse more reflections than columns."""
        require_most("r", self.r, shape[1], "the columns of the matrix")

    def n_parameters(self, shape: Shape) -> int:
        """Return ``n r``."""
        return shape[1] * self.r

    def solve(self, target: Target) -> Solved:
        """Return the eigenvectors that belong to the smallest eigenvalues."""
        product = target.weight.T @ target.tuned
        return Solved({"hra_u": smallest_eigenvectors((product + product.T) / 2, self.r)})

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``-2 W U U.T``."""
        u = orthonormal_columns(tensors["hra_u"])
        return -2 * (target.weight @ u) @ u.T

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shape of U."""
        return {"hra_u": (shape[1], self.r)}

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family."""
        return cls(fields.count("r"))

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of HRA; PEFT begins at pairs of equal directions, of which an odd r has none."""
        return {
            "apply_GS": True,
            "init_weights": self.r % 2 == 0,
            "peft_type": self.format,
            "r": self.r,
        }
