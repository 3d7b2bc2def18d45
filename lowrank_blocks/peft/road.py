"""RoAd: pairs of outputs are rotated and scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.peft.checks import counts, require_divides
from lowrank_blocks.peft.claims import Sizes, Solved, Tensors
from lowrank_blocks.peft.family import Readable
from lowrank_blocks.peft.linear import Array, least_squares
from lowrank_blocks.peft.scalings import RowTerms
from lowrank_blocks.peft.stored import Fields
from lowrank_blocks.peft.target import Target


@final
@shows_call("lb.peft.RoAd(1) for the variant road_1")
@dataclass(frozen=True)
class RoAd(Readable):
    """RoAd: row p of the tuned weight is ``a_p W_p - b_p W_q``, and row q is ``a_q W_q + b_q W_p``.

    Variant 1 has one a and one b a pair of rows, variant 2 one of each a row. Variant 4 has twice the numbers
    of variant 2 and holds the same matrices. PEFT rotates the bias, too.

    Parameters
    ----------
    variant : {1, 2, 4}
        Numbers a row, in PEFT ``road_1``, ``road_2`` and ``road_4``.
    group_size : int
        Rows of a group: row p of its first half and row ``q = p + group_size / 2`` are a pair. Even, and a
        divisor of m.

    References
    ----------
    Liao & Monz, "3-in-1: 2D Rotary Adaptation for Efficient Finetuning, Efficient Batching and
    Composability", arXiv 2409.00119.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> W, turn = np.eye(2), np.array([[0.0, -2.0], [2.0, 0.0]])
    >>> fit = lb.peft.RoAd(1, group_size=2).nearest(turn @ W - W, base=W)
    >>> round(fit.error, 9), fit.tensors()["road_alpha"].round(9).tolist()
    (0.0, [2.0])
    """

    variant: int = 1
    group_size: int = 2

    needs_base: ClassVar[bool] = True
    format: ClassVar[str] = "ROAD"

    def __post_init__(self) -> None:
        counts(self, "variant", "group_size")
        if self.variant not in (1, 2, 4):
            raise ValueError(f"variant must be 1, 2 or 4, got {self.variant}.")
        if self.group_size % 2:
            raise ValueError(f"group_size must be even, got {self.group_size}.")

    def check(self, shape: Shape) -> None:
        """Refuse groups that do not divide the rows."""
        require_divides("group_size", self.group_size, shape[0], "the rows of the matrix")

    def n_parameters(self, shape: Shape) -> int:
        """Return m, 2 m or 4 m: an angle and a length for each pair, row, or row and term."""
        return self.variant * shape[0]

    def solve(self, target: Target) -> Solved:
        """Return angles and lengths of the best a and b."""
        terms = np.stack([target.weight, _rotated(target.weight, self.group_size)])
        if self.variant > 1:
            a, b = least_squares(RowTerms(terms), target.matrix).T
            return Solved(self._polar(1 + a, b))
        m, n = target.shape
        pairs = terms.reshape(2, -1, 2, self.group_size // 2, n).swapaxes(2, 3).reshape(2, m // 2, -1)
        matrix = target.matrix.reshape(-1, 2, self.group_size // 2, n).swapaxes(1, 2).reshape(m // 2, -1)
        a, b = least_squares(RowTerms(pairs), matrix).T
        return Solved(self._polar(1 + a, b))

    def _polar(self, a: Array, b: Array) -> Tensors:
        """Return the tensors; variant 4 takes the cosine of one angle and the sine of another."""
        if self.variant < 4:
            return {"road_theta": np.arctan2(b, a), "road_alpha": np.hypot(a, b)}
        lengths = np.stack([x.reshape(-1, self.group_size) for x in (a, b)], axis=1)
        angles = np.zeros_like(lengths)
        angles[:, 1] = np.pi / 2
        return {"road_theta": angles.ravel(), "road_alpha": lengths.ravel()}

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``(a - 1) * W + b * W'`` with W' the rows of pairs exchanged and the first negated."""
        a, b = self._columns(tensors["road_theta"], tensors["road_alpha"])
        turned = _rotated(target.weight, self.group_size)
        return (a - 1)[:, None] * target.weight + b[:, None] * turned

    def _columns(self, theta: Array, alpha: Array) -> tuple[Array, Array]:
        """Return a and b of every row."""
        if self.variant == 4:
            theta, alpha = (x.reshape(-1, 2, self.group_size) for x in (theta, alpha))
            first, second = alpha[:, 0] * np.cos(theta[:, 0]), alpha[:, 1] * np.sin(theta[:, 1])
            return first.ravel(), second.ravel()
        if self.variant == 1:
            theta, alpha = (
                np.repeat(x.reshape(-1, self.group_size // 2), 2, axis=0).ravel() for x in (theta, alpha)
            )
        return alpha * np.cos(theta), alpha * np.sin(theta)

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of the angles and the lengths."""
        count = self.n_parameters(shape) // 2
        return {"road_theta": (count,), "road_alpha": (count,)}

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family."""
        variants = {f"road_{variant}": variant for variant in (1, 2, 4)}
        return cls(fields.one_of("variant", variants), group_size=fields.count("group_size"))

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of RoAd."""
        return {
            "group_size": self.group_size,
            "init_weights": True,
            "peft_type": self.format,
            "variant": f"road_{self.variant}",
        }


def _rotated(weight: Array, group_size: int) -> Array:
    """Return the rows with those of every pair exchanged, and the first of them negated."""
    halves = weight.reshape(-1, 2, group_size // 2, weight.shape[1])
    return np.stack([-halves[:, 1], halves[:, 0]], axis=1).reshape(weight.shape)
