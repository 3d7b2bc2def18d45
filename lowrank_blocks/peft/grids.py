"""GraLoRA and BD-LoRA: blocks of one rank on a grid, which add up to one file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.adapters.bdlora import Bdlora
from lowrank_blocks.adapters.gralora import Gralora
from lowrank_blocks.adapters.lora import lora_config
from lowrank_blocks.adapters.pieces import pieces_of
from lowrank_blocks.peft.checks import counts, require_divides, require_most
from lowrank_blocks.peft.claims import Sizes, Solved, Tensors
from lowrank_blocks.peft.family import TellsShape
from lowrank_blocks.peft.lowrank import lora_reading
from lowrank_blocks.peft.stored import Fields, Reading
from lowrank_blocks.peft.target import Target
from lowrank_blocks.structures.grids import Localized


@final
@shows_call("lb.peft.GraLoRA(8, k=2) for blocks of rank 4 on a grid of 2 by 2")
@dataclass(frozen=True)
class GraLoRA(TellsShape):
    """GraLoRA: every block of a k×k grid has rank r / k.

    Parameters
    ----------
    r : int
        Rank of the file; k divides it.
    k : int
        Parts of each axis; it divides both sides.

    References
    ----------
    Jung et al., arXiv 2505.20355.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> round(lb.peft.GraLoRA(2, k=2).nearest(np.eye(4)).error ** 2, 9)
    2.0
    """

    r: int
    k: int = 2

    format: ClassVar[str] = "GRALORA"
    conv1d: ClassVar[bool] = True
    reading: ClassVar[Reading] = Reading(scale=("gralora_B", "alpha", "r"))

    def __post_init__(self) -> None:
        counts(self, "r", "k")
        require_divides("k", self.k, self.r, "the rank r")

    def check(self, shape: Shape) -> None:
        """Refuse a k that does not divide both sides, and a rank above the side of a block."""
        require_divides("k", self.k, shape[0], "the rows of the matrix")
        require_divides("k", self.k, shape[1], "its columns")
        require_most("r", self.r, min(shape), "the smaller side of the matrix")

    def n_parameters(self, shape: Shape) -> int:
        """Return ``r (m + n)``."""
        return self.r * sum(shape)

    def solve(self, target: Target) -> Solved:
        """Return the truncated SVD of every block."""
        best = target.best(Localized(self.k), (self.r // self.k,) * self.k**2)
        return Solved(Gralora().tensors(best, pieces_of(best), self.r))

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return the blocks: that in row j and column i is ``B[j, i].T A[i, j].T``."""
        k, (m, n) = self.k, target.shape
        a = tensors["gralora_A"].reshape(k, n // k, k, -1)
        b = tensors["gralora_B"].reshape(k, k, -1, m // k)
        blocks = np.einsum("jisp,iqjs->jpiq", b, a, optimize=True)
        return np.ascontiguousarray(blocks.reshape(m, n))

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of A and B."""
        (m, n), k = shape, self.k
        return {"gralora_A": (k, n // k, self.r), "gralora_B": (k, self.r, m // k)}

    def shape_of(self, sizes: Sizes) -> Shape:
        """Return k times the sides of a block."""
        a, b = sizes["gralora_A"], sizes["gralora_B"]
        return b[0] * b[2], a[0] * a[1]

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family."""
        return cls(fields.count("r"), k=fields.count("gralora_k"))

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of GraLoRA, scaled by 1."""
        return {
            "alpha": self.r,
            "gralora_dropout": 0.0,
            "gralora_k": self.k,
            "hybrid_r": 0,
            "init_weights": True,
            "peft_type": self.format,
            "r": self.r,
        }


@final
@shows_call('lb.peft.BDLoRA(8, k=4, side="A") for 4 stripes of columns of rank 2')
@dataclass(frozen=True)
class BDLoRA(TellsShape):
    """BD-LoRA: one of the two factors of LoRA is block-diagonal, so stripes have rank r / k each.

    Parameters
    ----------
    r : int
        Rank of the file; k divides it.
    k : int
        Number of stripes.
    side : {"A", "B"}
        The block-diagonal factor: with ``"A"`` the stripes are columns, with ``"B"`` rows.

    References
    ----------
    Wang et al., arXiv 2510.23346.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> fit = lb.peft.BDLoRA(2, k=2, side="A").nearest(np.eye(4))
    >>> fit.n_parameters, round(fit.error**2, 9)
    (12, 2.0)
    """

    r: int
    k: int = 2
    side: str = "A"

    format: ClassVar[str] = "LORA"
    reading: ClassVar[Reading] = lora_reading(("use_bdlora", True))

    def __post_init__(self) -> None:
        counts(self, "r", "k")
        if self.k == 1:
            raise ValueError(f"k must be at least 2, got 1; one stripe is lb.peft.LoRA({self.r}).")
        require_divides("k", self.k, self.r, "the rank r")
        if self.side not in ("A", "B"):
            raise ValueError(f'side must be "A" or "B", got {self.side!r}.')

    @property
    def _grid(self) -> tuple[int, int]:
        return (1, self.k) if self.side == "A" else (self.k, 1)

    def check(self, shape: Shape) -> None:
        """Refuse a k that does not divide the side, and a rank above that of a stripe."""
        across = self.side == "A"
        require_divides("k", self.k, shape[across], f"the {'columns' if across else 'rows'} of the matrix")
        m, n = shape[0] // self._grid[0], shape[1] // self._grid[1]
        require_most("r", self.r, self.k * min(m, n), "k times the smaller side of a stripe")

    def n_parameters(self, shape: Shape) -> int:
        """Return ``r (m + n / k)`` or ``r (m / k + n)``."""
        return self.r * (shape[0] // self._grid[0] + shape[1] // self._grid[1])

    def solve(self, target: Target) -> Solved:
        """Return the truncated SVD of every stripe."""
        best = target.best(Localized(*self._grid), (self.r // self.k,) * self.k)
        return Solved(Bdlora().tensors(best, pieces_of(best), self.r))

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return the stripes side by side."""
        (m, n), (rows, cols), share = target.shape, self._grid, self.r // self.k
        a = tensors["lora_A.weight"].reshape(self.k, share, n // cols)
        b = tensors["lora_B.weight"]
        if self.side == "A":
            return np.hstack(list(np.matmul(b.reshape(m, self.k, share).swapaxes(0, 1), a)))
        return np.vstack(list(np.matmul(b.reshape(self.k, m // rows, share), a)))

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of A and B."""
        (m, n), (rows, cols) = shape, self._grid
        return {"lora_A.weight": (self.r, n // cols), "lora_B.weight": (m, self.r // rows)}

    def shape_of(self, sizes: Sizes) -> Shape:
        """Return the rows of B, and k times the columns of A if that is the block-diagonal one."""
        return sizes["lora_B.weight"][0], sizes["lora_A.weight"][1] * self._grid[1]

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family: PEFT looks for parts of the path of the module."""
        blocks = fields.inside("use_bdlora")
        sides = [
            side for side in "AB" if _has_part(fields.module, blocks[f"target_modules_bd_{side.lower()}"])
        ]
        if len(sides) != 1:
            raise ValueError(
                f"use_bdlora must have parts of {fields.module!r} in one of its two lists, got "
                f"{dict(blocks.values)!r}."
            )
        return cls(fields.count("r"), k=blocks.count("nblocks"), side=sides[0])

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of LoRA, and which factor is block-diagonal: "" is part of every name."""
        return lora_config({"": self.r}) | {
            "use_bdlora": {
                "match_strict": True,
                "nblocks": self.k,
                "target_modules_bd_a": [""] if self.side == "A" else [],
                "target_modules_bd_b": [""] if self.side == "B" else [],
            }
        }


def _has_part(module: str, parts: Iterable[str] | None) -> bool:
    return any(part in module for part in parts or ())
