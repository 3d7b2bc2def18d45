"""OFT and BOFT: columns of the weight are rotated, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.linalg import best_rotations, cayley, inverse_cayley
from lowrank_blocks.peft.checks import counts, require_divides
from lowrank_blocks.peft.claims import Claim, Sizes, Solved, Tensors
from lowrank_blocks.peft.family import Readable
from lowrank_blocks.peft.linear import Array
from lowrank_blocks.peft.stored import Fields, Reading
from lowrank_blocks.peft.target import Target, norm_of


@dataclass(frozen=True)
class Rotating(Readable):
    """Rotations of blocks of b columns: ``W' = W diag(R_1, ..., R_q).T``."""

    b: int

    needs_base: ClassVar[bool] = True

    def check(self, shape: Shape) -> None:
        """Refuse blocks that do not divide the columns."""
        require_divides("b", self.b, shape[1], "the columns of the matrix")

    def rotations(self, target: Target, *, shared: bool = False) -> tuple[Array, bool, float]:
        """Return S of the best rotations, whether some have half turns, and the error of the rotations.

        With ``N_i = W_i.T T_i`` the squared error is ``|W|^2 + |T|^2 - 2 sum trace(R_i N_i)``: Procrustes'
        problem for every block.
        """
        weight, tuned = (self._blocks(x) for x in (target.weight, target.tuned))
        products = weight.swapaxes(1, 2) @ tuned
        best = best_rotations(products.sum(axis=0, keepdims=True) if shared else products)
        skew, half = inverse_cayley(best)
        return skew, half, norm_of((weight @ best.swapaxes(1, 2) - tuned).reshape(-1, self.b))

    def rotated(self, target: Target, skew: Array) -> Matrix:
        """Return what the rotations of some S add to the weight."""
        blocks = self._blocks(target.weight)
        turned = blocks @ cayley(skew).swapaxes(1, 2) - blocks
        return np.ascontiguousarray(turned.swapaxes(0, 1).reshape(target.shape))

    def _blocks(self, matrix: Array) -> Array:
        return matrix.reshape(len(matrix), -1, self.b).swapaxes(0, 1)


@final
@shows_call("lb.peft.OFT(32) for blocks of 32 columns")
@dataclass(frozen=True)
class OFT(Rotating):
    """OFT with the exact Cayley transform, which is no default of PEFT: ``use_cayley_neumann=False``.

    Every block has its nearest rotation. Cayley's transform does not reach half turns (eigenvalues of -1):
    where one is best the least error is approached, not reached, and the guarantee says ``"infimum"``. PEFT's
    default stands a series of five terms in place of the inverse, and what it gives is not orthogonal.

    Parameters
    ----------
    b : int
        Columns of a block; a divisor of n.
    shared : bool
        Whether all blocks have one rotation, PEFT's ``block_share``.

    References
    ----------
    Qiu et al., arXiv 2306.07280; Schoenemann, doi 10.1007/BF02289451.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> W, turn = np.eye(2), np.array([[0.0, -1.0], [1.0, 0.0]])
    >>> fit = lb.peft.OFT(2).nearest(turn - W, base=W)
    >>> round(fit.error, 9), fit.n_parameters
    (0.0, 1)
    """

    shared: bool = False

    format: ClassVar[str] = "OFT"
    reading: ClassVar[Reading] = Reading(idle={"eps": None, "num_cayley_neumann_terms": None})

    def __post_init__(self) -> None:
        counts(self, "b")
        if self.b == 1:
            raise ValueError("b must be at least 2, for one column cannot turn, got 1.")

    def _angles(self) -> int:
        return self.b * (self.b - 1) // 2

    def n_parameters(self, shape: Shape) -> int:
        """Return ``n (b - 1) / 2``, or ``b (b - 1) / 2`` if shared."""
        return self._angles() * (1 if self.shared else shape[1] // self.b)

    def solve(self, target: Target) -> Solved:
        """Return the upper triangles of all S."""
        skew, half, error = self.rotations(target, shared=self.shared)
        upper = np.triu_indices(self.b, 1)
        tensors = {"oft_R.weight": np.ascontiguousarray(skew[:, *upper])}
        return Solved(tensors, Claim.INFIMUM, error) if half else Solved(tensors)

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``W R.T - W``."""
        angles = tensors["oft_R.weight"]
        skew = np.zeros((len(angles), self.b, self.b))
        skew[:, *np.triu_indices(self.b, 1)] = angles
        return self.rotated(target, skew - skew.swapaxes(1, 2))

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shape of the upper triangles."""
        return {"oft_R.weight": (1 if self.shared else shape[1] // self.b, self._angles())}

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family."""
        return cls(fields.count("oft_block_size"), shared=bool(fields["block_share"]))

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of OFT."""
        return {
            "block_share": self.shared,
            "coft": False,
            "init_weights": True,
            "module_dropout": 0.0,
            "oft_block_size": self.b,
            "peft_type": self.format,
            "r": 0,
            "use_cayley_neumann": False,
        }


@final
@shows_call("lb.peft.BOFT(8) for blocks of 8 columns")
@dataclass(frozen=True)
class BOFT(Rotating):
    """BOFT with one factor: the rotations of `OFT`, and scales of the rows, which stay 1 here.

    A file stores b^2 numbers a block, though b (b - 1) / 2 would do. With other scales there
    may be nearer ones.

    Parameters
    ----------
    b : int
        Columns of a block; a divisor of n.

    References
    ----------
    Liu et al., arXiv 2311.06243.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> W, turn = np.eye(2), np.array([[0.0, -1.0], [1.0, 0.0]])
    >>> fit = lb.peft.BOFT(2).nearest(turn - W, base=W)
    >>> round(fit.error, 9), fit.n_parameters
    (0.0, 6)
    """

    format: ClassVar[str] = "BOFT"

    def __post_init__(self) -> None:
        counts(self, "b")

    def n_parameters(self, shape: Shape) -> int:
        """Return ``n b + m``."""
        return shape[1] * self.b + shape[0]

    def solve(self, target: Target) -> Solved:
        """Return all S and scales of 1."""
        skew, _, _ = self.rotations(target)
        tensors = {"boft_R": skew[None], "boft_s": np.ones((target.shape[0], 1))}
        return Solved(tensors, Claim.HALF)

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``diag(s) W R.T - W``."""
        entries = tensors["boft_R"][0]
        turned = target.weight + self.rotated(target, (entries - entries.swapaxes(1, 2)) / 2)
        return turned * tensors["boft_s"] - target.weight

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of all S and of the scales."""
        return {"boft_R": (1, shape[1] // self.b, self.b, self.b), "boft_s": (shape[0], 1)}

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family."""
        return cls(fields.count("boft_block_size"))

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of BOFT."""
        return {
            "boft_block_num": 0,
            "boft_block_size": self.b,
            "boft_dropout": 0.0,
            "boft_n_butterfly_factor": 1,
            "init_weights": True,
            "peft_type": self.format,
        }
