"""A block in the precision in which its leading vectors are looked for, and its Gram matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.gram import Product, gram

_MODERATE = 10  # fourth powers of norms up to 2**10 do not overflow, and those from 2**-10 do not vanish


@cache
def unit(dtype: Any) -> float:
    """Return the unit of rounding of float64 or float32."""
    return float(np.finfo(dtype).epsneg)


@dataclass(frozen=True)
class Source:
    """A block divided by ``2**exponent``.

    Attributes
    ----------
    rows : (k, l) array
        Smaller side first, of float64 or float32.
    energy : float
        Sum of the squares of all its entries.
    exponent : int
    """

    rows: NDArray[Any]
    energy: float
    exponent: int = 0

    @classmethod
    def moderate(cls, block: NDArray[np.float32], energy: float) -> Source:
        """Return a block of float32 of this energy, scaled so that single precision holds its squares."""
        exponent = math.frexp(energy)[1] // 2
        if abs(exponent) <= _MODERATE:
            return cls(block, energy)
        return cls(np.ldexp(block, -exponent), math.ldexp(energy, -2 * exponent), exponent)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the rows."""
        return self.rows.shape[0], self.rows.shape[1]

    @property
    def single(self) -> bool:
        """Whether the rows are of float32."""
        return self.rows.dtype == np.float32

    @cached_property
    def gram(self) -> NDArray[Any]:
        """The Gram matrix, both halves. Proofs may overwrite the lower one; in single precision the upper."""
        return gram(self.rows, both_halves=True)

    def product(self, columns: NDArray[Any], *, by_rows: bool) -> Callable[..., NDArray[Any]]:
        """Return the product of the Gram matrix with columns like these, with or without forming it.

        It takes the columns, and perhaps an array for the result.
        """
        if not by_rows:
            return Product(self.gram, columns, symmetric=True)
        length, few = self.rows.shape[1], columns.shape[1]
        turned = Product(self.rows.T, columns)
        back = Product(self.rows, np.empty((length, few), columns.dtype, order="F"))
        return lambda columns, out=None: back(turned(columns), out)

    def squares(self, values: Any) -> Any:
        """Return squares of this source in units of the block."""
        return np.ldexp(values, 2 * self.exponent)
