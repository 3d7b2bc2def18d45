"""From the factors of blocks to an `Approximation`; energies of whole matrices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.linalg import Accuracy, BlockFactors, scaled
from lowrank_blocks.linalg import energy as energy_of
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.structures.base import Structure

_SLAB = 1 << 19  # entries squared at a time


def assembled(
    shape: Shape,
    structure: Structure,
    found: BlockFactors,
    *,
    exponent: int,
    error: float,
    norm: float,
    outside: float,
    norm_bound: float,
    guarantee: str,
    lower_bound: float | None,
    budget: int | None = None,
    unit_cost: int | None = None,
) -> Approximation:
    """Return the approximation with these factors; errors, norm and bounds are divided by ``2**exponent``."""
    relative_error = error / norm if norm else 0.0
    return Approximation(
        structure=structure,
        shape=shape,
        ranks=found.factors.ranks,
        factors=found.factors,
        error=math.ldexp(error, exponent),
        relative_error=relative_error,
        guarantee=guarantee,
        lower_bound=None if lower_bound is None else min(lower_bound, relative_error),
        accuracy=Accuracy.of(
            found.methods,
            found.excess + found.rounding,
            norm,
            exponent,
            outside=outside,
            norm_bound=norm_bound,
        ),
        budget=budget,
        unit_cost=unit_cost,
    )


def energy(parts: Iterable[Matrix], exponent: int) -> float:
    """Return the sum of the squares of all entries divided by ``2**exponent``."""
    return math.fsum(energy_of(scaled(part, exponent)) for part in parts)


def row_slabs(matrix: Matrix) -> Iterator[Matrix]:
    """Yield some rows at a time."""
    step = max(1, _SLAB // matrix.shape[1])
    return (matrix[i : i + step] for i in range(0, len(matrix), step))


def require_norm(norm: float, exponent: int) -> None:
    """Refuse a matrix whose Frobenius norm, here divided by ``2**exponent``, is no float64."""
    try:
        math.ldexp(norm, exponent)
    except OverflowError:
        raise ValueError(
            "dW must have a Frobenius norm below 1.8e308, the largest float64; divide it by a power of two."
        ) from None
