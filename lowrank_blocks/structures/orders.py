"""Orders of the rows or columns of a matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import as_count, as_counts

Indices = NDArray[np.intp]

_SHOWN = 64  # indices that a repr lists


class Order(ABC):
    """An order of an axis of any length that it fits; a frozen value."""

    @abstractmethod
    def indices(self, length: int, name: str) -> Indices:
        """Return which index of the matrix comes first, second, and so on.

        Parameters
        ----------
        length : int
            Length of the axis.
        name : str
            What errors call the order.

        Raises
        ------
        ValueError
            If the order does not fit the length.
        """


@final
@shows_call("lb.stride_order(4): indices 0, 4, 8, ..., then 1, 5, 9, ...")
@dataclass(frozen=True, repr=False)
class stride_order(Order):  # noqa: N801  # called like a function
    """Take every `step`-th index, from 0, then from 1, and so on.

    ``Reordered(Localized(step, k), rows=stride_order(step))`` is ``Monarch(step, k)``.

    Parameters
    ----------
    step : int
        Distance of indices that become neighbours, at least 1.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> lb.stride_order(3).indices(7, "rows").tolist()
    [0, 3, 6, 1, 4, 2, 5]
    """

    step: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "step", as_count(self.step, "step", least=1))

    def __repr__(self) -> str:
        return f"stride_order({self.step})"

    def indices(self, length: int, name: str) -> Indices:
        """Return the indices by their remainder."""
        if self.step > length:
            raise ValueError(
                f"step of {name} must be at most the length of its axis, {length}, got {self.step}."
            )
        return np.argsort(np.arange(length) % self.step, kind="stable")


@final
@shows_call("lb.head_order(12) for 12 heads of attention")
@dataclass(frozen=True, repr=False)
class head_order(Order):  # noqa: N801  # called like a function
    """Bring together the same feature of all heads of attention, which are stored head by head.

    Parameters
    ----------
    n_heads : int
        Number of heads; it must divide the length of the axis.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> lb.head_order(2).indices(6, "rows").tolist()
    [0, 3, 1, 4, 2, 5]
    """

    n_heads: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_heads", as_count(self.n_heads, "n_heads", least=1))

    def __repr__(self) -> str:
        return f"head_order({self.n_heads})"

    def indices(self, length: int, name: str) -> Indices:
        """Return the first feature of every head, then the second, and so on."""
        if length % self.n_heads:
            raise ValueError(
                f"n_heads of {name} must divide the length of its axis, {length}, got {self.n_heads}; "
                f"{nearest_divisors(length, self.n_heads)} do."
            )
        return np.arange(length).reshape(self.n_heads, -1).T.ravel()


@final
@dataclass(frozen=True, repr=False)
class Listed(Order):
    """An order that is given index by index."""

    listed: tuple[int, ...]

    def __repr__(self) -> str:
        if len(self.listed) <= _SHOWN:
            return repr(self.listed)
        return f"an order of {len(self.listed)}"

    def indices(self, length: int, name: str) -> Indices:
        """Return the indices."""
        if len(self.listed) != length:
            raise ValueError(
                f"{name} must list each of the {length} indices of its axis once, got {len(self.listed)}."
            )
        return np.array(self.listed, dtype=np.intp)


def as_order(value: Any, name: str) -> Order:
    """Return `value` as an order, or say why it is none."""
    if isinstance(value, Order):
        return value
    rule = "an order such as lb.stride_order(4), or a sequence that lists every index once"
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)):
        raise TypeError(f"{name} must be {rule}, got {value!r}.")
    listed = tuple(as_counts(value, name).tolist())
    missing = np.setdiff1d(np.arange(len(listed)), listed)
    if missing.size or not listed:
        got = f"no {missing[0]}" if missing.size else "none"
        raise ValueError(f"{name} must be {rule}, got {got} among {len(listed)} indices.")
    return Listed(listed)


def nearest_divisors(length: int, value: int) -> str:
    """Return in words the divisors of a length that are next to a value."""
    divisors = [d for d in range(1, length + 1) if length % d == 0]
    below = max((d for d in divisors if d < value), default=None)
    above = min((d for d in divisors if d > value), default=None)
    return " and ".join(str(d) for d in (below, above) if d is not None)
