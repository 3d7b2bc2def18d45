"""IA3 and GLoRA: the weight is scaled and shifted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.peft.claims import Sizes, Solved, Tensors
from lowrank_blocks.peft.family import Readable
from lowrank_blocks.peft.linear import Array, LinearMap, least_squares
from lowrank_blocks.peft.stored import Fields, Reading
from lowrank_blocks.peft.target import Target


@dataclass(frozen=True, eq=False)
class RowTerms(LinearMap):
    """Every row is a combination of c rows of its own, given as a (c, m, n) array."""

    terms: Array

    def forward(self, numbers: Array) -> Array:
        """Return the combinations of (m, c) numbers."""
        return np.asarray(np.einsum("cmn,mc->mn", self.terms, numbers))

    def adjoint(self, matrix: Array) -> Array:
        """Return the products of every row with its own."""
        return np.asarray(np.einsum("cmn,mn->mc", self.terms, matrix))

    def grams(self) -> Array:
        """Return the products of the rows of every place."""
        by_row = self.terms.swapaxes(0, 1)
        return by_row @ by_row.swapaxes(1, 2)


@final
@shows_call('lb.peft.IA3("rows") or lb.peft.IA3("columns")')
@dataclass(frozen=True)
class IA3(Readable):
    """IA3: every row of the weight is scaled, or, as for feed-forward modules, every column.

    Parameters
    ----------
    axis : {"rows", "columns"}
        What is scaled. With rows PEFT scales the bias, too.

    References
    ----------
    Liu et al., arXiv 2205.05638.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> fit = lb.peft.IA3("rows").nearest([[2.0, 0.0], [3.0, 3.0]], base=np.ones((2, 2)))
    >>> fit.tensors()["ia3_l"].ravel().tolist(), round(fit.error**2, 9)
    ([2.0, 4.0], 2.0)
    """

    axis: str = "rows"

    needs_base: ClassVar[bool] = True
    format: ClassVar[str] = "IA3"
    conv1d: ClassVar[bool] = True
    reading: ClassVar[Reading] = Reading(idle={"init_ia3_weights": None})

    def __post_init__(self) -> None:
        if self.axis not in ("rows", "columns"):
            raise ValueError(f'axis must be "rows" or "columns", got {self.axis!r}.')

    def check(self, shape: Shape) -> None:
        """Fit any shape."""

    def n_parameters(self, shape: Shape) -> int:
        """Return m for rows, n for columns."""
        return shape[self.axis == "columns"]

    def solve(self, target: Target) -> Solved:
        """Return the scales: one regression a row or column."""
        wide = self.axis == "rows"
        weight, matrix = (x if wide else x.T for x in (target.weight, target.matrix))
        scales = 1 + least_squares(RowTerms(weight[None]), matrix)
        return Solved({"ia3_l": scales if wide else scales.T})

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``W * (l - 1)``."""
        return np.asarray(target.weight * (tensors["ia3_l"] - 1))

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shape of the scales."""
        return {"ia3_l": (shape[0], 1) if self.axis == "rows" else (1, shape[1])}

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family: PEFT matches a text, and looks for ends of the path of the module in a list."""
        modules = fields["feedforward_modules"]
        if isinstance(modules, str):
            forward = re.fullmatch(modules, fields.module) is not None
        else:
            forward = any(fields.module.endswith(end) for end in modules or ())
        return cls("columns" if forward else "rows")

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of IA3; all modules or none are feed-forward."""
        modules = [] if self.axis == "rows" else ".*"
        return {"feedforward_modules": modules, "init_ia3_weights": True, "peft_type": self.format}


@final
@shows_call('lb.peft.GLoRA("vector") or lb.peft.GLoRA("constant")')
@dataclass(frozen=True)
class GLoRA(Readable):
    """GLoRA with vectors or constants: ``dW = a * W + b``, with a and b of every row or of all.

    Parameters
    ----------
    kind : {"vector", "constant"}
        Whether every row has a scale and a shift of its own.

    References
    ----------
    Chavan et al., arXiv 2306.07967.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> W = np.array([[1.0, 2.0, 4.0]])
    >>> round(lb.peft.GLoRA("vector").nearest(3 * W + 1, base=W).error, 9)
    0.0
    """

    kind: str = "vector"

    needs_base: ClassVar[bool] = True
    format: ClassVar[str] = "GLORA"
    reading: ClassVar[Reading] = Reading(idle={"r": None})
    fixed: ClassVar[tuple[str, ...]] = ("glora_C.zeros", "glora_D.zeros", "glora_E.zeros")

    def __post_init__(self) -> None:
        if self.kind not in ("vector", "constant"):
            raise ValueError(f'kind must be "vector" or "constant", got {self.kind!r}.')

    def check(self, shape: Shape) -> None:
        """Fit any shape."""

    def n_parameters(self, shape: Shape) -> int:
        """Return 2 m, or 2."""
        return 2 * shape[0] if self.kind == "vector" else 2

    def solve(self, target: Target) -> Solved:
        """Return scales and shifts: one regression a row, or one in all."""
        weight, matrix = target.weight, target.matrix
        if self.kind == "constant":
            weight, matrix = weight.reshape(1, -1), matrix.reshape(1, -1)
        # about its mean a row is orthogonal to a shift
        mean = weight.mean(axis=1, keepdims=True)
        terms = np.stack([weight - mean, np.ones_like(weight)])
        scale, shift = least_squares(RowTerms(terms), matrix).T
        shift = shift - scale * mean[:, 0]
        shapes = self.tensor_shapes(target.shape)
        trained = {"glora_A.X": scale, "glora_B.X": shift}
        return Solved(
            {name: numbers.reshape(shapes[name]) for name, numbers in trained.items()}
            | {name: np.zeros(shapes[name]) for name in self.fixed}
        )

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``a * W + b``."""
        return target.weight * tensors["glora_A.X"] + tensors["glora_B.X"]

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of scales and shifts, and of what is left alone."""
        (m, n), numbers = shape, (shape[0], 1) if self.kind == "vector" else (1,)
        unused = zip(self.fixed, ((n, 1), (m,), (m,)), strict=True)
        return {"glora_A.X": numbers, "glora_B.X": numbers, **dict(unused)}

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family."""
        return cls(fields.one_of("config_A_B", {"vector": "vector", "constant": "constant"}))

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of GLoRA, which leaves the bias alone."""
        return {"config_A_B": self.kind, "config_C": "none", "config_D_E": "none", "peft_type": self.format}
