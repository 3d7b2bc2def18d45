"""KaSA, OSF and PSOFT, which begin at the singular value decomposition of the base weight."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.adapters.lora import lora_config
from lowrank_blocks.peft.checks import counts, require_most
from lowrank_blocks.peft.claims import Sizes, Solved, Tensors
from lowrank_blocks.peft.family import Family, Readable
from lowrank_blocks.peft.lowrank import lora_reading, lora_shapes, truncated
from lowrank_blocks.peft.stored import Fields, Reading
from lowrank_blocks.peft.target import Target


@dataclass(frozen=True)
class _Replaced(Readable):
    """The r smallest singular components of the weight go, and a matrix of rank r comes."""

    r: int

    needs_base: ClassVar[bool] = True

    def __post_init__(self) -> None:
        counts(self, "r")

    def check(self, shape: Shape) -> None:
        """Refuse a rank that leaves nothing of the weight."""
        require_most("r", self.r, min(shape) - 1, "the smaller side of the matrix less 1")

    def n_parameters(self, shape: Shape) -> int:
        """Return ``r (m + n + 1)``."""
        return self.r * (sum(shape) + 1)

    def solve(self, target: Target) -> Solved:
        """Return the truncated SVD of the update and what has gone."""
        return Solved(self.named(*truncated(target.freed(self.r), self.r)))

    @abstractmethod
    def named(self, b: Matrix, a: Matrix) -> Tensors:
        """Return the factors as PEFT names them."""


@final
@shows_call("lb.peft.KaSA(8) for rank 8")
@dataclass(frozen=True)
class KaSA(_Replaced):
    """KaSA: the r smallest singular values of the weight go, and a matrix of rank r comes.

    With T the part of the weight that goes, ``dW = B diag(d) A - T``, so ``[dW + T]_r`` is nearest. PEFT
    computes T in float32.

    Parameters
    ----------
    r : int
        Rank; below the smaller side.

    References
    ----------
    Wang et al., arXiv 2412.06071.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> W = np.diag([4.0, 3.0, 1.0])
    >>> round(lb.peft.KaSA(1).nearest(np.diag([2.0, 0.0, 0.0]), base=W).error, 9)
    1.0
    """

    format: ClassVar[str] = "LORA"
    reading: ClassVar[Reading] = lora_reading(("kasa_config", True))

    def named(self, b: Matrix, a: Matrix) -> Tensors:
        """Return the factors as PEFT names them."""
        return {"lora_A.weight": a, "lora_B.weight": b, "lora_diag": np.ones(self.r)}

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``B diag(d) A - T``."""
        b = tensors["lora_B.weight"] * tensors["lora_diag"]
        return b @ tensors["lora_A.weight"] - target.smallest(self.r)

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of A, B and d."""
        return lora_shapes(shape, self.r) | {"lora_diag": (self.r,)}

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family; the numbers of KaSA itself are those of its training."""
        fields.inside("kasa_config")
        return cls(fields.count("r"))

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of LoRA with those of KaSA at their defaults."""
        return lora_config({"": self.r}) | {"kasa_config": {"beta": 1e-4, "gamma": 1e-3}}


@final
@shows_call("lb.peft.OSF(8) to train 8 directions")
@dataclass(frozen=True)
class OSF(_Replaced):
    """OSF: the r smallest singular components of the weight are free.

    What is added has the form ``U diag(s) V - T``, with T what is free at the start; so ``[dW + T]_r`` is
    nearest. PEFT calls the number of singular values that stay ``effective_rank``; while training, it keeps
    U and V orthogonal to what stays, and in files it does not. PEFT computes T in float32.

    Parameters
    ----------
    r : int
        Number of components that are free; below the smaller side.

    References
    ----------
    Nayak et al., "Sculpting Subspaces: Constrained Full Fine-Tuning in LLMs for Continual Learning",
    arXiv 2504.07097.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> fit = lb.peft.OSF(1).nearest(np.diag([2.0, 0.0]), base=np.diag([4.0, 1.0]))
    >>> fit.n_parameters, round(fit.error, 9)
    (5, 1.0)
    """

    format: ClassVar[str] = "OSF"

    def named(self, b: Matrix, a: Matrix) -> Tensors:
        """Return the factors as PEFT names them."""
        return {_OSF + "U_low": b, _OSF + "S_low": np.ones(self.r), _OSF + "V_low": a}

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``U diag(s) V - T``."""
        u = tensors[_OSF + "U_low"] * tensors[_OSF + "S_low"]
        return u @ tensors[_OSF + "V_low"] - target.smallest(self.r)

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of U, s and V."""
        (m, n), r = shape, self.r
        return {_OSF + "U_low": (m, r), _OSF + "S_low": (r,), _OSF + "V_low": (r, n)}

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family: what is free is what does not stay."""
        free = min(fields.known_shape) - fields.count("effective_rank")
        if free < 1:
            raise ValueError(
                f"effective_rank must be below the smaller side of {fields.module!r}, "
                f"{min(fields.known_shape)}, got {fields.count('effective_rank')}."
            )
        return cls(free)

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of OSF, which counts what stays."""
        return {"effective_rank": min(shape) - self.r, "peft_type": self.format}


_OSF = "osf_svd_params."


@final
@shows_call("lb.peft.PSOFT(46) for a matrix of 46 by 46")
@dataclass(frozen=True)
class PSOFT(Family):
    """PSOFT without its constraint: ``dW = U S (R - I) V.T`` with the r leading singular vectors of W.

    As R is any matrix, so is what stands between the singular vectors, and the projection of the update
    on them is nearest. A file holds R only, and PEFT finds U and V anew when it loads it. Their signs are not
    determined and R depends on them, so no file is written.

    Parameters
    ----------
    r : int
        Side of R.

    References
    ----------
    Wu et al., "Efficient Orthogonal Fine-Tuning with Principal Subspace Adaptation", arXiv 2505.11235.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> fit = lb.peft.PSOFT(1).nearest(np.diag([2.0, 1.0]), base=np.diag([4.0, 1.0]))
    >>> fit.n_parameters, round(fit.error, 9)
    (1, 1.0)
    """

    r: int

    needs_base: ClassVar[bool] = True
    format: ClassVar[str] = "PSOFT"
    unwritten: ClassVar[str] = "PEFT finds the singular vectors anew, and R depends on their signs"

    def __post_init__(self) -> None:
        counts(self, "r")

    def check(self, shape: Shape) -> None:
        """Refuse a side above the smaller side."""
        require_most("r", self.r, min(shape), "the smaller side of the matrix")

    def n_parameters(self, shape: Shape) -> int:
        """Return ``r^2``."""
        return self.r**2

    def solve(self, target: Target) -> Solved:
        """Return R."""
        u, s, vt = target.weight_svd
        u, s, vt = u[:, : self.r], s[: self.r, None], vt[: self.r]
        # a singular value of zero leaves nothing that R could reach
        reached = s > 64 * max(target.shape) * np.finfo(np.float64).eps * s[0]
        inside = np.divide(u.T @ target.matrix @ vt.T, s, out=np.zeros((self.r, self.r)), where=reached)
        return Solved({"psoft_R.weight": np.eye(self.r) + inside})

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``U S (R - I) V.T``."""
        u, s, vt = target.weight_svd
        inside = s[: self.r, None] * (tensors["psoft_R.weight"] - np.eye(self.r))
        return u[:, : self.r] @ inside @ vt[: self.r]

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of PSOFT."""
        return {"ab_svd_init": "psoft_init", "peft_type": self.format, "psoft_alpha": self.r, "r": self.r}
