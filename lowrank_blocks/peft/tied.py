"""C3A and MiSS: entries that share a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.peft.checks import counts, require_divides, require_most
from lowrank_blocks.peft.claims import Sizes, Solved, Tensors
from lowrank_blocks.peft.family import Readable, TellsShape
from lowrank_blocks.peft.linear import Array, LinearMap, least_squares
from lowrank_blocks.peft.stored import Fields, Reading
from lowrank_blocks.peft.target import Target
from lowrank_blocks.structures.circulant import BlockCirculant
from lowrank_blocks.structures.tied import Tied


@final
@shows_call("lb.peft.C3A(16) for circulant blocks of 16 by 16")
@dataclass(frozen=True)
class C3A(TellsShape):
    """C3A: every b×b block is circulant, so its cyclic diagonals are averaged (`BlockCirculant`).

    PEFT computes it in float32.

    Parameters
    ----------
    b : int
        Side of the blocks; it divides both sides.

    References
    ----------
    Chen et al., arXiv 2407.19342.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> lb.peft.C3A(2).nearest([[1.0, 2.0], [4.0, 1.0]]).to_dense().round(9).tolist()
    [[1.0, 3.0], [3.0, 1.0]]
    """

    b: int

    format: ClassVar[str] = "C3A"

    def __post_init__(self) -> None:
        counts(self, "b")

    def check(self, shape: Shape) -> None:
        """Refuse blocks that do not divide both sides."""
        require_divides("b", self.b, shape[0], "the rows of the matrix")
        require_divides("b", self.b, shape[1], "its columns")

    def n_parameters(self, shape: Shape) -> int:
        """Return ``m n / b``."""
        return shape[0] * shape[1] // self.b

    def solve(self, target: Target) -> Solved:
        """Return the first rows of the nearest circulant blocks, times n."""
        m, n = target.shape
        firsts = target.projected(BlockCirculant(self.b))[:: self.b]
        return Solved({"c3a_kernel": n * firsts.reshape(m // self.b, n // self.b, self.b)})

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return the circulant blocks: entry (t, u) is ``w[u - t mod b] / n``."""
        steps = np.arange(self.b)
        blocks = tensors["c3a_kernel"][:, :, (steps - steps[:, None]) % self.b]
        return np.asarray(blocks.swapaxes(1, 2).reshape(target.shape) / target.shape[1])

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shape of the first rows of the blocks."""
        return {"c3a_kernel": (shape[0] // self.b, shape[1] // self.b, self.b)}

    def shape_of(self, sizes: Sizes) -> Shape:
        """Return the sides of the blocks times their numbers."""
        rows, cols, b = sizes["c3a_kernel"]
        return rows * b, cols * b

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family."""
        return cls(fields.count("block_size"))

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of C3A."""
        return {"block_size": self.b, "init_weights": True, "peft_type": self.format}


@final
@shows_call("lb.peft.MiSS(8) for 8 classes of columns, or lb.peft.MiSS(8, mini=4)")
@dataclass(frozen=True)
class MiSS(Readable):
    """MiSS: columns i with the same ``i mod r`` are equal, so they are averaged (`Tied`).

    With ``mini``, rows o with the same ``o mod mini`` are equal, too.

    Parameters
    ----------
    r : int
        Classes of columns, at most n.
    mini : int, optional
        Classes of rows; it divides m. By default rows are not tied.

    References
    ----------
    Kang et al., arXiv 2409.15371.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> lb.peft.MiSS(2).nearest([[1.0, 2.0, 3.0]]).to_dense().round(9).tolist()
    [[2.0, 2.0, 2.0]]
    """

    r: int
    mini: int | None = None

    format: ClassVar[str] = "MISS"
    reading: ClassVar[Reading] = Reading(idle={"mini_r": None})

    def __post_init__(self) -> None:
        counts(self, "r", *(["mini"] if self.mini is not None else []))

    def check(self, shape: Shape) -> None:
        """Refuse more classes than columns, and classes of rows that do not divide them."""
        require_most("r", self.r, shape[1], "the columns of the matrix")
        require_divides("mini", self.mini or 1, shape[0], "the rows of the matrix")

    def n_parameters(self, shape: Shape) -> int:
        """Return ``r m``, or ``r mini``."""
        return self.r * (self.mini or shape[0])

    def solve(self, target: Target) -> Solved:
        """Return the means of all classes."""
        m, n = target.shape
        rows = None if self.mini is None else np.arange(m) % self.mini
        means = target.projected(Tied(rows=rows, cols=np.arange(n) % self.r))
        return Solved({"miss_block": np.ascontiguousarray(means[: self.mini, : self.r].T)})

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``M[i mod r, o mod mini]`` for row o and column i."""
        (m, n), block = target.shape, tensors["miss_block"]
        return np.ascontiguousarray(block.T[np.ix_(np.arange(m) % block.shape[1], np.arange(n) % self.r)])

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shape of the classes, columns first."""
        return {"miss_block": (self.r, self.mini or shape[0])}

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family: of rows there are classes where the start says so."""
        mini = fields.count("mini_r") if fields["init_weights"] == "mini" else None
        return cls(fields.count("r"), mini=mini)

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of MiSS."""
        kind: bool | str = True if self.mini is None else "mini"
        return miss_fields(self.r, self.mini or 1, kind)


def miss_fields(r: int, mini: int, kind: bool | str) -> dict[str, Any]:
    """Return the fields of a variant of MiSS."""
    return {"init_weights": kind, "mini_r": mini, "miss_dropout": 0.0, "peft_type": "MISS", "r": r}


@dataclass(frozen=True, eq=False)
class _Strips(LinearMap):
    """Strips of r rows whose blocks b are ``F[a, b] M[a]``; a group is a strip a and a column of M[a]."""

    blocks: Array  # (strips, blocks, r, r)

    def forward(self, numbers: Array) -> Array:
        """Return the matrix of (strips * r, r) numbers: the columns of all M."""
        strips, count, r, _ = self.blocks.shape
        products = self.blocks @ self._square(numbers)[:, None]
        return products.swapaxes(1, 2).reshape(strips * r, count * r)

    def adjoint(self, matrix: Array) -> Array:
        """Return the sums over b of the transpose of F[a, b] times block b."""
        strips, count, r, _ = self.blocks.shape
        parts = matrix.reshape(strips, r, count, r).swapaxes(1, 2)
        sums = (self.blocks.swapaxes(2, 3) @ parts).sum(axis=1)
        return np.asarray(sums.swapaxes(1, 2).reshape(-1, r))

    def grams(self) -> Array:
        """Return the Gram matrix of every strip, once for each column."""
        strips, _, r, _ = self.blocks.shape
        tall = self.blocks.reshape(strips, -1, r)
        return np.repeat(tall.swapaxes(1, 2) @ tall, r, axis=0)

    def _square(self, numbers: Array) -> Array:
        strips, _, r, _ = self.blocks.shape
        return numbers.reshape(strips, r, r).swapaxes(1, 2)


@final
@shows_call("lb.peft.MiSSBat(8) for blocks of 8 by 8")
@dataclass(frozen=True)
class MiSSBat(Readable):
    """MiSS with ``init_weights="bat"``: block (a, b) of r×r is ``(W[a, b] + I) M[a]``.

    Every strip of r rows is one least-squares problem.

    Parameters
    ----------
    r : int
        Side of the blocks; it divides both sides.

    References
    ----------
    Kang et al., arXiv 2409.15371.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> W, M = np.arange(8.0).reshape(2, 4), np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> dW = np.hstack([(W[:, :2] + np.eye(2)) @ M, (W[:, 2:] + np.eye(2)) @ M])
    >>> round(lb.peft.MiSSBat(2).nearest(dW, base=W).error, 9)
    0.0
    """

    r: int

    needs_base: ClassVar[bool] = True
    format: ClassVar[str] = "MISS"
    reading: ClassVar[Reading] = Reading(mark=("init_weights", "bat"), idle={"mini_r": None})

    def __post_init__(self) -> None:
        counts(self, "r")

    def check(self, shape: Shape) -> None:
        """Refuse blocks that do not divide both sides."""
        require_divides("r", self.r, shape[0], "the rows of the matrix")
        require_divides("r", self.r, shape[1], "its columns")

    def n_parameters(self, shape: Shape) -> int:
        """Return ``r m``."""
        return self.r * shape[0]

    def solve(self, target: Target) -> Solved:
        """Return the best M of every strip."""
        strips = self._strips(target.weight)
        numbers = least_squares(strips, target.matrix)
        return Solved({"miss_block": np.ascontiguousarray(strips._square(numbers))})

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return ``(W[a, b] + I) M[a]``."""
        numbers = tensors["miss_block"].swapaxes(1, 2).reshape(-1, self.r)
        return self._strips(target.weight).forward(numbers)

    def _strips(self, weight: Array) -> _Strips:
        m, n = weight.shape
        blocks = weight.reshape(m // self.r, self.r, n // self.r, self.r).swapaxes(1, 2)
        return _Strips(blocks + np.eye(self.r))

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shape of all M."""
        return {"miss_block": (shape[0] // self.r, self.r, self.r)}

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family."""
        return cls(fields.count("r"))

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of this variant of MiSS."""
        return miss_fields(self.r, 1, "bat")
