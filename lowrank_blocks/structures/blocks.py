"""Any disjoint blocks: some rows times some columns each."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Shape
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.cells import Block, IndexSet, overlap, selection
from lowrank_blocks.structures.picked import BlockLayout, PickedLayout, RectangleLayout

_RULE = "a slice with start and stop, a range or a 1-D sequence of distinct non-negative integers"


@final
@shows_call("lb.Blocks([(slice(0, 4), [0, 3]), (range(0, 4), [1, 2])]) with (rows, cols) of each block")
@dataclass(frozen=True, repr=False)
class Blocks(Structure):
    """Any disjoint blocks, such as those that `best_partition` finds.

    Parameters
    ----------
    blocks : sequence of (rows, cols)
        The rows and the columns of every block, each a slice with start and stop, a range, or a
        1-D sequence of distinct integers, in the order in which the block has them.

    Raises
    ------
    TypeError, ValueError
        If there is no block; if rows or columns are empty, repeated, negative or not of these kinds;
        or if two blocks overlap. The message names the blocks.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> structure = lb.Blocks([(slice(0, 4), [0, 3]), (range(0, 4, 2), slice(1, 3))])
    >>> structure.layout((4, 4)).block_shapes
    ((4, 2), (2, 2))
    """

    blocks: Sequence[tuple[Any, Any]]

    has_name = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", _as_blocks(self.blocks))

    def __repr__(self) -> str:
        return (
            f"Blocks({list(self.blocks)})" if len(self.blocks) <= 3 else f"Blocks({len(self.blocks)} blocks)"
        )

    def layout(self, shape: Shape) -> PickedLayout:
        """Return the blocks in the order given."""
        for k, sets in enumerate(self.blocks):
            for name, chosen, length in zip(("row", "column"), sets, shape, strict=True):
                if max(chosen) >= length:
                    last = f"{name} {max(chosen)} in blocks[{k}]"
                    raise ValueError(f"blocks must lie within the shape {shape}, got {last}.")
        chosen_blocks = [_block(sets) for sets in self.blocks]
        if all(isinstance(part, slice) for block in chosen_blocks for part in block):
            bounds = [(r.start, r.stop, c.start, c.stop) for r, c in chosen_blocks]  # type: ignore[union-attr]
            return RectangleLayout(shape, np.array(bounds, dtype=np.int64))
        return BlockLayout(shape, chosen_blocks)

    def transposed(self) -> Blocks:
        """Return the blocks with rows and columns exchanged."""
        return Blocks(tuple((cols, rows) for rows, cols in self.blocks))


def _as_blocks(values: object) -> tuple[tuple[IndexSet, IndexSet], ...]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"blocks must be a nonempty sequence of (rows, cols), got {values!r}.")
    blocks = tuple(_as_block(value, f"blocks[{k}]") for k, value in enumerate(values))
    if not blocks:
        raise ValueError("blocks must be a nonempty sequence of (rows, cols), got none.")
    pair = overlap([_block(sets) for sets in blocks])
    if pair is not None:
        i, j = pair
        raise ValueError(f"blocks must be disjoint, got blocks[{i}] and blocks[{j}], which overlap.")
    return blocks


def _as_block(value: object, name: str) -> tuple[IndexSet, IndexSet]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence) or len(value) != 2:
        raise TypeError(f"{name} must be a pair (rows, cols), got {value!r}.")
    return _as_index_set(value[0], f"rows of {name}"), _as_index_set(value[1], f"cols of {name}")


def _as_index_set(value: Any, name: str) -> IndexSet:
    """Return some indices as an increasing range where they are one, else as a tuple of ints."""
    if isinstance(value, slice):
        if value.start is None or value.stop is None:
            raise ValueError(f"{name} must have a start and a stop, got {value}; write slice(0, length).")
        value = range(value.start, value.stop, 1 if value.step is None else value.step)
    if isinstance(value, range) and value and value.step == 1 and value.start >= 0:
        return value
    if not isinstance(value, (range, Sequence, np.ndarray)) or isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be {_RULE}, got {value!r}.")
    if len(value) == 0:
        raise ValueError(f"{name} must be {_RULE}, got none.")
    chosen = value if isinstance(value, range) else tuple(_as_index(v, name) for v in value)
    if min(chosen) < 0:
        raise ValueError(f"{name} must be {_RULE}, got {min(chosen)}.")
    if len(set(chosen)) != len(chosen):
        repeated = next(v for i, v in enumerate(chosen) if v in chosen[:i])
        raise ValueError(f"{name} must be {_RULE}, got {repeated} twice.")
    first, last = chosen[0], chosen[-1]
    consecutive = range(first, last + 1)
    return consecutive if len(consecutive) == len(chosen) and tuple(consecutive) == tuple(chosen) else chosen


def _as_index(value: Any, name: str) -> int:
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be {_RULE}, got the bool {value}; pass np.flatnonzero(mask).")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be {_RULE}, got {value!r}.") from None


def _block(sets: tuple[IndexSet, IndexSet]) -> Block:
    return Block(selection(sets[0]), selection(sets[1]))
