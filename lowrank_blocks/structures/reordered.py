"""A structure on the rows and columns in another order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.structures.base import Factors, Layout, Structure
from lowrank_blocks.structures.cells import Block, Selection, indices, selection
from lowrank_blocks.structures.checked import as_structure, laid_out
from lowrank_blocks.structures.orders import Indices, as_order


@final
@shows_call("lb.Reordered(lb.Localized(4), rows=lb.stride_order(4)) or rows=np.argsort(...)")
@dataclass(frozen=True, repr=False)
class Reordered(Structure):
    """A structure on a matrix whose rows and columns are taken in another order.

    Row i of the structure is row ``rows[i]`` of the matrix. Any order keeps the closed form. No closed form
    is known for the best order; `find_order` is a heuristic.

    Parameters
    ----------
    structure : Structure
        Where the blocks are, in the new order.
    rows, cols : Order or sequence of int, optional
        Every index of the axis once, in the new order, or an order of axes of any length, such as
        `stride_order` and `head_order`. By default the natural order.

    Raises
    ------
    TypeError, ValueError
        If `structure` is none, or an order repeats an index or leaves one out.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> structure = lb.Reordered(lb.Localized(2, 1), rows=[0, 2, 1, 3])
    >>> [block.rows.tolist() for block in structure.layout((4, 3)).cells()]
    [[0, 2], [1, 3]]
    """

    structure: Structure
    rows: Any = None
    cols: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "structure", as_structure(self.structure))
        for name in ("rows", "cols"):
            order = getattr(self, name)
            object.__setattr__(self, name, None if order is None else as_order(order, name))

    def __repr__(self) -> str:
        orders = ((name, getattr(self, name)) for name in ("rows", "cols"))
        return f"Reordered({self.structure!r}{''.join(f', {n}={o!r}' for n, o in orders if o is not None)})"

    def layout(self, shape: Shape) -> ReorderedLayout:
        """Return the blocks of the structure, with the rows and columns that they have in the matrix."""
        rows, cols = (
            None if order is None else order.indices(length, name)
            for order, length, name in zip((self.rows, self.cols), shape, ("rows", "cols"), strict=True)
        )
        return ReorderedLayout(laid_out(self.structure, shape), rows, cols)

    def transposed(self) -> Reordered:
        """Return the transposed structure, with the orders exchanged."""
        return Reordered(self.structure.transposed(), rows=self.cols, cols=self.rows)


@final
class ReorderedLayout(Layout):
    """A layout on some rows and columns of a matrix in another order."""

    proved = True  # an order is a permutation, and the layout inside has been checked

    def __init__(self, inner: Layout, rows: Indices | None, cols: Indices | None) -> None:
        super().__init__(inner.shape, inner.block_shapes)
        self._inner, self._rows, self._cols = inner, rows, cols
        self.blocks_are_cells, self.takes_weights = inner.blocks_are_cells, inner.takes_weights
        self.rounding, self.weights_rule = inner.rounding, inner.weights_rule

    @property
    def rank_costs(self) -> NDArray[np.int64]:
        """Numbers stored for one unit of rank of every block."""
        return self._inner.rank_costs

    @property
    def max_ranks(self) -> NDArray[np.int64]:
        """Largest rank of every block."""
        return self._inner.max_ranks

    @property
    def covers(self) -> bool:
        """Whether the blocks hold every matrix whole."""
        return self._inner.covers

    def split(self, matrix: Matrix) -> Sequence[Matrix]:
        """Return the blocks of the matrix in the other order, which is a copy."""
        return self._inner.split(self._there(matrix))

    def join(self, blocks: Sequence[Matrix]) -> Matrix:
        """Return a new matrix, in the natural order."""
        return self._back(self._inner.join(blocks))

    def cells(self) -> Sequence[Block]:
        """Return the rows and columns of every block in the natural order."""
        return tuple(map(self._placed, self._inner.cells()))

    def outside(self, matrix: Matrix) -> Iterator[Matrix]:
        """Yield what is in no block, in the order of the structure."""
        if not self.covers:
            yield from self._inner.outside(self._there(matrix))

    def turned(self, block: int, factors: Factors) -> Factors:
        """Return the factors that the block has on the transposed matrix."""
        return self._inner.turned(block, factors)

    def takes(self, rows: Matrix | None, cols: Matrix | None) -> bool:
        """Ask the layout inside, in its order."""
        return self._inner.takes(_taken(rows, self._rows), _taken(cols, self._cols))

    def rescaled(self, factors: Sequence[Factors], rows: Matrix, cols: Matrix) -> Sequence[Factors]:
        """Scale as the layout inside does, in its order."""
        there = (s if o is None else s[o] for s, o in ((rows, self._rows), (cols, self._cols)))
        return self._inner.rescaled(factors, *there)

    def pieces(self, factors: Sequence[Factors]) -> list[tuple[Block, Factors]]:
        """Return those of the layout inside, where they lie in the natural order."""
        return [(self._placed(cell), pair) for cell, pair in self._inner.pieces(factors)]

    def positions(self, ranks: Any) -> int:
        """Return how many positions the structure stores; the orders are not charged."""
        return self._inner.positions(ranks)

    def dense(self, factors: Sequence[Factors]) -> Matrix:
        """Return ``join(B @ A of every block)``, an (m, n) matrix."""
        return self._back(self._inner.dense(factors))

    def apply(self, factors: Sequence[Factors], x: Matrix) -> Matrix:
        """Multiply in the other order, without the dense matrix."""
        y = self._inner.apply(factors, x if self._cols is None else x[self._cols])
        return _placed(y, self._rows)

    def apply_transposed(self, factors: Sequence[Factors], y: Matrix) -> Matrix:
        """Multiply in the other order, without the dense matrix."""
        x = self._inner.apply_transposed(factors, y if self._rows is None else y[self._rows])
        return _placed(x, self._cols)

    def _placed(self, cell: Block) -> Block:
        return Block(_mapped(cell.rows, self._rows), _mapped(cell.cols, self._cols))

    def _there(self, matrix: Matrix) -> Matrix:
        rows = matrix if self._rows is None else matrix[self._rows]
        return rows if self._cols is None else rows[:, self._cols]

    def _back(self, matrix: Matrix) -> Matrix:
        return _placed(_placed(matrix, self._rows).T, self._cols).T


def _taken(scales: Matrix | None, order: Indices | None) -> Matrix | None:
    return scales if scales is None or order is None else scales[order]


def _placed(array: Matrix, order: Indices | None) -> Matrix:
    """Return the array whose entry ``order[i]`` is entry i of this one."""
    if order is None:
        return array
    placed = np.empty_like(array)
    placed[order] = array
    return placed


def _mapped(chosen: Selection, order: Indices | None) -> Selection:
    if order is None:
        return chosen
    found = order[indices(chosen)]
    consecutive = range(int(found[0]), int(found[0]) + len(found))
    return selection(consecutive if found.tolist() == list(consecutive) else tuple(found.tolist()))
