"""What an adapter stores of one matrix: factors of disjoint pieces, and what rounding does to them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lowrank_blocks._validation import Matrix
from lowrank_blocks.linalg import UNIT, common_exponent, energy, scaled
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.structures.cells import Selection
from lowrank_blocks.structures.checked import laid_out

Dtype = np.dtype[Any]

_STEPS = 8  # roundings of an entry besides those of a sum: roots of sizes, and divisions by them


@dataclass(frozen=True)
class Piece:
    """Some rows and columns of a matrix, which are ``b @ a``.

    Attributes
    ----------
    block : int
        Which block of the structure it is; of several blocks joined, the first.
    rows, cols : slice or 1-D array of int
        Where it lies.
    b, a : (p, r) and (r, q) arrays
        Its factors.
    slack : float
        Bound on how far rounding on the way from the approximation moved it, in the Frobenius norm.
    """

    block: int
    rows: Selection
    cols: Selection
    b: Matrix
    a: Matrix
    slack: float = 0.0

    @property
    def rank(self) -> int:
        """Inner dimension of the factors."""
        return int(self.b.shape[1])


def pieces_of(approximation: Approximation) -> list[Piece]:
    """Return the cells of positive rank in float64, without ranks whose factors are exactly zero."""
    layout = laid_out(approximation.structure, approximation.shape)
    wide = [(_wide(b), _wide(a)) for b, a in approximation.factors]
    found = []
    for k, (block, (b, a)) in enumerate(layout.pieces(wide)):
        kept = b.any(axis=0) & a.any(axis=1)
        if kept.any():
            b, a = (b, a) if kept.all() else (b[:, kept], a[kept])
            piece = Piece(k, block.rows, block.cols, b, a)
            found.append(piece if layout.blocks_are_cells else replace(piece, slack=product_slack(piece)))
    return found


def _wide(factor: Matrix) -> Matrix:
    return factor.astype(np.float64, copy=False)


def product_slack(piece: Piece) -> float:
    """Bound what rounds where ``b @ a`` is formed, or b and a from the factors of a structure."""
    return piece.slack + (piece.rank + _STEPS) * UNIT * _norm(piece.b) * _norm(piece.a)


def _norm(factor: Matrix) -> float:
    inside, exponent = _in_range(factor)
    return math.ldexp(math.sqrt(energy(inside)), exponent)


def rounded(piece: Piece, dtype: Dtype, name: str) -> Piece:
    """Return a piece whose factors are rounded to what a file stores.

    Raises
    ------
    ValueError
        If an entry is not finite, or too large for the type; the message names the tensor.
    """
    b, a = (_cast(factor, dtype, name) for factor in (piece.b, piece.a))
    return replace(piece, b=b, a=a)


def _cast(factor: Matrix, dtype: Dtype, name: str) -> Matrix:
    with np.errstate(over="ignore", under="ignore"):
        cast = factor.astype(dtype)
    finite = np.isfinite(cast.astype(np.float64))
    if not finite.all():
        worst = factor[~finite][0]
        hint = f"; {dtype.name} cannot hold it, choose another dtype" if np.isfinite(worst) else ""
        raise ValueError(
            f"factors of {name!r} must be finite in {dtype.name}, got the entry {worst:.6g}{hint}."
        )
    return cast


def rounding(exact: Piece, stored: Piece) -> float:
    """Return ``||b @ a - b' @ a'||_F`` for factors b', a' that were rounded, without forming the products.

    The difference is ``(b - b') @ a + b' @ (a - a')``. Its squared norm is a sum over Gram matrices of the
    factors, all of whose terms are of the size of the result.
    """
    b, b_exponent = _in_range(exact.b)
    a, a_exponent = _in_range(exact.a)
    b_stored, a_stored = scaled(stored.b, b_exponent), scaled(stored.a, a_exponent)
    b_moved, a_moved = b - b_stored, a - a_stored
    if not b_moved.any() and not a_moved.any():
        return 0.0
    if exact.rank >= min(len(b), a.shape[1]):
        moved = energy(b_moved @ a + b_stored @ a_moved)
        return math.ldexp(math.sqrt(moved), b_exponent + a_exponent)
    squared = (
        np.vdot(b_moved.T @ b_moved, a @ a.T)
        + 2 * np.vdot(b_moved.T @ b_stored, a @ a_moved.T)
        + np.vdot(b_stored.T @ b_stored, a_moved @ a_moved.T)
    )
    return math.ldexp(math.sqrt(max(float(squared), 0.0)), b_exponent + a_exponent)


def _in_range(factor: Matrix) -> tuple[Matrix, int]:
    exponent = common_exponent(factor)
    return scaled(factor, exponent), exponent
