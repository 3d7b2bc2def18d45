"""Where an axis is cut."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

Axis = int | tuple[int, ...]


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
