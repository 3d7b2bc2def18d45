"""The cases of the formal comparison: which matrices, which grids and ranks, and the errors of G, D and L."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lowrank_blocks._validation import Matrix
from lowrank_blocks.allocation.adaptive import adaptive
from lowrank_blocks.allocation.budgets import rank_budget
from lowrank_blocks.allocation.uniform import uniform
from lowrank_blocks.datasets import synthetic
from lowrank_blocks.datasets.example import load_example
from lowrank_blocks.solver.approximation import TIE
from lowrank_blocks.solver.calls import decompose
from lowrank_blocks.solver.decomposition import Decomposition
from lowrank_blocks.structures.grids import DiagonalLocal, Localized

SEED = 0
PARTS = (2, 4, 8)
RANKS = (8, 16, 32)
SHAPE = (256, 256)


@dataclass(frozen=True)
class Case:
    """One matrix at one K and one r: relative errors at ``r * (m + n)`` stored numbers.

    Attributes
    ----------
    matrix : str
        Name of the matrix.
    parts, rank, n_parameters : int
        K, r and the common count of stored numbers.
    g, d, l : float
        Relative errors of the global, diagonal-local and localized approximation with ranks r, r
        and r/K.
    d_free, l_free : float
        The same of the diagonal-local and the localized one with the best ranks; the global one has
        but one rank to choose.
    """

    matrix: str
    parts: int
    rank: int
    n_parameters: int
    g: float
    d: float
    l: float  # noqa: E741
    d_free: float
    l_free: float

    @property
    def least(self) -> str:
        """Which of G, D and L with uniform ranks has the least error; several if they tie."""
        return _least({"G": self.g, "D": self.d, "L": self.l})

    @property
    def least_free(self) -> str:
        """Which of G, D and L has the least error if all of them may choose their ranks."""
        return _least({"G": self.g, "D": self.d_free, "L": self.l_free})


def matrices() -> dict[str, Matrix]:
    """Return the matrices of the comparison: every synthetic family, then the genuine update."""
    s = synthetic
    targets = [
        s.low_rank(SHAPE, 8, seed=SEED),
        s.low_rank(SHAPE, 32, seed=SEED),
        s.power_law(SHAPE, 0.5, seed=SEED),
        s.power_law(SHAPE, 1.0, seed=SEED),
        s.block_diagonal(SHAPE, 4, 8, seed=SEED),
        s.block_grid(SHAPE, 4, 2, seed=SEED),
        s.block_grid(SHAPE, 8, 4, seed=SEED),
        s.unequal_blocks(SHAPE, 4, 0.7, seed=SEED),
        s.gaussian(SHAPE, seed=SEED),
        s.inverse_distance(SHAPE),
        s.log_distance(SHAPE),
    ]
    genuine = {f"genuine: {name}": dW for name, dW in load_example().items()}
    return {t.name: t.matrix for t in targets} | genuine


def cases_of(name: str, dW: Matrix, whole: Decomposition) -> Iterator[Case]:
    """Yield the cases of one matrix, given its global decomposition."""
    for parts in PARTS:
        diagonal, local = decompose(dW, DiagonalLocal(parts)), decompose(dW, Localized(parts))
        for rank in (r for r in RANKS if r % parts == 0):
            budget = rank_budget(whole.shape, rank)
            g, d, l = (_at(p, budget, name) for p in (whole, diagonal, local))  # noqa: E741
            free = (
                p.relative_error(p.choose_ranks(budget, allocate=adaptive).ranks) for p in (diagonal, local)
            )
            yield Case(name, parts, rank, budget, g, d, l, *free)


def _at(parts: Decomposition, budget: int, name: str) -> float:
    ranks = parts.choose_ranks(budget, allocate=uniform).ranks
    if int(ranks @ parts.costs) != budget:
        raise ValueError(
            f"{name} must spend {budget} numbers exactly on {parts.structure!r}, got {ranks @ parts.costs}."
        )
    return parts.relative_error(ranks)


def _least(errors: dict[str, float]) -> str:
    least = min(errors.values())
    return "=".join(letter for letter, error in errors.items() if error <= least + TIE)
