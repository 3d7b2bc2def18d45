"""VeRA and RandLoRA: numbers between fixed random matrices, of which one half is fixed here, too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.peft.checks import counts, require_most
from lowrank_blocks.peft.claims import Claim, Sizes, Solved, Tensors
from lowrank_blocks.peft.family import Readable
from lowrank_blocks.peft.generators import as_seed, uniform
from lowrank_blocks.peft.linear import Array, LinearMap, least_squares
from lowrank_blocks.peft.scalings import RowTerms
from lowrank_blocks.peft.stored import Fields, Reading
from lowrank_blocks.peft.target import Target

_D_INITIAL = 0.1  # PEFT's first value of d


@final
@shows_call("lb.peft.VeRA(256) for projections of rank 256")
@dataclass(frozen=True)
class VeRA(Readable):
    """VeRA: ``dW = diag(b) B diag(d) A`` with A and B fixed by a seed. Here d keeps PEFT's first value, 0.1.

    For that d every b_i is a regression. Other d may be nearer.

    Parameters
    ----------
    r : int
        Rank of the projections.
    seed : int
        PEFT's ``projection_prng_key``. A and B are drawn as PyTorch draws them for one matrix; the file has
        them, too.

    References
    ----------
    Kopiczko et al., arXiv 2310.11454.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> fit = lb.peft.VeRA(4).nearest(np.eye(3))
    >>> fit.n_parameters, fit.guarantee.value
    (7, 'optimal with one half fixed')
    """

    r: int
    seed: int = 0

    format: ClassVar[str] = "VERA"
    conv1d: ClassVar[bool] = True
    fixed: ClassVar[tuple[str, ...]] = ("base_model.vera_A", "base_model.vera_B")
    reading: ClassVar[Reading] = Reading(shared=fixed, idle={"d_initial": None})

    def __post_init__(self) -> None:
        counts(self, "r")
        object.__setattr__(self, "seed", as_seed(self.seed, "seed"))

    def check(self, shape: Shape) -> None:
        """Fit any shape."""

    def n_parameters(self, shape: Shape) -> int:
        """Return ``m + r``."""
        return shape[0] + self.r

    def solve(self, target: Target) -> Solved:
        """Return b for d of 0.1."""
        m, n = target.shape
        bounds = math.sqrt(6 / n), math.sqrt(6 / self.r)  # Kaiming's, by the second side
        a, b = uniform(((self.r, n), (m, self.r)), bounds, self.seed)
        rows = b @ a * _D_INITIAL
        scales = least_squares(RowTerms(rows[None]), target.matrix)[:, 0]
        tensors = {
            "vera_lambda_b": scales,
            "vera_lambda_d": np.full(self.r, _D_INITIAL),
            "base_model.vera_A": a,
            "base_model.vera_B": b,
        }
        return Solved(tensors, Claim.HALF)

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``diag(b) B diag(d) A``; modules share the largest projections, and take parts of them."""
        m, n = target.shape
        left = tensors["vera_lambda_b"][:, None] * tensors["base_model.vera_B"][:m]
        return np.asarray(left @ (tensors["vera_lambda_d"][:, None] * tensors["base_model.vera_A"][:, :n]))

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of b and d, and of the projections."""
        (m, n), r = shape, self.r
        shared = {"base_model.vera_A": (r, n), "base_model.vera_B": (m, r)}
        return {"vera_lambda_b": (m,), "vera_lambda_d": (r,), **shared}

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family."""
        return cls(fields.count("r"), seed=fields.count("projection_prng_key", least=0))

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of VeRA; the projections are in the file."""
        return {
            "d_initial": _D_INITIAL,
            "peft_type": self.format,
            "projection_prng_key": self.seed,
            "r": self.r,
            "save_projection": True,
            "vera_dropout": 0.0,
        }


@dataclass(frozen=True, eq=False)
class _Columns(LinearMap):
    """For every column j the sum over bases b of ``g[j, b] L_b diag(A[:, j])``, with L = (max, r, bases)."""

    left: Array
    right: Array

    def forward(self, numbers: Array) -> Array:
        """Return the sums, (max, min), of (min, bases) numbers."""
        inner = self.right[:, None, :] * numbers.T[None]
        return self._flat @ inner.reshape(-1, numbers.shape[0])

    def adjoint(self, matrix: Array) -> Array:
        """Return the products of every column with its own terms."""
        products = (self._flat.T @ matrix).reshape(*self.left.shape[1:], -1)
        return np.asarray(np.einsum("kbj,kj->jb", products, self.right))

    def grams(self) -> Array:
        """Return the Gram matrices of the terms of every column."""
        _, r, bases = self.left.shape
        gram = (self._flat.T @ self._flat).reshape(r, bases, r, bases).swapaxes(1, 2)
        pairs = (self.right[:, None] * self.right[None]).reshape(r * r, -1)
        return (pairs.T @ gram.reshape(r * r, -1)).reshape(-1, bases, bases)

    @property
    def _flat(self) -> Array:
        return self.left.reshape(len(self.left), -1)


@final
@shows_call("lb.peft.RandLoRA(32) for bases of rank 32")
@dataclass(frozen=True)
class RandLoRA(Readable):
    """RandLoRA: a sum of ``B_i diag(lambda_i) A diag(gamma_i)`` with fixed bases. Here all lambda are 1.

    For them every column of gamma is a regression. Other lambda may be nearer. The bases are drawn by
    numpy's generator, with entries that bfloat16 and float16 hold exactly, and are in the file. PEFT
    pairs the columns of the bases in another order than the sum says, which is followed.

    Parameters
    ----------
    r : int
        Rank of every base; there are as many as full rank needs.
    seed : int
        Of the bases.

    References
    ----------
    Albert et al., arXiv 2502.00987.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> fit = lb.peft.RandLoRA(2).nearest(np.eye(4))
    >>> fit.n_parameters, fit.guarantee.value
    (12, 'optimal with one half fixed')
    """

    r: int
    seed: int = 0

    format: ClassVar[str] = "RANDLORA"
    conv1d: ClassVar[bool] = True
    fixed: ClassVar[tuple[str, ...]] = (
        "base_model.randlora_A",
        "base_model.randlora_B",
        "randlora_A",
        "randlora_B",
    )
    reading: ClassVar[Reading] = Reading(
        shared=fixed,
        scale=("randlora_gamma", "randlora_alpha", "r"),
        idle={"sparse": None, "very_sparse": None},
    )

    def __post_init__(self) -> None:
        counts(self, "r")
        object.__setattr__(self, "seed", as_seed(self.seed, "seed"))

    def check(self, shape: Shape) -> None:
        """Refuse a rank above the smaller side."""
        require_most("r", self.r, min(shape), "the smaller side of the matrix")

    def bases(self, shape: Shape) -> int:
        """Return how many bases there are."""
        return -(-min(shape) // self.r)

    def n_parameters(self, shape: Shape) -> int:
        """Return ``bases (r + min(m, n))``."""
        return self.bases(shape) * (self.r + min(shape))

    def solve(self, target: Target) -> Solved:
        """Return gamma for lambda of 1."""
        least, most = sorted(target.shape)
        bases, rng = self.bases(target.shape), np.random.default_rng(self.seed)
        a = _dyadic(rng, (self.r, 1, least))
        b = _dyadic(rng, (most, bases, self.r))
        # flattened, B runs over bases and then ranks, A over ranks and then bases
        columns = _Columns(b.reshape(most, self.r, bases), a[:, 0])
        gamma = least_squares(columns, self._tall(target.matrix))
        tensors = {
            "randlora_lambda": np.ones((self.r, bases)),
            "randlora_gamma": np.ascontiguousarray(gamma.T),
        }
        for place in ("base_model.", ""):  # PEFT wants the bases with every module, too
            tensors |= {f"{place}randlora_A": a, f"{place}randlora_B": b}
        return Solved(tensors, Claim.HALF)

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return the sum, transposed if the matrix is wide."""
        least, most = sorted(target.shape)
        bases = self.bases(target.shape)
        scaled = tensors["randlora_lambda"][:, :, None] * tensors["base_model.randlora_A"][:, :bases, :least]
        right = (scaled * tensors["randlora_gamma"][None]).reshape(-1, least)
        left = tensors["base_model.randlora_B"][:most, :bases]
        return self._tall(left.reshape(len(left), -1) @ right, target.shape)

    @staticmethod
    def _tall(matrix: Array, shape: Shape | None = None) -> Array:
        m, n = shape or matrix.shape
        return matrix if m >= n else matrix.T

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of lambda and gamma, and of the bases."""
        (least, most), bases = sorted(shape), self.bases(shape)
        found: dict[str, tuple[int, ...]] = {
            "randlora_lambda": (self.r, bases),
            "randlora_gamma": (bases, least),
        }
        for place in ("base_model.", ""):
            found |= {f"{place}randlora_A": (self.r, 1, least), f"{place}randlora_B": (most, bases, self.r)}
        return found

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family."""
        return cls(fields.count("r"), seed=fields.count("projection_prng_key", least=0))

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of RandLoRA; the bases are in the file."""
        return {
            "peft_type": self.format,
            "projection_prng_key": self.seed,
            "r": self.r,
            "randlora_alpha": self.r,
            "randlora_dropout": 0.0,
            "save_projection": True,
        }


def _dyadic(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return entries of about unit variance with 6 bits each."""
    return (rng.integers(-27, 28, shape) + 0.5) / 16
