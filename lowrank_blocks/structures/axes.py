"""Where an axis is cut, and the rectangles between the cuts."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from lowrank_blocks._validation import as_count

Axis = int | tuple[int, ...]
Rectangle = tuple[int, int, int, int]


class Block(NamedTuple):
    """A rectangle of a matrix: ``W[block]`` is the view of it.

    Attributes
    ----------
    rows, cols : slice
        Half-open ranges with explicit start and stop.
    """

    rows: slice
    cols: slice

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the rectangle."""
        return self.rows.stop - self.rows.start, self.cols.stop - self.cols.start


def as_axis(value: object, name: str) -> Axis:
    """Return `value` as a number of parts or as a tuple of edges, or say why it is neither."""
    if isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, (str, bytes)):
        edges = tuple(_as_int(edge, f"{name}[{i}]") for i, edge in enumerate(value))
        _check_edges(edges, name)
        return edges
    parts = _as_int(value, name)
    if parts < 1:
        raise ValueError(f"{name} must be at least 1 part, got {parts}.")
    return parts


def axis_edges(axis: Axis, length: int, name: str) -> tuple[int, ...]:
    """Cut ``range(length)``: ``i * length // parts`` for a number of parts, else the given edges."""
    if isinstance(axis, int):
        if axis > length:
            raise ValueError(f"{name} must be at most the length of its axis, {length}, got {axis} parts.")
        return tuple(i * length // axis for i in range(axis + 1))
    if axis[-1] != length:
        raise ValueError(f"{name} must end at the length of its axis, {length}, got edges {_show(axis)}.")
    return axis


def intervals(axis: Axis, length: int, name: str) -> list[slice]:
    """Return the parts of an axis as slices."""
    edges = axis_edges(axis, length, name)
    return [slice(start, stop) for start, stop in pairwise(edges)]


def as_rectangles(values: object, name: str) -> tuple[Rectangle, ...]:
    """Return disjoint rectangles ``(top, bottom, left, right)`` as tuples of ints, or say what is wrong."""
    if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, np.ndarray)) or len(values) == 0:
        raise TypeError(f"{name} must be a nonempty sequence of (top, bottom, left, right), got {values!r}.")
    rectangles = tuple(_as_rectangle(value, f"{name}[{k}]") for k, value in enumerate(values))
    top, bottom, left, right = np.array(rectangles).T
    meet = (
        (top[:, None] < bottom) & (top < bottom[:, None]) & (left[:, None] < right) & (left < right[:, None])
    )
    np.fill_diagonal(meet, False)
    if meet.any():
        i, j = (int(k) for k in np.argwhere(meet)[0])
        raise ValueError(f"{name} must be disjoint, got {rectangles[i]} and {rectangles[j]}, which overlap.")
    return rectangles


def _as_rectangle(value: object, name: str) -> Rectangle:
    rule = "four ints (top, bottom, left, right) with 0 <= top < bottom and 0 <= left < right"
    if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, np.ndarray)) or len(value) != 4:
        raise TypeError(f"{name} must be {rule}, got {value!r}.")
    top, bottom, left, right = (as_count(v, f"{name}[{k}]") for k, v in enumerate(value))
    if top >= bottom or left >= right:
        raise ValueError(f"{name} must be {rule}, got {(top, bottom, left, right)}.")
    return top, bottom, left, right


def _as_int(value: object, name: str) -> int:
    rule = "an int (that many parts) or a tuple of int edges from 0 to the length of the axis"
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be {rule}, got the bool {value}.")
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be {rule}, got {value!r}.") from None


def _check_edges(edges: tuple[int, ...], name: str) -> None:
    if len(edges) < 2 or edges[0] != 0:
        raise ValueError(f"{name} must start at 0 and have at least two edges, got edges {_show(edges)}.")
    for left, right in pairwise(edges):
        if left >= right:
            raise ValueError(f"{name} must increase, got {left} before {right} in edges {_show(edges)}.")


def _show(edges: tuple[int, ...]) -> str:
    return repr(edges) if len(edges) <= 8 else f"({', '.join(map(str, edges[:7]))}, ..., {edges[-1]})"
