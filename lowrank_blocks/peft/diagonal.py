"""MELoRA and DiaBlo: blocks on the diagonal only. PEFT has neither; LoRA holds both with zeros."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.adapters.lora import Lora, lora_config
from lowrank_blocks.adapters.pieces import pieces_of
from lowrank_blocks.peft.checks import counts, require_divides, require_most
from lowrank_blocks.peft.claims import Solved, Tensors
from lowrank_blocks.peft.family import Family
from lowrank_blocks.peft.target import Target
from lowrank_blocks.structures.cells import Block
from lowrank_blocks.structures.checked import laid_out
from lowrank_blocks.structures.grids import DiagonalLocal


@dataclass(frozen=True)
class OnDiagonal(Family):
    """Blocks on the diagonal of a k×k grid, in the file of a LoRA with zeros elsewhere."""

    k: int

    format: ClassVar[str] = "LORA"
    packed: ClassVar[bool] = True
    conv1d: ClassVar[bool] = True

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``B A``."""
        return tensors["lora_B.weight"] @ tensors["lora_A.weight"]


@final
@shows_call("lb.peft.MELoRA(k=4, r=8) for 4 blocks of rank 8")
@dataclass(frozen=True)
class MELoRA(OnDiagonal):
    """MELoRA: k diagonal blocks of rank r. As a LoRA it has rank k r, and k times the numbers.

    Parameters
    ----------
    k : int
        Number of blocks; it divides both sides.
    r : int
        Rank of every block.

    References
    ----------
    Ren et al., arXiv 2402.17263.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> fit = lb.peft.MELoRA(k=2, r=1).nearest(np.diag([4.0, 2.0, 3.0, 1.0]))
    >>> fit.n_parameters, round(fit.error**2, 9)
    (8, 5.0)
    """

    r: int

    def __post_init__(self) -> None:
        counts(self, "k", "r")

    def check(self, shape: Shape) -> None:
        """Refuse a k that does not divide both sides, and a rank above the smaller side of a block."""
        _require_equal(self.k, shape)
        require_most("r", self.r, min(shape) // self.k, "the smaller side of a block")

    def n_parameters(self, shape: Shape) -> int:
        """Return ``r (m + n)``."""
        return self.r * sum(shape)

    def solve(self, target: Target) -> Solved:
        """Return the truncated SVD of every block."""
        best = target.best(DiagonalLocal(self.k), (self.r,) * self.k)
        return Solved(Lora().tensors(best, pieces_of(best), self.k * self.r))

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of LoRA of rank k r."""
        return lora_config({"": self.k * self.r})


@final
@shows_call("lb.peft.DiaBlo(4) for 4 whole blocks")
@dataclass(frozen=True)
class DiaBlo(OnDiagonal):
    """DiaBlo: k whole blocks on the diagonal. As a LoRA it has full rank.

    Parameters
    ----------
    k : int
        Number of blocks; it divides both sides.

    References
    ----------
    Gurses et al., arXiv 2506.03230.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> fit = lb.peft.DiaBlo(2).nearest(np.ones((4, 4)))
    >>> fit.n_parameters, round(fit.error**2, 9)
    (8, 8.0)
    """

    def __post_init__(self) -> None:
        counts(self, "k")

    def check(self, shape: Shape) -> None:
        """Refuse a k that does not divide both sides."""
        _require_equal(self.k, shape)

    def n_parameters(self, shape: Shape) -> int:
        """Return ``m n / k``."""
        return shape[0] * shape[1] // self.k

    def solve(self, target: Target) -> Solved:
        """Return the blocks, each times an identity on its smaller side."""
        layout = laid_out(DiagonalLocal(self.k), target.shape)
        (m, n), side = target.shape, min(target.shape) // self.k
        b, a = np.zeros((m, self.k * side)), np.zeros((self.k * side, n))
        for k, (cell, block) in enumerate(zip(layout.cells(), layout.split(target.matrix), strict=True)):
            span, identity = slice(k * side, (k + 1) * side), np.eye(side)
            wide = m <= n
            b[Block(cell.rows, span).index] = identity if wide else block
            a[Block(span, cell.cols).index] = block if wide else identity
        return Solved({"lora_A.weight": a, "lora_B.weight": b})

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of LoRA of full rank."""
        return lora_config({"": min(shape)})


def _require_equal(k: int, shape: Shape) -> None:
    """Refuse a k that does not cut both sides into equal parts."""
    require_divides("k", k, shape[0], "the rows of the matrix")
    require_divides("k", k, shape[1], "its columns")
