"""Plain LoRA: one pair of factors a matrix, from any blocks and without loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, final

import numpy as np

from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.adapters.family import Approximations, Family, zeros
from lowrank_blocks.adapters.naming import anchored
from lowrank_blocks.adapters.pieces import Piece, pieces_of, product_slack
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.structures.base import whole_factors
from lowrank_blocks.structures.cells import Block, Selection, indices, length, whole_block
from lowrank_blocks.structures.checked import laid_out

_Side = Callable[[Piece], Selection]


@final
class Lora(Family):
    """LoRA from any structure.

    The factors of every block go into columns of B and rows of A of their own, with zeros elsewhere. Blocks
    that average or rearrange entries give the factors of `Layout.pieces` in place of theirs. Blocks with the
    same rows whose ranks add up to more than their rows are joined instead: B holds an identity there, and
    A the rows themselves. The same goes for columns, and for the whole matrix; of the three, the one of the
    least rank is taken. Nothing is truncated: only exact zeros are left out.
    """

    name = "lora"
    has_embeddings = True

    def refusal(self, approximations: Approximations) -> str | None:
        """Return the first whose structure is no cells and which takes more numbers than it has entries."""
        for name, made in approximations.items():
            if laid_out(made.structure, made.shape).blocks_are_cells:
                continue
            rank, (m, n) = self.rank(made), made.shape
            stored = self.stored(made, rank)
            if stored > m * n:
                return (
                    f"{name!r} must not take more numbers than the {m * n} of the matrix, got "
                    f"{made.structure!r} of {(m, n)} at rank {rank} as LoRA, {stored} numbers"
                )
        return None

    def rank(self, approximation: Approximation) -> int:
        """Return the least of the three ranks."""
        return sum(_joined_rank(group, side) for group, side in _covers(approximation))

    def pieces(self, approximation: Approximation) -> list[Piece]:
        """Return the pieces of the cheapest of the three ways to join blocks."""
        return [piece for group, side in _covers(approximation) for piece in _joined(group, side)]

    def tensors(self, approximation: Approximation, pieces: Sequence[Piece], rank: int) -> dict[str, Matrix]:
        """Return B, (m, r), and A, (r, n)."""
        m, n = approximation.shape
        b, a, end = zeros((m, rank), pieces), zeros((rank, n), pieces), 0
        for piece in pieces:
            span = slice(end, end + piece.rank)
            b[Block(piece.rows, span).index] = piece.b
            a[Block(span, piece.cols).index] = piece.a
            end += piece.rank
        return {"lora_A.weight": a, "lora_B.weight": b}

    def stored(self, approximation: Approximation, rank: int) -> int:
        """Return ``r (m + n)``."""
        return rank * sum(approximation.shape)

    def config(self, modules: Mapping[str, tuple[Approximation, int]]) -> dict[str, Any]:
        """Return the fields of LoRA, scaled by exactly 1."""
        return lora_config({module: rank for module, (_, rank) in modules.items()})


def lora_config(ranks: Mapping[str, int]) -> dict[str, Any]:
    """Return the fields of LoRA for the ranks of modules: ``alpha / r`` is 1 for each of them."""
    most = max(ranks.values())
    others = {anchored(module): rank for module, rank in ranks.items() if rank != most}
    return {
        "alpha_pattern": others,
        "init_lora_weights": True,
        "lora_alpha": most,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": most,
        "rank_pattern": others,
        "use_dora": False,
        "use_rslora": False,
    }


def _rows(piece: Piece) -> Selection:
    return piece.rows


def _cols(piece: Piece) -> Selection:
    return piece.cols


def _covers(approximation: Approximation) -> list[tuple[list[Piece], _Side]]:
    """Return groups of pieces with the side that all of a group share, of least rank together."""
    pieces, shape = pieces_of(approximation), approximation.shape
    sides: tuple[_Side, _Side] = _rows, _cols
    ways = [[(group, side) for group in _groups(pieces, side)] for side in sides]
    best = min(ways, key=lambda way: sum(_joined_rank(group, side) for group, side in way))
    if sum(_joined_rank(group, side) for group, side in best) <= min(shape):
        return best
    return [([_whole(pieces, shape)], _rows if shape[0] <= shape[1] else _cols)]


def _whole(pieces: Sequence[Piece], shape: Shape) -> Piece:
    """Return all pieces as one, with an identity."""
    dense = np.zeros(shape)
    for piece in pieces:
        dense[Block(piece.rows, piece.cols).index] = piece.b @ piece.a
    return Piece(0, *whole_block(shape), *whole_factors(dense), _formed(pieces))


def _groups(pieces: Sequence[Piece], side: _Side) -> Iterator[list[Piece]]:
    """Yield the pieces that have one side in common."""
    found: dict[bytes, list[Piece]] = {}
    for piece in pieces:
        found.setdefault(indices(side(piece)).tobytes(), []).append(piece)
    yield from found.values()


def _joined_rank(group: Sequence[Piece], side: _Side) -> int:
    return min(sum(piece.rank for piece in group), length(side(group[0])))


def _joined(group: Sequence[Piece], side: _Side) -> list[Piece]:
    """Return the pieces of a group, or their product as one where that has the smaller rank."""
    if sum(piece.rank for piece in group) <= length(side(group[0])):
        return list(group)
    first, identity, slack = group[0], np.eye(length(side(group[0]))), _formed(group)
    if side is _rows:
        cols = np.concatenate([indices(piece.cols) for piece in group])
        return [Piece(first.block, first.rows, cols, identity, np.hstack([p.b @ p.a for p in group]), slack)]
    rows = np.concatenate([indices(piece.rows) for piece in group])
    return [Piece(first.block, rows, first.cols, np.vstack([p.b @ p.a for p in group]), identity, slack)]


def _formed(pieces: Sequence[Piece]) -> float:
    """Bound what rounds where the products of disjoint pieces are formed."""
    return math.hypot(*map(product_slack, pieces))
