"""Singular values and leading factors of blocks: the door to everything that calls LAPACK."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._validation import Matrix
from lowrank_blocks.spectra.bounds import (
    PROMISE_DOUBLE,
    error_of_root,
    gram_energy,
    lapack_norm,
)
from lowrank_blocks.spectra.gram import energy, flat, gram_values, stacked_gram_values
from lowrank_blocks.spectra.lapack import lapack_values
from lowrank_blocks.spectra.scaling import scaled, stacked
from lowrank_blocks.spectra.slabs import groups, restored, slabs
from lowrank_blocks.spectra.threads import one_blas_thread, parallel

Spectrum = NDArray[np.float64]

# From so many entries on: Gram matrices, else LAPACK's SVD; tests/benchmarks/crossovers.py measures it.
GRAM_FROM = 6400
GRAM_SIDE = 32  # ... and only if the smaller side is at least this
_SAMPLED = 32  # of so many blocks of one shape one is tried first
_ALONE_FROM = 512  # smaller sides from this on: a lone block is spread over the workers


class BlockSpectra:
    """Singular values of blocks, one descending array a block, and how far they can be trusted.

    They are as accurate as was promised for every rank whose factors hold fewer numbers than the
    block. Only there is it cheap: the least values of almost any block are lost in its Gram matrix.
    Larger ranks are refined when they are asked for.

    Parameters
    ----------
    blocks : sequence of (p, q) arrays
        Real and finite.
    exponent : int, optional
        Power of two by which values are divided, as from `common_exponent` of all blocks.
    accuracy : float, optional
        Error promised at any ranks, relative to the norm of all blocks; a block whose certified bound
        exceeds its share goes to LAPACK's SVD.

    Attributes
    ----------
    values : list of arrays
        Singular values, read-only.
    tails : list of arrays
        `tail_energy` of each.
    proven : list of int
        Largest rank of every block up to which the accuracy is certified.
    """

    def __init__(self, blocks: Sequence[Matrix], exponent: int = 0, accuracy: float = PROMISE_DOUBLE) -> None:
        self._blocks, self._exponent, self._accuracy = blocks, exponent, accuracy
        self._found = self._first_look()
        self.values = [self._in_common_units(f.values, f, 1) for f in self._found]
        self.tails = [self._in_common_units(f.tails, f, 2) for f in self._found]
        self._share = math.hypot(*(math.sqrt(t[0]) for t in self.tails)) / math.sqrt(len(blocks))
        self.proven = [self._proven(k) for k in range(len(blocks))]
        self.require([_useful(b.shape) for b in blocks])

    @property
    def methods(self) -> tuple[str, ...]:
        """How each was computed; see `Accuracy`."""
        return tuple(f.method for f in self._found)

    @property
    def bounds(self) -> tuple[float, ...]:
        """Bounds on the errors of ``sqrt(tails[k][r])`` for every r up to ``proven[k]``."""
        return tuple(
            math.ldexp(float(f.bounds[: rank + 1].max()), f.exponent - self._exponent)
            for f, rank in zip(self._found, self.proven, strict=True)
        )

    @property
    def complete(self) -> bool:
        """Whether every rank is certified."""
        return all(p == len(s) for p, s in zip(self.proven, self.values, strict=True))

    def require(self, ranks: Sequence[int] | NDArray[np.int64]) -> bool:
        """Refine the blocks that are not certified at these ranks; return whether there are any."""
        weak = [k for k, r in enumerate(ranks) if self.proven[k] < r < len(self.values[k])]
        self._refine(weak)
        return bool(weak)

    def require_all(self, accuracy: float) -> None:
        """Refine the blocks whose bounds exceed their share of a coarser accuracy at any rank."""
        open_ = [k for k, s in enumerate(self.values) if self.proven[k] < len(s)]
        self._refine([k for k in open_ if self._worst(k) > self._allowed(k, accuracy)])

    def settle(self) -> None:
        """Forget the blocks: from now on nothing can be refined."""
        self._blocks, self.proven = (), [len(s) for s in self.values]

    def _first_look(self) -> list[_Found]:
        """Solve all blocks, those by Gram matrices of whose shape the largest of many is not in doubt."""
        alike = groups([(p, q) for p, q in (b.shape for b in self._blocks)])
        doubtful = [g for g in alike if len(g) >= _SAMPLED and self._doubtful(g)]
        rest = [k for g in alike if g not in doubtful for k in g]
        cut = [*doubtful, rest]
        return restored(cut, [self._solved(g, gram=g is rest) for g in cut])

    def _doubtful(self, group: list[int]) -> bool:
        """Whether the Gram matrix of the block of largest norm will not do for it."""
        shape = self._blocks[group[0]].shape
        if not gram_pays(min(shape), max(shape)):
            return False
        largest = max(group, key=lambda k: energy(scaled(self._blocks[k], self._exponent)))
        (found,) = self._solved([largest], gram=True)
        allowed = self._accuracy / math.sqrt(2) * math.sqrt(found.tails[0])
        return bool((found.bounds[: _useful(shape) + 1] > allowed).any())

    def _refine(self, weak: list[int]) -> None:
        for k, found in zip(weak, self._solved(weak, gram=False), strict=True):
            self._found[k], self.proven[k] = found, len(found.values)
            self.values[k] = self._in_common_units(found.values, found, 1)
            self.tails[k] = self._in_common_units(found.tails, found, 2)

    def _solved(self, chosen: Sequence[int], *, gram: bool) -> list[_Found]:
        with one_blas_thread(with_scipy=any(min(self._blocks[k].shape) >= _ALONE_FROM for k in chosen)):
            return _spectra(self._blocks, chosen, gram=gram)

    def _in_common_units(self, array: Spectrum, found: _Found, power: int) -> Spectrum:
        shift = found.exponent - self._exponent
        return array if shift == 0 else np.ldexp(array, power * shift)

    def _proven(self, k: int) -> int:
        """Return the rank up to which the bounds stay below the accuracy, relative to this block's share."""
        found, side = self._found[k], len(self.values[k])
        if found.method == "lapack":
            return side
        allowed = self._allowed(k, self._accuracy)
        if self._worst(k) <= allowed:
            return side
        return int(np.argmax(np.ldexp(found.bounds, found.exponent - self._exponent) > allowed)) - 1

    def _worst(self, k: int) -> float:
        found = self._found[k]
        return math.ldexp(found.worst, found.exponent - self._exponent)

    def _allowed(self, k: int, accuracy: float) -> float:
        """Return the share of a block in an error relative to the norm of all."""
        return accuracy / math.sqrt(2) * max(math.sqrt(self.tails[k][0]), self._share)


def singular_values(blocks: Sequence[Matrix], exponent: int = 0) -> list[Spectrum]:
    """Return the singular values of every block divided by ``2**exponent``; see `BlockSpectra`."""
    return BlockSpectra(blocks, exponent).values


def tail_energy(spectra: Spectrum) -> Spectrum:
    """Squared error left by every truncation of a spectrum, or of each row of several.

    Entry ``r`` is ``sum(spectrum[r:] ** 2)`` for ``r = 0, ..., k``; the last is exactly 0.
    Summed from the smallest value up: ``total - kept`` would cancel.
    """
    tail = np.zeros((*spectra.shape[:-1], spectra.shape[-1] + 1))
    tail[..., :-1] = np.cumsum(np.square(spectra)[..., ::-1], axis=-1)[..., ::-1]
    return tail


@dataclass(frozen=True)
class _Found:
    """A spectrum divided by a power of two of its own, with bounds on the errors left by all ranks."""

    values: Spectrum
    tails: Spectrum
    exponent: int
    bounds: Spectrum
    worst: float
    method: str


def _spectra(blocks: Sequence[Matrix], chosen: Sequence[int], *, gram: bool) -> list[_Found]:
    """Return the spectra of the chosen blocks, from Gram matrices where the size suggests it or not."""
    shapes = [flat(blocks[k]).shape for k in chosen]
    alike = groups([(p, q) for p, q in shapes])
    lone = [g for g in alike if len(g) == 1 and shapes[g[0]][0] >= _ALONE_FROM]
    others = [slab for g in alike if g not in lone for slab in slabs(g, shapes[g[0]])]

    def solve(slab: list[int], *, alone: bool = False) -> list[_Found]:
        return _solve([flat(blocks[chosen[i]]) for i in slab], gram=gram, alone=alone)

    return restored(lone + others, [solve(g, alone=True) for g in lone] + parallel(solve, others))


def gram_pays(side: int, length: int) -> bool:
    """Whether a Gram matrix is the faster way to the spectra of blocks, smaller side first."""
    return side >= GRAM_SIDE and side * length >= GRAM_FROM


def _useful(shape: tuple[int, ...]) -> int:
    """Return the largest rank whose factors hold no more numbers than the block."""
    return shape[0] * shape[1] // sum(shape)


def _solve(rows: list[Matrix], *, gram: bool, alone: bool) -> list[_Found]:
    """Return the spectra of blocks of one shape, smaller side first; one alone may use all workers."""
    stack, exponents = stacked(rows)
    shape = stack.shape[-2:]
    by_gram = gram and gram_pays(*shape)
    if not by_gram:
        values = lapack_values(stack)
    elif alone:
        values = gram_values(stack[0])[None]
    else:
        values = stacked_gram_values(stack)
    tails = tail_energy(values)
    if by_gram:
        bounds = error_of_root(tails[:, :-1], gram_energy(values, shape))
    else:
        bounds = lapack_norm(np.sqrt(tails[:, :1]), shape)
    values.flags.writeable = tails.flags.writeable = False
    columns = values, tails, exponents.tolist(), bounds, bounds.max(axis=1).tolist()
    method = "gram" if by_gram else "lapack"
    return [_Found(*row, method) for row in zip(*columns, strict=True)]
