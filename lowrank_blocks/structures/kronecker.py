"""Sums of Kronecker products."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape, as_count
from lowrank_blocks.linalg import UNIT
from lowrank_blocks.structures.base import Factors, Layout, Structure, whole_factors
from lowrank_blocks.structures.cells import Block, whole_block
from lowrank_blocks.structures.orders import nearest_divisors

_PRODUCT = 16 * UNIT  # by which scales may differ from a Kronecker product that was rounded, and its roots


class _Approximated(Protocol):
    @property
    def structure(self) -> Structure: ...
    @property
    def shape(self) -> Shape: ...
    @property
    def factors(self) -> Sequence[Factors]: ...


@final
@shows_call("lb.Kronecker(rows=16, cols=16), the shape of the left factors")
@dataclass(frozen=True, repr=False)
class Kronecker(Structure):
    """Sums of Kronecker products A ⊗ B; the rank is the number of terms.

    With A of a×b and B of c×d entries, the entries of an (a·c)×(b·d) matrix are rearranged so that every
    product becomes a matrix of rank 1, of a·b rows and c·d columns. Its truncated SVD is the nearest sum.
    ``Kronecker(a, b).pairs(best)`` returns the factors as matrices. Weights of rows and of columns must be
    Kronecker products themselves, as ``np.kron(u, v)`` with one entry of u for each row of A.

    Parameters
    ----------
    rows, cols : int
        Shape of A. They divide the shape of the matrix; B has the quotients.

    Raises
    ------
    TypeError, ValueError
        If they are not positive integers. Its layout refuses a shape that they do not divide.

    References
    ----------
    Van Loan & Pitsianis, "Approximation with Kronecker Products", doi 10.1007/978-94-015-8196-7_17.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> structure = lb.Kronecker(2, 2)
    >>> best = lb.approximate(np.kron([[1.0, 2.0], [3.0, 4.0]], np.ones((2, 3))), structure, budget=10)
    >>> best.n_parameters, round(best.relative_error, 12)
    (10, 0.0)
    >>> ((A, B),) = structure.pairs(best)
    >>> (A / A[0, 0]).round(12)
    array([[1., 2.],
           [3., 4.]])
    """

    rows: int
    cols: int

    def __post_init__(self) -> None:
        for name in ("rows", "cols"):
            object.__setattr__(self, name, as_count(getattr(self, name), name, least=1))

    def __repr__(self) -> str:
        return f"Kronecker({self.rows}, {self.cols})"

    def layout(self, shape: Shape) -> KroneckerLayout:
        """Return the rearranged matrix as one block."""
        for name, part, length in zip(("rows", "cols"), (self.rows, self.cols), shape, strict=True):
            if length % part:
                raise ValueError(
                    f"{name} must divide the length of its axis, {length}, got {part}; "
                    f"{nearest_divisors(length, part)} do."
                )
        return KroneckerLayout(shape, (self.rows, self.cols))

    def transposed(self) -> Kronecker:
        """Return the sums of the transposed products."""
        return Kronecker(self.cols, self.rows)

    def pairs(self, approximation: _Approximated) -> tuple[tuple[Matrix, Matrix], ...]:
        """Return the factors (A, B) of every term of an approximation on this structure.

        Parameters
        ----------
        approximation : Approximation
            On this structure.

        Returns
        -------
        tuple of (A, B)
            Arrays of shapes (rows, cols) and (m / rows, n / cols), new.
        """
        if approximation.structure != self:
            raise ValueError(f"approximation must be on {self!r}, got one on {approximation.structure!r}.")
        ((b, a),) = approximation.factors
        lefts, rights = self.layout(approximation.shape).terms((b, a))
        return tuple((left.copy(), right.copy()) for left, right in zip(lefts, rights, strict=True))


@final
class KroneckerLayout(Layout):
    """The rearrangement of a matrix in which A ⊗ B has rank 1."""

    proved = True
    covers = True

    def __init__(self, shape: Shape, left: Shape) -> None:
        (a, b), (c, d) = left, (shape[0] // left[0], shape[1] // left[1])
        super().__init__(shape, [(a * b, c * d)])
        self._left, self._right = (a, b), (c, d)
        self.weights_rule = (
            f"takes weights that are Kronecker products themselves, of {a} and {c} for rows and of {b} and "
            f"{d} for columns"
        )

    def split(self, matrix: Matrix) -> list[Matrix]:
        """Return the entries of every c×d tile of the matrix as a row."""
        (a, b), (c, d) = self._left, self._right
        return [matrix.reshape(a, c, b, d).swapaxes(1, 2).reshape(a * b, c * d)]

    def join(self, blocks: Sequence[Matrix]) -> Matrix:
        """Return a new matrix whose tiles are the rows."""
        (a, b), (c, d) = self._left, self._right
        tiles = blocks[0].reshape(a, b, c, d).swapaxes(1, 2)
        return np.array(tiles.reshape(self.shape))

    def cells(self) -> tuple[Block, ...]:
        """Return the whole matrix."""
        return (whole_block(self.shape),)

    def outside(self, matrix: Matrix) -> Iterator[Matrix]:
        """Yield nothing: the block holds all entries."""
        return iter(())

    def turned(self, block: int, factors: Factors) -> Factors:
        """Return the factors of the transposed products."""
        lefts, rights = self.terms(factors)
        left, right = (t.swapaxes(1, 2).reshape(len(t), math.prod(t.shape[1:])) for t in (lefts, rights))
        return left.T, right

    def takes(self, rows: Matrix | None, cols: Matrix | None) -> bool:
        """Whether scales are Kronecker products to rounding, one part for A and one for B."""
        both = zip((rows, cols), self._left, strict=True)
        return all(scales is None or _is_product(scales, parts) for scales, parts in both)

    def rescaled(self, factors: Sequence[Factors], rows: Matrix, cols: Matrix) -> Sequence[Factors]:
        """Scale the left factors by those of the scales, and the right ones by the others."""
        ((b, a),) = factors
        left, right = zip(_parts(rows, self._left[0]), _parts(cols, self._left[1]), strict=True)
        return [(b * np.outer(*left).reshape(-1, 1), a * np.outer(*right).ravel())]

    def pieces(self, factors: Sequence[Factors]) -> Iterable[tuple[Block, Factors]]:
        """Return one product: A ⊗ B has at most the rank of A times that of B, and the ranks of terms add."""
        lefts, rights = self.terms(factors[0])
        rank = len(lefts) * min(self._left) * min(self._right)
        if not 0 < rank < min(self.shape):
            return super().pieces(factors)
        pairs = [
            (whole_factors(left), whole_factors(right)) for left, right in zip(lefts, rights, strict=True)
        ]
        b, a = (
            np.concatenate([np.kron(one[k], other[k]) for one, other in pairs], axis=1 - k) for k in (0, 1)
        )
        return [(whole_block(self.shape), (b, a))]

    def terms(self, factors: Factors) -> Factors:
        """Return the left and the right factors of all terms, (r, a, b) and (r, c, d)."""
        b, a = factors
        return b.T.reshape(len(a), *self._left), a.reshape(len(a), *self._right)

    def apply(self, factors: Sequence[Factors], x: Matrix) -> Matrix:
        """Multiply term by term, by the two factors one after the other."""
        return _applied(*self.terms(factors[0]), x)

    def apply_transposed(self, factors: Sequence[Factors], y: Matrix) -> Matrix:
        """Multiply term by term, by the two transposed factors one after the other."""
        lefts, rights = self.terms(factors[0])
        return _applied(lefts.swapaxes(1, 2), rights.swapaxes(1, 2), y)


def _parts(scales: Matrix, count: int) -> tuple[Matrix, Matrix]:
    """Return vectors, the first of some length, whose Kronecker product the scales are if they are one."""
    tiles = scales.reshape(count, -1)
    return tiles[:, 0], tiles[0] / tiles[0, 0]


def _is_product(scales: Matrix, count: int) -> bool:
    tiles = scales.astype(np.float64).reshape(count, -1)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        off = np.abs(np.outer(*_parts(tiles, count)) / tiles - 1)
    return bool((off <= _PRODUCT).all())


def _applied(lefts: Matrix, rights: Matrix, x: Matrix) -> Matrix:
    """Return ``sum(np.kron(A, B) @ x)``, by way of the smaller of the two matrices in between."""
    (r, a, b), (_, c, d) = lefts.shape, rights.shape
    k = math.prod(x.shape[1:])
    tiles = x.reshape(b, d, k)
    if c * b * (d + a) <= a * d * (b + c):  # multiplications for each term and column
        inner = rights.reshape(r * c, d) @ tiles  # (b, r c, k)
        inner = inner.reshape(b, r, c * k).swapaxes(0, 1).reshape(r * b, c * k)
        y = lefts.swapaxes(0, 1).reshape(a, r * b) @ inner
    else:
        inner = (lefts.reshape(r * a, b) @ tiles.reshape(b, d * k)).reshape(r, a, d, k)
        inner = inner.transpose(1, 0, 2, 3).reshape(a, r * d, k)
        y = rights.swapaxes(0, 1).reshape(c, r * d) @ inner
    return np.asarray(y).reshape(a * c, *x.shape[1:])
