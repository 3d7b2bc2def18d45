"""BD-LoRA: stripes of blocks, so that one of the two factors is block-diagonal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

from lowrank_blocks._validation import Matrix
from lowrank_blocks.adapters.family import Approximations, Family, grid_of, largest_rank, zeros
from lowrank_blocks.adapters.lora import lora_config
from lowrank_blocks.adapters.pieces import Piece
from lowrank_blocks.solver.approximation import Approximation


@final
class Bdlora(Family):
    """BD-LoRA from ``Localized(1, K)``, with a block-diagonal A, or ``Localized(K, 1)``, with such a B.

    Every stripe has the rank c = r / K of the largest in its matrix; others are filled up with zeros. The
    block-diagonal factor is stored without its zeros: A as (r, n / K), or B as (m, r / K).

    References
    ----------
    Wang et al., "Block-Diagonal LoRA for Eliminating Communication Overhead in Tensor Parallel LoRA
    Serving", arXiv 2510.23346.
    """

    name = "bdlora"
    has_conv1d = False

    def refusal(self, approximations: Approximations) -> str | None:
        """Return the first matrix that is no set of equal stripes, or has another number of them."""
        parts = None
        for name, approximation in approximations.items():
            grid = grid_of(approximation)
            if grid is None or min(grid) != 1 or max(grid) != (parts or max(grid)) or max(grid) == 1:
                wanted = "K stripes" if parts is None else f"{parts} stripes, as others have"
                return (
                    f"{name!r} must be Localized(1, K) or Localized(K, 1) with {wanted} of equal size, "
                    f"got {approximation.structure!r} of {approximation.shape}"
                )
            parts = max(grid)
        return None

    def rank(self, approximation: Approximation) -> int:
        """Return K times the largest rank of a stripe."""
        return max(_grid(approximation)) * largest_rank(approximation)

    def tensors(self, approximation: Approximation, pieces: Sequence[Piece], rank: int) -> dict[str, Matrix]:
        """Return A, (r, n / K), and B, (m, r); or A, (r, n), and B, (m, r / K)."""
        (m, n), (rows, cols) = approximation.shape, _grid(approximation)
        share = rank // max(rows, cols)
        a, b = zeros((rank, n // cols), pieces), zeros((m, rank // rows), pieces)
        for piece in pieces:
            start = piece.block * share
            a[start : start + piece.rank] = piece.a
            first = start if cols > 1 else 0
            b[piece.rows, first : first + piece.rank] = piece.b
        return {"lora_A.weight": a, "lora_B.weight": b}

    def stored(self, approximation: Approximation, rank: int) -> int:
        """Return ``r (m + n / K)``, or ``r (m / K + n)``."""
        (m, n), (rows, cols) = approximation.shape, _grid(approximation)
        return rank * (m // rows + n // cols)

    def config(self, modules: Mapping[str, tuple[Approximation, int]]) -> dict[str, Any]:
        """Return the fields of LoRA, and which of the factors are block-diagonal."""
        sides: tuple[list[str], list[str]] = [], []
        for module, (approximation, _) in modules.items():
            sides[_grid(approximation)[0] > 1].append(module)
        _require_apart(*sides)
        blocks = {
            "match_strict": True,
            "nblocks": max(_grid(next(iter(modules.values()))[0])),
            "target_modules_bd_a": sorted(sides[0]),
            "target_modules_bd_b": sorted(sides[1]),
        }
        return lora_config({module: rank for module, (_, rank) in modules.items()}) | {"use_bdlora": blocks}


def _grid(approximation: Approximation) -> tuple[int, int]:
    return grid_of(approximation) or (1, 1)


def _require_apart(first: Sequence[str], second: Sequence[str]) -> None:
    """Refuse a module whose path is part of another's: PEFT would take the one for the other."""
    for short, long in [*((s, t) for s in first for t in second), *((t, s) for s in first for t in second)]:
        if short in long:
            raise ValueError(
                f"the stripes of {short!r} and {long!r} must lie in one direction, for PEFT tells modules of "
                "BD-LoRA by parts of their paths; write them with format='lora'."
            )
