"""When the convergence of block Lanczos is tested, which takes as long as a few blocks."""

from __future__ import annotations

import math

_LARGE = 1024  # sides from which on a product with twice as many columns takes hardly longer
_FIRST_LOOK = 4  # blocks beyond the rank at which convergence is first tested ...
_LATE_LOOK = 13  # columns, times 1 + its root: in single precision below `_LARGE`, where blocks cost less
_POWERS = 4  # times that the first block is multiplied by the matrix there: products cost less than blocks
_FIRST_RATE = 2.5  # decades that a block is expected to take off what is missed, before that was seen
_JUDGED = 5  # blocks beyond twice the rank from which on slow convergence ends the iteration ...
_MORE_BLOCKS = 8  # ... where more than so many are expected to be missing
_LAST_LOOK = 10  # columns, in ranks beyond twelve blocks, at which the iteration ends


class Looks:
    """Where convergence is tested: first where it is soonest, and then where it is expected.

    Parameters
    ----------
    side, rank : int
        Of the matrix, and how many of its eigenvectors are looked for.
    single : bool, optional
        Whether in single precision.

    Attributes
    ----------
    rank : int
    width : int
        Columns of a block.
    most : int
        Columns of the largest space.
    at : int
        Columns from which on the next test is due.
    judged : int
        Columns from which on what does not converge is judged by that.
    powers : int
        How often the first block is multiplied by the matrix.
    """

    def __init__(self, side: int, rank: int, *, single: bool = False) -> None:
        self.rank, self.width = rank, _width(side, rank)
        self.most = min(_LAST_LOOK * rank + 12 * self.width, side // 2) // self.width * self.width
        late = single and side < _LARGE
        blocks = round(_LATE_LOOK * (1 + math.sqrt(rank)) / self.width) if late else _FIRST_LOOK
        self.at = rank + blocks * self.width
        self.powers = _POWERS if late else 1
        self.judged = 2 * rank + _JUDGED * self.width
        self._last: tuple[int, float] | None = None

    def end(self, columns: int, missed: float, goal: float, *, hopeless: bool) -> bool:
        """Return whether the iteration is to end without success; if not, set when the next test is due.

        What falls slowly at first may fall faster later, so that only the last block can end it.

        Parameters
        ----------
        columns : int
            Of the space that was tested.
        missed, goal : float
            Energy that it misses, and the less that it may miss.
        hopeless : bool
            Whether no more blocks would help, whatever is missed.
        """
        rate, recent = _FIRST_RATE, False
        if self._last:
            before, energy = self._last
            rate = math.log10(energy / missed) * self.width / (columns - before)
            recent = columns - before <= self.width
        blocks = math.log10(missed / goal) / rate if goal and rate > 0 else math.inf
        slow = blocks > _MORE_BLOCKS
        if columns >= self.judged and (hopeless or (slow and recent)):
            return True
        due = max(self.judged, columns + 1) if slow else columns + max(1, round(blocks)) * self.width
        self.at, self._last = min(due, self.most), (columns, missed)
        return False


def _width(side: int, rank: int) -> int:
    """Return how many columns a block of the Krylov space has."""
    return max(16 if side >= _LARGE else 8, 8 * (rank // 32))
