"""The factors of many blocks in a few arrays, so that a million blocks are not two million objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._results import ReadOnly, lock_all
from lowrank_blocks._validation import Matrix

Factors = tuple[Matrix, Matrix]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pack(ReadOnly):
    """The factors of some (p, q) blocks, one block after another.

    Attributes
    ----------
    shape : (int, int)
        Of every block.
    ranks : (k,) array of int
        Of every block.
    left, right : arrays
        Entries of all B, (p, rank), and of all A, (rank, q).
    """

    shape: tuple[int, int]
    ranks: Counts
    left: Matrix
    right: Matrix

    @classmethod
    def of_stacks(cls, b: Matrix, a: Matrix, ranks: Counts) -> Pack:
        """Return the leading `ranks` columns of a (k, p, r) stack with the rows of a (k, r, q) one."""
        kept = np.arange(b.shape[2]) < ranks[:, None]
        shape = b.shape[1], a.shape[2]
        if kept.all():
            left, right = np.ascontiguousarray(b).reshape(-1), np.ascontiguousarray(a).reshape(-1)
        else:
            left = b[np.broadcast_to(kept[:, None, :], b.shape)]
            right = a[np.broadcast_to(kept[:, :, None], a.shape)]
        lock_all([left, right, ranks])
        return cls(shape, ranks, left, right)

    @classmethod
    def of_one(cls, factors: Factors) -> Pack:
        """Return the factors of one block."""
        b, a = factors
        return cls.of_stacks(b[None], a[None], np.array([b.shape[1]]))

    def stacks(self) -> Factors:
        """Return all B as a (k, p, r) stack and all A as a (k, r, q) one, with zeros beyond lesser ranks."""
        (p, q), count = self.shape, int(self.ranks.max(initial=0))
        kept = np.arange(count) < self.ranks[:, None]
        if kept.all():
            return self.left.reshape(len(kept), p, count), self.right.reshape(len(kept), count, q)
        b = np.zeros((len(kept), p, count), self.left.dtype)
        a = np.zeros((len(kept), count, q), self.right.dtype)
        b[np.broadcast_to(kept[:, None, :], b.shape)] = self.left
        a[np.broadcast_to(kept[:, :, None], a.shape)] = self.right
        return b, a


class PackedFactors(ReadOnly, Sequence[Factors]):
    """The factors (B, A) of all blocks of a result, as read-only views made when they are asked for.

    Parameters
    ----------
    packs : sequence of Pack
        Factors of blocks of one shape each.
    order : sequence of arrays of int
        Which blocks they are, all together ``0, 1, ...``.
    """

    def __init__(self, packs: Sequence[Pack], order: Sequence[Counts]) -> None:
        count = sum(map(len, order))
        self.packs, self.order = tuple(packs), tuple(order)
        self._pack, self._end = np.zeros(count, np.int32), np.zeros(count, np.int64)
        self.ranks = np.zeros(count, np.int64)
        for k, (pack, chosen) in enumerate(zip(packs, order, strict=True)):
            self._pack[chosen], self._end[chosen] = k, np.cumsum(pack.ranks)
            self.ranks[chosen] = pack.ranks
        lock_all([self._pack, self._end, self.ranks, self.order])

    @classmethod
    def of_pairs(cls, pairs: Sequence[Factors]) -> PackedFactors:
        """Return the factors of blocks that are held one by one."""
        return cls([Pack.of_one(pair) for pair in pairs], list(np.arange(len(pairs))[:, None]))

    def __len__(self) -> int:
        return len(self.ranks)

    @overload
    def __getitem__(self, k: int) -> Factors: ...
    @overload
    def __getitem__(self, k: slice) -> tuple[Factors, ...]: ...
    def __getitem__(self, k: int | slice) -> Factors | tuple[Factors, ...]:
        if isinstance(k, slice):
            return tuple(self[i] for i in range(*k.indices(len(self))))
        if not -len(self) <= k < len(self):
            raise IndexError(f"factors must be asked for a block below {len(self)}, got {k}.")
        pack, rank, end = self.packs[self._pack[k]], int(self.ranks[k]), int(self._end[k])
        p, q = pack.shape
        b = pack.left[(end - rank) * p : end * p].reshape(p, rank)
        return b, pack.right[(end - rank) * q : end * q].reshape(rank, q)

    def stacks(self) -> Iterator[tuple[Counts, Matrix, Matrix]]:
        """Yield the factors of blocks of one shape and one rank: which, B (k, p, rank), A (k, rank, q)."""
        for pack, chosen in zip(self.packs, self.order, strict=True):
            p, q = pack.shape
            start = np.cumsum(pack.ranks) - pack.ranks
            for rank in np.unique(pack.ranks[pack.ranks > 0]).tolist():
                alike = np.flatnonzero(pack.ranks == rank)
                if len(alike) == len(chosen):
                    left, right = pack.left, pack.right
                else:
                    left = pack.left[start[alike, None] * p + np.arange(p * rank)]
                    right = pack.right[start[alike, None] * q + np.arange(rank * q)]
                yield chosen[alike], left.reshape(-1, p, rank), right.reshape(-1, rank, q)

    def __repr__(self) -> str:
        return f"PackedFactors({len(self)} blocks, {int(self.ranks.sum())} ranks in all)"


def stacks_of(factors: Sequence[Factors]) -> Iterator[tuple[Counts, Matrix, Matrix]]:
    """Yield factors of positive rank, many of one shape and one rank at a time where that is known."""
    if isinstance(factors, PackedFactors):
        yield from factors.stacks()
        return
    for k, (b, a) in enumerate(factors):
        if b.shape[1]:
            yield np.array([k]), b[None], a[None]
