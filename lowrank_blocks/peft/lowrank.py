"""LoRA and its kin that hold the same matrices: all of rank at most r."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.adapters.loading import PLAIN_STARTS
from lowrank_blocks.adapters.lora import Lora, lora_config
from lowrank_blocks.adapters.pieces import pieces_of
from lowrank_blocks.peft.checks import counts, require_most
from lowrank_blocks.peft.claims import Sizes, Solved, Tensors
from lowrank_blocks.peft.family import Readable, TellsShape
from lowrank_blocks.peft.stored import Fields, Reading
from lowrank_blocks.peft.target import Target
from lowrank_blocks.structures.grids import Global

_SCHEDULE = "r", "target_r", "tinit", "tfinal", "deltaT", "beta1", "beta2", "orth_reg_weight", "total_step"


def lora_reading(mark: tuple[str, object] | None = None) -> Reading:
    """Return how a variant of LoRA is told by its mark."""
    any_value = ("corda_config", "eva_config", "loftq_config", "lora_ga_config", "megatron_core")
    return Reading(
        prefix="lora_",
        mark=mark,
        scale=("lora_B.weight", "lora_alpha", "r"),
        patterns={"rank_pattern": "r", "alpha_pattern": "lora_alpha"},
        idle={"init_lora_weights": PLAIN_STARTS, "qalora_group_size": None} | dict.fromkeys(any_value),
    )


@dataclass(frozen=True)
class OfRank(Readable):
    """Matrices of rank at most r: the truncated SVD is nearest (Eckart & Young)."""

    r: int

    any_rank: ClassVar[bool] = True
    rank_field: ClassVar[str] = "r"

    def __post_init__(self) -> None:
        counts(self, "r")

    def check(self, shape: Shape) -> None:
        """Refuse a rank above the smaller side."""
        require_most("r", self.r, min(shape), "the smaller side of the matrix")

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family of the rank that a configuration says."""
        return cls(fields.count(cls.rank_field))


class Factored(OfRank, TellsShape):
    """Products of an (m, r) tensor and an (r, n) tensor, whatever else they are multiplied by."""

    factors: ClassVar[tuple[str, str]]

    def shape_of(self, sizes: Sizes) -> Shape:
        """Return the first side of the one and the second of the other."""
        b, a = self.factors
        return sizes[b][0], sizes[a][1]


class Pair(Factored):
    """The files of LoRA with nothing but A and B."""

    format: ClassVar[str] = "LORA"
    conv1d: ClassVar[bool] = True
    factors: ClassVar[tuple[str, str]] = "lora_B.weight", "lora_A.weight"

    def n_parameters(self, shape: Shape) -> int:
        """Return ``r (m + n)``."""
        return self.r * sum(shape)

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of A and B."""
        return lora_shapes(shape, self.r)


def lora_shapes(shape: Shape, r: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the factors of LoRA."""
    return {"lora_A.weight": (r, shape[1]), "lora_B.weight": (shape[0], r)}


def truncated(target: Target, r: int) -> tuple[Matrix, Matrix]:
    """Return factors (m, r) and (r, n) of the nearest matrix of rank r, each with the roots of its values."""
    best = target.best(Global(), (r,))
    packed = Lora().tensors(best, pieces_of(best), r)
    return packed["lora_B.weight"], packed["lora_A.weight"]


@final
@shows_call("lb.peft.LoRA(8) for rank 8")
class LoRA(Pair):
    """LoRA: ``dW = (alpha / r) B A``.

    Parameters
    ----------
    r : int
        Rank.

    References
    ----------
    Hu et al., arXiv 2106.09685; Eckart & Young, doi 10.1007/BF02288367.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> lb.peft.LoRA(2).nearest(np.diag([4.0, 3.0, 2.0, 1.0]))
    Fit(LoRA(r=2) to a 4×4 matrix, 16 parameters, relative error 0.4082, optimal)
    """

    reading: ClassVar[Reading] = lora_reading()

    def solve(self, target: Target) -> Solved:
        """Return the truncated SVD."""
        b, a = truncated(target, self.r)
        return Solved({"lora_A.weight": a, "lora_B.weight": b})

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``B A``."""
        return tensors["lora_B.weight"] @ tensors["lora_A.weight"]

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of LoRA, scaled by 1."""
        return lora_config({"": self.r})


@final
@shows_call("lb.peft.RsLoRA(8) for rank 8")
class RsLoRA(Pair):
    """Rank-stabilised LoRA: ``dW = (alpha / sqrt(r)) B A``.

    Parameters
    ----------
    r : int
        Rank.

    References
    ----------
    Kalajdzievski, arXiv 2312.03732.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> round(lb.peft.RsLoRA(1).nearest(np.diag([4.0, 3.0])).error, 9)
    3.0
    """

    reading: ClassVar[Reading] = lora_reading(("use_rslora", True))

    def solve(self, target: Target) -> Solved:
        """Return the truncated SVD, divided by the scale."""
        b, a = truncated(target, self.r)
        return Solved({"lora_A.weight": a, "lora_B.weight": b / math.sqrt(self.r)})

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``(r / sqrt(r)) B A``."""
        return self.r / math.sqrt(self.r) * (tensors["lora_B.weight"] @ tensors["lora_A.weight"])

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of LoRA with ``use_rslora``."""
        return lora_config({"": self.r}) | {"use_rslora": True}


@final
@shows_call("lb.peft.AdaLoRA(8) for rank 8")
class AdaLoRA(Factored):
    """AdaLoRA: ``dW = alpha / (r + 1e-5) B diag(E) A``.

    Parameters
    ----------
    r : int
        Rank.

    References
    ----------
    Zhang et al., arXiv 2303.10512.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> fit = lb.peft.AdaLoRA(1).nearest(np.diag([4.0, 3.0]))
    >>> fit.n_parameters, round(fit.error, 9)
    (5, 3.0)
    """

    format: ClassVar[str] = "ADALORA"
    conv1d: ClassVar[bool] = True
    factors: ClassVar[tuple[str, str]] = "lora_B", "lora_A"
    rank_field: ClassVar[str] = "init_r"
    reading: ClassVar[Reading] = Reading(
        prefix="lora_",
        scale=("lora_E", "lora_alpha", "init_r"),
        idle={**lora_reading().idle, **dict.fromkeys(_SCHEDULE)},
    )

    def n_parameters(self, shape: Shape) -> int:
        """Return ``r (m + n + 1)``."""
        return self.r * (sum(shape) + 1)

    def solve(self, target: Target) -> Solved:
        """Return the truncated SVD; E undoes the scale."""
        b, a = truncated(target, self.r)
        scale = np.full((self.r, 1), (self.r + 1e-5) / self.r)
        return Solved({"lora_A": a, "lora_B": b, "lora_E": scale})

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``r / (r + 1e-5) B diag(E) A``."""
        scaled = tensors["lora_A"] * tensors["lora_E"]
        return np.asarray(tensors["lora_B"] @ scaled * (self.r / (self.r + 1e-5)))

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of A, B and E."""
        return {"lora_A": (self.r, shape[1]), "lora_B": (shape[0], self.r), "lora_E": (self.r, 1)}

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of AdaLoRA, whose schedule must have a length."""
        return {
            "init_r": self.r,
            "lora_alpha": self.r,
            "peft_type": self.format,
            "target_r": self.r,
            "total_step": 1,
        }
