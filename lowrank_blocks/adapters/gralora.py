"""GraLoRA: a square grid of blocks, of one rank in the whole adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

from lowrank_blocks._validation import Matrix
from lowrank_blocks.adapters.family import Approximations, Family, grid_of, largest_rank, zeros
from lowrank_blocks.adapters.pieces import Piece
from lowrank_blocks.solver.approximation import Approximation


@final
class Gralora(Family):
    """GraLoRA from ``Localized(K)``, where K divides both sides.

    With c = r / K, block (i, j) = B_ij A_ij of rank c is stored as ``A[j, :, i c : (i + 1) c] = A_ij.T`` and
    ``B[i, j c : (j + 1) c, :] = B_ij.T``. Blocks of smaller rank are filled up with zeros.

    References
    ----------
    Jung et al., "GraLoRA: Granular Low-Rank Adaptation for Parameter-Efficient Fine-Tuning",
    arXiv 2505.20355.
    """

    name = "gralora"

    def refusal(self, approximations: Approximations) -> str | None:
        """Return the first matrix that is no square grid of equal blocks, or has another K."""
        parts = None
        for name, approximation in approximations.items():
            grid = grid_of(approximation)
            if grid is None or grid[0] != grid[1] or grid[0] != (parts or grid[0]):
                wanted = (
                    "K parts of each axis" if parts is None else f"{parts} parts of each axis, as others have"
                )
                return (
                    f"{name!r} must be Localized(K) with {wanted}, and K must divide both sides, "
                    f"got {approximation.structure!r} of {approximation.shape}"
                )
            parts = grid[0]
        return None

    def rank(self, approximation: Approximation) -> int:
        """Return K times the largest rank of a block."""
        return _parts(approximation) * largest_rank(approximation)

    def settings(self, ranks: Mapping[str, int]) -> dict[str, int]:
        """Return the largest for all: GraLoRA has one r."""
        most = max(ranks.values(), default=0)
        return {name: most if rank else 0 for name, rank in ranks.items()}

    def tensors(self, approximation: Approximation, pieces: Sequence[Piece], rank: int) -> dict[str, Matrix]:
        """Return A, (K, n / K, r), and B, (K, r, m / K)."""
        (m, n), parts = approximation.shape, _parts(approximation)
        a = zeros((parts, n // parts, rank), pieces)
        b = zeros((parts, rank, m // parts), pieces)
        share = rank // parts
        for piece in pieces:
            i, j = divmod(piece.block, parts)
            a[j, :, i * share : i * share + piece.rank] = piece.a.T
            b[i, j * share : j * share + piece.rank] = piece.b.T
        return {"gralora_A": a, "gralora_B": b}

    def stored(self, approximation: Approximation, rank: int) -> int:
        """Return ``r (m + n)``."""
        return rank * sum(approximation.shape)

    def config(self, modules: Mapping[str, tuple[Approximation, int]]) -> dict[str, Any]:
        """Return the fields of GraLoRA, scaled by exactly 1."""
        approximation, rank = next(iter(modules.values()))
        return {
            "alpha": rank,
            "gralora_dropout": 0.0,
            "gralora_k": _parts(approximation),
            "hybrid_r": 0,
            "init_weights": True,
            "peft_type": "GRALORA",
            "r": rank,
        }


def _parts(approximation: Approximation) -> int:
    grid = grid_of(approximation)
    return grid[0] if grid else 1
