"""DoRA: rows of a LoRA-tuned weight with lengths of their own, by alternation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.adapters.lora import lora_config
from lowrank_blocks.linalg import Factors
from lowrank_blocks.peft.claims import Claim, Sizes, Solved, Tensors
from lowrank_blocks.peft.linear import Array, least_squares
from lowrank_blocks.peft.lowrank import OfRank, lora_reading, lora_shapes, truncated
from lowrank_blocks.peft.scalings import RowTerms
from lowrank_blocks.peft.stored import Reading
from lowrank_blocks.peft.target import Target, norm_of

_SWEEPS = 20
_GAIN = 1e-4  # relative gain of a sweep below which alternation ends
_LEAST = 1e-6  # scales of rows nearer to 0 are moved away from it: PEFT divides by them


@dataclass(frozen=True, eq=False)
class _State:
    """Scales less 1 of all rows, the factors of what is added, and the error of both."""

    moved: Array
    factors: Factors
    error: float


@final
@shows_call("lb.peft.DoRA(8) for rank 8")
class DoRA(OfRank):
    """DoRA: ``W' = diag(m / |V|) V`` with ``V = W + B A`` and |V| the lengths of its rows.

    The same set is ``D W + Y`` with D diagonal and Y of rank r. Alternation between D, one regression a row,
    and Y, a truncated SVD, never raises the error, and begins at the better of LoRA and scaled
    rows; so the error is at most that of ``LoRA(r)`` and of ``IA3("rows")``, up to rounding. It is an upper
    bound: no closed form is known.

    Parameters
    ----------
    r : int
        Rank.

    References
    ----------
    Liu et al., arXiv 2402.09353.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> W = np.array([[1.0, 2.0], [3.0, 1.0]])
    >>> fit = lb.peft.DoRA(1).nearest(np.diag([2.0, 3.0]) @ W, base=W)
    >>> fit.guarantee.value, fit.error <= lb.peft.LoRA(1).nearest(np.diag([2.0, 3.0]) @ W).error
    ('upper bound', True)
    """

    needs_base: ClassVar[bool] = True
    format: ClassVar[str] = "LORA"
    conv1d: ClassVar[bool] = True
    reading: ClassVar[Reading] = lora_reading(("use_dora", True))

    def n_parameters(self, shape: Shape) -> int:
        """Return ``r (m + n) + m``."""
        return self.r * sum(shape) + shape[0]

    def solve(self, target: Target) -> Solved:
        """Return what alternation finds."""
        scales, (b, a) = self._alternated(target)
        scales = np.where(np.abs(scales) < _LEAST, np.copysign(_LEAST, scales), scales)
        b = b / scales[:, None]
        lengths = _lengths(target.weight + b @ a)
        tensors = {
            "lora_A.weight": a,
            "lora_B.weight": b,
            "lora_magnitude_vector": scales * lengths,
        }
        return Solved(tensors, Claim.UPPER)

    def _alternated(self, target: Target) -> tuple[Array, Factors]:
        """Return the scales of the rows and the factors of what is added."""
        b, a = truncated(target, self.r)
        lora = _State(np.zeros(target.shape[0]), (b, a), norm_of(target.matrix - b @ a))
        scaled = self._swept(target, np.zeros(target.shape))
        state = min(lora, scaled, key=lambda state: state.error)
        for _ in range(_SWEEPS):
            b, a = state.factors
            tried = self._swept(target, b @ a)
            if tried.error >= state.error:
                break
            gain, state = 1 - tried.error / state.error, tried
            if gain < _GAIN:
                break
        return 1 + state.moved, state.factors

    def _swept(self, target: Target, added: Array) -> _State:
        """Return the best scales for what is added, and then the best of what is added for them."""
        moved = least_squares(RowTerms(target.weight[None]), target.matrix - added)[:, 0]
        rest = target.matrix - moved[:, None] * target.weight
        b, a = truncated(Target(rest, None), self.r)
        return _State(moved, (b, a), norm_of(rest - b @ a))

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``diag(m / |V|) V - W``."""
        moved = target.weight + tensors["lora_B.weight"] @ tensors["lora_A.weight"]
        lengths = _lengths(moved)
        scales = np.divide(
            tensors["lora_magnitude_vector"], lengths, out=np.zeros_like(lengths), where=lengths > 0
        )
        return np.asarray(scales[:, None] * moved - target.weight)

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of A, B and the lengths."""
        return lora_shapes(shape, self.r) | {"lora_magnitude_vector": (shape[0],)}

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of LoRA with ``use_dora``."""
        return lora_config({"": self.r}) | {"use_dora": True}


def _lengths(rows: Array) -> Array:
    return np.asarray(np.sqrt(np.square(rows).sum(axis=1)))
