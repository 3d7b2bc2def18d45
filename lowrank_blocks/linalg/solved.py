"""Factors of blocks with their certified errors, and factors of smaller ranks that are cut from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks.linalg.bounds import lapack_norm
from lowrank_blocks.linalg.energies import tail_energy
from lowrank_blocks.linalg.packed import Pack, PackedFactors
from lowrank_blocks.linalg.scaling import raised, scaled
from lowrank_blocks.linalg.sequences import Indices, Ragged
from lowrank_blocks.linalg.single import in_single

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BlockFactors:
    """Factors of blocks and their certified errors; every array has one entry a block.

    Attributes
    ----------
    factors : PackedFactors
        Pairs (B, A) of shapes (p, rank) and (rank, q); columns of B and rows of A are orthogonal and
        of norm ``sqrt(sigma)``, before they are rounded.
    norm : (n_blocks,) array
        Frobenius norms, divided by ``2**exponent``, to within `norm_rounding`.
    error : (n_blocks,) array
        Frobenius norm of what they leave before they are rounded, divided by ``2**exponent``.
    excess : (n_blocks,) array
        Bound on how far `error` is above the least possible, in the same unit.
    rounding : (n_blocks,) array
        Bound on how far rounding to float32 moved their product, in the same unit; 0 for float64.
    methods : tuple of str
        See `Accuracy`.
    """

    factors: PackedFactors
    norm: Floats
    error: Floats
    excess: Floats
    rounding: Floats
    methods: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.error)

    def without_zeros(self) -> BlockFactors:
        """Return the factors without singular values of zero, which come last."""
        counts = [int(np.count_nonzero(a.any(axis=1))) for _, a in self.factors]
        if counts == self.factors.ranks.tolist():
            return self
        shorter = [(b[:, :kept], a[:kept]) for kept, (b, a) in zip(counts, self.factors, strict=True)]
        return replace(self, factors=PackedFactors.of_pairs(shorter))

    def values(self, exponent: int) -> Ragged:
        """Return the singular values of every block, divided by ``2**exponent``, from factors in float64."""
        found = [
            (chosen[[k]], row[None, : part.pack.ranks[k]])
            for chosen, part in self._parts()
            for k, row in enumerate(_values(part.pack, exponent))
        ]
        return Ragged.scattered(self.factors.ranks, found)

    def truncated(
        self, ranks: Sequence[int] | NDArray[np.int64], exponent: int, *, single: bool
    ) -> BlockFactors:
        """Return the best approximations of smaller ranks, which are the leading parts of these.

        Parameters
        ----------
        ranks : sequence of int
            One a block, none above that of its factors, which are in float64.
        exponent : int
            As for `leading_factors`.
        single : bool
            Whether factors are rounded to float32.
        """
        wanted = np.asarray(ranks, dtype=np.int64)
        if (wanted > self.factors.ranks).any():
            raise ValueError(f"ranks must be at most {self.factors.ranks}, got {wanted}.")
        cut = [_truncated(part, wanted[chosen], exponent, single) for chosen, part in self._parts()]
        return restored(self.factors.order, cut)

    def _parts(self) -> Iterator[tuple[Indices, Solved]]:
        """Yield blocks of one shape."""
        for pack, chosen in zip(self.factors.packs, self.factors.order, strict=True):
            methods = [self.methods[k] for k in chosen.tolist()]
            norm, error = self.norm[chosen], self.error[chosen]
            yield chosen, Solved(pack, norm, error, self.excess[chosen], self.rounding[chosen], methods)


@dataclass(frozen=True)
class Solved:
    """Factors and certified errors of some blocks of one shape; see `BlockFactors`."""

    pack: Pack
    norm: Floats
    error: Floats
    excess: Floats
    rounding: Floats
    methods: list[str]


def restored(order: Sequence[Indices], solved: Sequence[Solved]) -> BlockFactors:
    """Return what was found in the order of the blocks."""
    packed = PackedFactors([found.pack for found in solved], order)
    if len(solved) == 1:
        (all_,) = solved
        return BlockFactors(packed, all_.norm, all_.error, all_.excess, all_.rounding, tuple(all_.methods))
    count = sum(map(len, order))
    numbers, methods = np.zeros((4, count)), np.zeros(count, dtype=object)
    for chosen, found in zip(order, solved, strict=True):
        numbers[:, chosen] = found.norm, found.error, found.excess, found.rounding
        methods[chosen] = found.methods
    norm, error, excess, rounding = numbers
    return BlockFactors(packed, norm, error, excess, rounding, tuple(methods.tolist()))


def _values(pack: Pack, exponent: int) -> Floats:
    """Return the norms of the products of columns of B with rows of A, descending, over ``2**exponent``."""
    b, a = (scaled(stack, exponent // 2) for stack in pack.stacks())
    squares = (np.ascontiguousarray(np.square(rows)).sum(axis=-1) for rows in (b.mT, a))  # summed in pairs
    values = np.prod([np.sqrt(square) for square in squares], axis=0)
    return np.asarray(np.minimum.accumulate(values, axis=-1))  # rounding may swap equal values


def _truncated(whole: Solved, ranks: Indices, exponent: int, single: bool) -> Solved:
    """Return the leading parts of blocks of one shape.

    The values left out are at most those of the block at the same places, so that they add no less to the
    least error than to the error. So the excess does not grow, except by rounding.
    """
    b, a = whole.pack.stacks()
    tails = np.sqrt(tail_energy(_values(whole.pack, exponent)))
    norms, inner = np.hypot(whole.error, tails[:, 0]), (b.shape[2], max(whole.pack.shape))
    b, a = b[:, :, : ranks.max()], a[:, : ranks.max()]
    if single:
        kept = np.arange(b.shape[2]) < ranks[:, None]
        b, a, moved = in_single(b * kept[:, None], a * kept[:, :, None])
    return Solved(
        Pack.of_stacks(b, a, ranks),
        whole.norm,
        np.hypot(whole.error, tails[np.arange(len(ranks)), ranks]),
        whole.excess + raised(2 * lapack_norm(norms, inner), 0),
        np.ldexp(moved, -exponent) if single else np.zeros(len(ranks)),
        ["zero" if rank == 0 else method for rank, method in zip(ranks, whole.methods, strict=True)],
    )
