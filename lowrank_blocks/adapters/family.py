"""A kind of adapter: which matrices it can hold, and the tensors that hold them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.adapters.pieces import Piece, pieces_of
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.structures.checked import laid_out

Approximations = Mapping[str, Approximation]


class Family(ABC):
    """A kind of adapter.

    Attributes
    ----------
    name : str
        What `write_adapter` calls it.
    has_conv1d, has_embeddings : bool
        Whether PEFT has it for weights that are stored as (in, out), and for weights of embeddings.
    """

    name: ClassVar[str]
    has_conv1d: ClassVar[bool] = True
    has_embeddings: ClassVar[bool] = False

    @abstractmethod
    def refusal(self, approximations: Approximations) -> str | None:
        """Return why some of these matrices cannot be stored so, by name; None if all can."""

    @abstractmethod
    def rank(self, approximation: Approximation) -> int:
        """Return the least setting r that holds a matrix; 0 for a matrix of zeros."""

    def settings(self, ranks: Mapping[str, int]) -> dict[str, int]:
        """Return the r of every matrix, given the least that each needs."""
        return dict(ranks)

    def pieces(self, approximation: Approximation) -> list[Piece]:
        """Return the factors that are stored, before they are placed in tensors."""
        return pieces_of(approximation)

    @abstractmethod
    def tensors(self, approximation: Approximation, pieces: Sequence[Piece], rank: int) -> dict[str, Matrix]:
        """Return the tensors of one matrix by the ends of their keys, from pieces of one dtype."""

    @abstractmethod
    def stored(self, approximation: Approximation, rank: int) -> int:
        """Return how many numbers the tensors of one matrix hold."""

    @abstractmethod
    def config(self, modules: Mapping[str, tuple[Approximation, int]]) -> dict[str, Any]:
        """Return the fields of the configuration that are its own, from the r of every module."""


def grid_of(approximation: Approximation) -> Shape | None:
    """Return the numbers of row and column parts, if the blocks are a grid of equal rectangles."""
    blocks, layout = approximation.blocks, laid_out(approximation.structure, approximation.shape)
    if not layout.blocks_are_cells or not all(isinstance(side, slice) for block in blocks for side in block):
        return None
    rows = len({block.rows.start for block in blocks})  # type: ignore[union-attr]
    cols = len({block.cols.start for block in blocks})  # type: ignore[union-attr]
    (m, n), places = approximation.shape, [(i, j) for i in range(rows) for j in range(cols)]
    if len(places) != len(blocks) or m % rows or n % cols:
        return None
    p, q = m // rows, n // cols
    even = [(slice(i * p, i * p + p), slice(j * q, j * q + q)) for i, j in places]
    return (rows, cols) if even == [tuple(block) for block in blocks] else None


def largest_rank(approximation: Approximation) -> int:
    """Return the largest rank of a block, ranks whose factors are exactly zero not counted."""
    return max((piece.rank for piece in pieces_of(approximation)), default=0)


def zeros(shape: tuple[int, ...], pieces: Sequence[Piece]) -> Matrix:
    """Return zeros of the type of some pieces; float64 if there are none."""
    return np.zeros(shape, pieces[0].b.dtype if pieces else np.float64)
