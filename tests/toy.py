"""A structure that the package does not know: the two colours of a checkerboard.

It is written as a user would write one, on the public classes only.
"""

from dataclasses import dataclass

import numpy as np

import lowrank_blocks as lb


def checkers(m, n):
    """Return the entries of each colour, row by row, by the oracle's convention."""
    rows, cols = np.arange(m)[:, None], np.arange(0, n, 2)
    return [rows * n + cols + (rows + colour) % 2 for colour in (0, 1)]


class CheckerboardLayout(lb.Layout):
    """Every row of a colour holds half of the columns, so that its block is (m, n / 2)."""

    def __init__(self, shape):
        m, n = shape
        if m % 2 or n % 2:
            raise ValueError(f"Checkerboard must have even sides, got {shape}.")
        super().__init__(shape, [(m, n // 2)] * 2)
        self._places = checkers(m, n)

    def split(self, matrix):
        return [matrix.reshape(-1)[places] for places in self._places]

    def join(self, blocks):
        joined = np.zeros(self.shape, dtype=blocks[0].dtype)
        for places, block in zip(self._places, blocks, strict=True):
            joined.reshape(-1)[places] = block
        return joined

    def cells(self):
        m, n = self.shape
        return [lb.Block(slice(0, m), slice(0, n))] * 2


@dataclass(frozen=True)
class Checkerboard(lb.Structure):
    """Low rank on the white and on the black entries of a matrix with even sides."""

    def layout(self, shape):
        return CheckerboardLayout(shape)

    def transposed(self):
        return TransposedCheckerboard()


@dataclass(frozen=True)
class TransposedCheckerboard(lb.Structure):
    """The same by columns."""

    def layout(self, shape):
        return _Transposed(shape)

    def transposed(self):
        return Checkerboard()


class _Transposed(lb.Layout):
    def __init__(self, shape):
        self._inner = CheckerboardLayout(shape[::-1])
        super().__init__(shape, [block[::-1] for block in self._inner.block_shapes])

    def split(self, matrix):
        return [block.T for block in self._inner.split(np.ascontiguousarray(matrix.T))]

    def join(self, blocks):
        return self._inner.join([block.T for block in blocks]).T

    def cells(self):
        m, n = self.shape
        return [lb.Block(slice(0, m), slice(0, n))] * 2
