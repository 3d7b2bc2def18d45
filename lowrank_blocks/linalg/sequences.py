"""Many blocks, or arrays of many lengths, without one Python object for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._results import ReadOnly, locked
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.linalg.energies import tail_energy

Indices = NDArray[np.int64]


class BlockSequence(Sequence[Matrix]):
    """Blocks of a matrix, with their shapes known beforehand.

    Parameters
    ----------
    blocks : sequence of (p, q) arrays
        The blocks.
    """

    def __init__(self, blocks: Sequence[Matrix]) -> None:
        self._blocks = blocks
        self.shapes: Sequence[Shape] = [(b.shape[0], b.shape[1]) for b in blocks]

    @classmethod
    def of(cls, blocks: Sequence[Matrix]) -> BlockSequence:
        """Return blocks as a sequence that knows their shapes."""
        return blocks if isinstance(blocks, BlockSequence) else BlockSequence(blocks)

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, k: int) -> Matrix:  # type: ignore[override]
        return self._blocks[k]

    def groups(self) -> list[Indices]:
        """Return the indices of the blocks of each shape."""
        found: dict[Shape, list[int]] = {}
        for k, shape in enumerate(self.shapes):
            found.setdefault(shape, []).append(k)
        return [np.array(group) for group in found.values()]

    def stacked(self, chosen: Indices) -> Matrix:
        """Copy some blocks of one shape, smaller side first, into a float64 array (count, k, l)."""
        p, q = self.shapes[chosen[0]]
        turned = p > q
        blocks = (self[k] for k in chosen.tolist())
        rows = [(b.T if turned else b).astype(np.float64, copy=False) for b in blocks]
        return np.stack(rows)


class Ragged(ReadOnly, Sequence[NDArray[np.float64]]):
    """Arrays of many lengths, one after another in one array; each is a read-only view of it.

    Parameters
    ----------
    flat : (total,) array
        All entries.
    lengths : (k,) array of int
        Length of every part.
    """

    def __init__(self, flat: NDArray[np.float64], lengths: NDArray[np.int64]) -> None:
        self.flat, self.lengths = locked(flat), locked(lengths)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where every part begins in `flat`."""
        return locked(self.lengths.cumsum() - self.lengths)

    @classmethod
    def of(cls, arrays: Sequence[NDArray[np.float64]]) -> Ragged:
        """Join arrays; those that are ragged already come back as they are."""
        if isinstance(arrays, Ragged):
            return arrays
        lengths = np.array([len(a) for a in arrays], dtype=np.int64)
        return cls(np.concatenate(arrays) if len(arrays) else np.zeros(0), lengths)

    @classmethod
    def joined(cls, several: Sequence[Ragged]) -> Ragged:
        """Return the parts of several, one after another."""
        return cls(
            np.concatenate([one.flat for one in several]), np.concatenate([one.lengths for one in several])
        )

    @property
    def owners(self) -> NDArray[np.int64]:
        """Index of the part that every entry of `flat` belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, k: int) -> NDArray[np.float64]: ...
    @overload
    def __getitem__(self, k: slice) -> list[NDArray[np.float64]]: ...
    def __getitem__(self, k: int | slice) -> NDArray[np.float64] | list[NDArray[np.float64]]:
        if isinstance(k, slice):
            return [self[i] for i in range(*k.indices(len(self)))]
        if not -len(self) <= k < len(self):
            raise IndexError(k)
        start = self.starts[k]
        return self.flat[start : start + self.lengths[k]]

    def __iter__(self) -> Iterator[NDArray[np.float64]]:
        return (self[k] for k in range(len(self)))

    @classmethod
    def scattered(cls, lengths: NDArray[np.int64], parts: Iterable[tuple[Indices, Matrix]]) -> Ragged:
        """Return arrays from the rows of some matrices, each with the indices of its rows."""
        flat = np.zeros(int(lengths.sum()))
        if common := _common(lengths):
            table = flat.reshape(-1, common)
            for chosen, rows in parts:
                table[chosen] = rows
        else:
            starts = lengths.cumsum() - lengths
            for chosen, rows in parts:
                flat[starts[chosen, None] + np.arange(rows.shape[1])] = rows
        return cls(flat, lengths)

    def taken(self, places: Indices) -> Ragged:
        """Return some of the parts, in the order of their places."""
        lengths = self.lengths[places]
        if common := _common(self.lengths):
            return Ragged(self.flat.reshape(-1, common)[places].ravel(), lengths)
        moved = self.starts[places] - (lengths.cumsum() - lengths)
        return Ragged(self.flat[np.repeat(moved, lengths) + np.arange(lengths.sum())], lengths)

    def padded(self) -> NDArray[np.float64]:
        """Return the parts as rows of a table, filled up with zeros."""
        if common := _common(self.lengths):
            return self.flat.reshape(-1, common)
        table = np.zeros((len(self), int(self.lengths.max(initial=0))))
        table[np.arange(table.shape[1]) < self.lengths[:, None]] = self.flat
        return table

    def at(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return entry ``indices[k]`` of every part k."""
        found: NDArray[np.float64] = self.flat[self.starts + indices]
        return found

    def tail_energies(self) -> Ragged:
        """Return `tail_energy` of every part: its energy left by every truncation."""
        if common := _common(self.lengths):  # nothing to gather
            return Ragged(tail_energy(self.flat.reshape(-1, common)).ravel(), self.lengths + 1)
        parts = []
        for length in np.unique(self.lengths).tolist():
            alike = np.flatnonzero(self.lengths == length)
            parts.append((alike, tail_energy(self.flat[self.starts[alike, None] + np.arange(length)])))
        return Ragged.scattered(self.lengths + 1, parts)


def _common(lengths: NDArray[np.int64]) -> int:
    """Return the length of all parts; 0 where they differ, or there are none."""
    first = int(lengths[0]) if len(lengths) else 0
    return first if (lengths == first).all() else 0
