"""DEFT, which replaces a subspace of the weight, and PaRa, which removes one."""

from __future__ import annotations

from typing import Any, ClassVar, final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.linalg import orthonormal_columns, smallest_eigenvectors
from lowrank_blocks.peft.claims import Sizes, Solved, Tensors
from lowrank_blocks.peft.lowrank import OfRank, truncated
from lowrank_blocks.peft.stored import Reading
from lowrank_blocks.peft.target import Target


@final
@shows_call("lb.peft.DEFT(8) for rank 8")
class DEFT(OfRank):
    """DEFT: ``dW = P (R - relu(P).T W)``.

    It holds all matrices of rank r, whatever the base: P takes the left factor, and R the right one plus
    what is removed. PEFT computes it in float32.

    Parameters
    ----------
    r : int
        Rank.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> round(lb.peft.DEFT(1).nearest(np.diag([4.0, 3.0]), base=np.ones((2, 2))).error, 9)
    3.0
    """

    needs_base: ClassVar[bool] = True
    format: ClassVar[str] = "DEFT"
    conv1d: ClassVar[bool] = True
    reading: ClassVar[Reading] = Reading(
        scale=("deft_R", "alpha", "r"), idle={"alpha": (None,), "init_scale": None}
    )

    def n_parameters(self, shape: Shape) -> int:
        """Return ``r (m + n)``."""
        return self.r * sum(shape)

    def solve(self, target: Target) -> Solved:
        """Return the truncated SVD, and what its left factor removes."""
        p, a = truncated(target, self.r)
        return Solved({"deft_P": p, "deft_R": a + np.maximum(p, 0).T @ target.weight})

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``P (R - relu(P).T W)``."""
        p = tensors["deft_P"]
        return p @ (tensors["deft_R"] - np.maximum(p, 0).T @ target.weight)

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of P and R."""
        return {"deft_P": (shape[0], self.r), "deft_R": (self.r, shape[1])}

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of DEFT with its default projection."""
        return _fields(self.r, "relu", para=False)


@final
@shows_call("lb.peft.PaRa(8) to remove 8 directions")
class PaRa(OfRank):
    """PaRa, as DEFT has it: ``dW = -Q Q.T W`` with orthonormal Q of r columns.

    The squared error is ``||dW||^2 + trace(Q.T S Q)`` with ``S = W W.T + W dW.T + dW W.T``, so Q spans the
    eigenvectors of its r smallest eigenvalues (Ky Fan). Exactly r directions go, also where fewer would be
    nearer. PEFT computes it in float32.

    Parameters
    ----------
    r : int
        Number of directions of the output, at most m.

    References
    ----------
    Chen et al., "PaRa: Personalizing Text-to-Image Diffusion via Parameter Rank Reduction",
    arXiv 2406.05641; Fan, doi 10.1073/pnas.35.11.652.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> W = np.diag([3.0, 2.0, 1.0])
    >>> lb.peft.PaRa(1).nearest(np.diag([0.0, -2.0, 0.5]), base=W).error
    0.5
    """

    needs_base: ClassVar[bool] = True
    format: ClassVar[str] = "DEFT"
    conv1d: ClassVar[bool] = True
    reading: ClassVar[Reading] = Reading(mark=("para", True), idle={"alpha": None, "init_scale": None})

    def n_parameters(self, shape: Shape) -> int:
        """Return ``r m``."""
        return self.r * shape[0]

    def solve(self, target: Target) -> Solved:
        """Return the eigenvectors that belong to the smallest eigenvalues."""
        # W W^T + W dW^T + dW W^T, without the difference of two large squares
        half = target.weight @ (target.matrix + target.weight / 2).T
        return Solved({"deft_P": smallest_eigenvectors(half + half.T, self.r)})

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``-Q Q.T W``."""
        q = orthonormal_columns(tensors["deft_P"])
        return -(q @ (q.T @ target.weight))

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shape of P."""
        return {"deft_P": (shape[0], self.r)}

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of DEFT with ``para``."""
        return _fields(self.r, "qr", para=True)


def _fields(r: int, method: str, *, para: bool) -> dict[str, Any]:
    return {
        "alpha": None,
        "decomposition_method": method,
        "deft_dropout": 0.0,
        "init_weights": True,
        "para": para,
        "peft_type": "DEFT",
        "r": r,
    }
