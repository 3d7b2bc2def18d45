"""Monarch matrices: a grid after the rows are dealt out one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Shape, as_count
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.grids import Localized
from lowrank_blocks.structures.orders import nearest_divisors, stride_order
from lowrank_blocks.structures.reordered import Reordered, ReorderedLayout


@final
@shows_call("lb.Monarch(4) for 4 parts of each axis, or lb.Monarch(rows=4, cols=2)")
@dataclass(frozen=True, repr=False)
class Monarch(Structure):
    """Every block of a grid after the stride permutation of the rows.

    Block (j, k) holds the rows ``j, j + rows, j + 2 * rows, ...`` and part k of the columns. On square
    matrices with as many parts as rows in a part, blocks of rank 1 make the Monarch matrices of the paper;
    here matrices may be rectangular and blocks of any rank, as in MoRe.

    Parameters
    ----------
    rows : int
        Number of row parts, which divides the number of rows; row i is in part ``i % rows``.
    cols : int, optional
        Number of column parts, cut as `Localized` cuts them; by default as `rows`.

    Raises
    ------
    TypeError, ValueError
        If they are not positive integers. Its layout refuses a shape that `rows` does not divide.

    References
    ----------
    Dao et al., "Monarch: Expressive Structured Matrices for Efficient and Accurate Training",
    arXiv 2204.00595. Tan et al., "MoRe Fine-Tuning with 10x Fewer Parameters", arXiv 2408.17383.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> [block.rows.tolist() for block in lb.Monarch(2, 1).layout((4, 4)).cells()]
    [[0, 2], [1, 3]]
    """

    rows: int
    cols: int | None = None

    def __post_init__(self) -> None:
        rows = as_count(self.rows, "rows", least=1)
        object.__setattr__(self, "rows", rows)
        object.__setattr__(self, "cols", rows if self.cols is None else as_count(self.cols, "cols", least=1))

    @property
    def _grid(self) -> Localized:
        return Localized(self.rows, self.cols)

    def __repr__(self) -> str:
        return f"Monarch({self.rows})" if self.rows == self.cols else f"Monarch({self.rows}, {self.cols})"

    def layout(self, shape: Shape) -> ReorderedLayout:
        """Return all blocks, those of the first row part first."""
        if shape[0] % self.rows:
            raise ValueError(
                f"rows must divide the number of rows, {shape[0]}, got {self.rows}; "
                f"{nearest_divisors(shape[0], self.rows)} do."
            )
        return Reordered(self._grid, rows=stride_order(self.rows)).layout(shape)

    def transposed(self) -> Reordered:
        """Return the grid after the stride permutation of the columns."""
        return Reordered(self._grid.transposed(), cols=stride_order(self.rows))
