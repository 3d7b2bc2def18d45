"""A block, the rank that is asked for, and the proofs that orthonormal columns answer it.

The proofs assume nothing about how the columns were found: docs/theory/certified-spectra.md, "Factors".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.bounds import (
    added,
    energy_missed,
    lapack_norm,
    leading_sum,
    residual_rounding,
)
from lowrank_blocks.linalg.energies import UNIT, energy, energy_rounding
from lowrank_blocks.linalg.gram import longest_sum, residual_norm
from lowrank_blocks.linalg.projection import Projection, coupling, projected

Array = NDArray[np.float64]

_SPARE = 1e-3  # of the tolerance: what an error may be off so that no residual has to be formed
_ROUNDING = 1e-12  # squares left, relative to all, that may be nothing but rounding


@dataclass(frozen=True)
class Known:
    """The least error of a block at the rank that is asked for, where a spectrum determines it."""

    error: float
    bound: float


@dataclass(frozen=True)
class Leading:
    """The best approximation of a (k, l) block.

    Attributes
    ----------
    part : Projection
        Its leading singular vectors and values.
    error : float
        Frobenius norm of what is left.
    excess : float
        Bound on how far `error` is above the least possible.
    method : str
        ``"lapack"``, ``"norm"``, ``"gram"``, ``"single"`` or ``"lanczos"``.
    """

    part: Projection
    error: float
    excess: float
    method: str


class Question:
    """A block, the rank that is asked for, and what an answer must satisfy.

    Parameters
    ----------
    block : (k, l) array
        Of float64 or float32, ``k <= l``; its squares neither overflow nor vanish.
    rank : int
        At most k.
    tolerance : float
        Excess, relative to the norm of the block, beyond which LAPACK's SVD is called.
    known : Known, optional
        The least error; without it the excess is proved from the factors alone.
    """

    def __init__(self, block: NDArray[Any], rank: int, tolerance: float, known: Known | None = None) -> None:
        self.block, self.rank, self.tolerance, self.known = block, rank, tolerance, known
        self.norm = math.sqrt(energy(block))

    @cached_property
    def rows(self) -> Array:
        """The block in float64; of one in float32 a proof in single precision needs none of it."""
        return self.block.astype(np.float64, copy=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the block."""
        return self.block.shape[0], self.block.shape[1]

    def certified(
        self, vectors: Array, method: str, missed: Callable[[Leading, Projection], float]
    ) -> Leading | None:
        """Project the block on orthonormal columns; None if no proof of the excess suffices.

        Of more columns than the rank the best part is taken. `missed` bounds the energy that it can have
        missed, from that part and all columns. It is called only if no other proof suffices, as it may
        cost most.
        """
        whole = projected(self.block, vectors)
        made = self._measured(whole.leading(self.rank), method)
        excess = min(made.error, self._against_known(made.error), self.by_coupling(made))
        if excess + made.excess > self.tolerance * self.norm:
            excess = _excess(made.error**2, missed(made, whole))
        made = Leading(made.part, made.error, made.excess + excess, method)
        return made if made.excess <= self.tolerance * self.norm else None

    def project(self, vectors: Array, method: str) -> Leading:
        """Project the block on orthonormal columns."""
        return self._measured(projected(self.block, vectors), method)

    def _measured(self, part: Projection, method: str) -> Leading:
        """Return a part with its error.

        Its excess counts how far columns are from orthonormal, and what rounding adds to the error.
        """
        skew = float(np.linalg.norm(part.basis.T @ part.basis - np.eye(len(part.values))))
        left = max(0.0, self.norm**2 - float(np.square(part.values).sum()))
        rounding = _excess(left, self._energy_rounding(part, skew))
        if rounding <= _SPARE * self.tolerance * self.norm:
            return Leading(part, math.sqrt(left), rounding, method)
        error = residual_norm(self.block, part.basis, part.values[:, None] * part.rows)
        rounding = residual_rounding(error, self.norm, len(part.values))
        return Leading(part, error, self.norm * skew + rounding, method)

    def _energy_rounding(self, part: Projection, skew: float) -> float:
        """Bound what rounding adds to the energy of the block less that of a part."""
        product = residual_rounding(0.0, self.norm, len(part.values))
        moved = skew * self.norm + product + lapack_norm(self.norm, part.rows.shape)
        return float(energy_rounding(self.norm**2) + 2 * self.norm * moved)

    def missed(self, error: float, squares: Array) -> float:
        """Bound the energy missed by factors that leave this error, from the leading eigenvalues."""
        return float(energy_missed(error, self.norm**2, squares, self.shape, self.rank))

    def slack(self, squares: Array) -> float:
        """Bound what rounding adds to the energy of leading eigenvalues."""
        return float(leading_sum(self.norm**2, squares, self.shape, self.rank))

    def is_too_fine(self, squares: Array) -> bool:
        """Whether these eigenvalues leave more than rounding, but too little for a Gram matrix to resolve."""
        left = self.norm**2 - float(squares.sum())
        if self.known or left <= max(float(squares[-1]), _ROUNDING * self.norm**2):
            return False
        return _excess(left, 2 * self.slack(squares)) > self.tolerance * self.norm

    def by_coupling(self, made: Leading) -> float:
        """Bound the excess where the values found are above the norm of all that is left.

        See `coupling`: without C the best errors would be those of H, at the rank less the size of S.
        """
        part = made.part
        if part.values[-1] < made.error:
            return np.inf
        alike = UNIT * added(self.shape[1], longest_sum(self.block, part.rows.T)) * float(part.values[0])
        rounding = float(lapack_norm(self.norm, self.shape)) + 2 * part.skew * self.norm + alike
        return 2 * (coupling(self.block, part) + rounding)

    def _against_known(self, error: float) -> float:
        return max(0.0, error - self.known.error + self.known.bound) if self.known else np.inf


def _excess(left: float, missed: float) -> float:
    """Bound the excess of an error, ``sqrt(left)``, from the energy missed: `error_of_root` of one."""
    return missed / (math.sqrt(left) + math.sqrt(left - missed)) if left > missed else math.sqrt(missed)
