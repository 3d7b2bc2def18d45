"""Singular values of many blocks, in the units that the caller chose."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._results import ReadOnly, lock_all
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.linalg.bounds import PROMISE_DOUBLE, gram_error, lapack_norm
from lowrank_blocks.linalg.energies import energy
from lowrank_blocks.linalg.gram import flat
from lowrank_blocks.linalg.levels import by_gram, gram_pays
from lowrank_blocks.linalg.scaling import common_exponent, raised, scaled, stacked
from lowrank_blocks.linalg.sequences import BlockSequence, Indices, Ragged
from lowrank_blocks.linalg.slabs import slabs
from lowrank_blocks.linalg.stacks import ADDRESS_FROM, eigenvalues
from lowrank_blocks.linalg.svd import lapack_values, svd_method
from lowrank_blocks.linalg.threads import one_blas_thread, parallel

Spectrum = NDArray[np.float64]

_SAMPLED = 32  # of so many blocks of one shape two are tried first: of the largest norm and of the median
LEVELS_FROM = 144  # smaller sides from this on: one block after another, at more than one level
_ALONE_FROM = 512  # smaller sides from this on: a lone block is spread over the workers
_SMALL = 2.0**-100  # norm of a block above which it is solved in the units of all blocks


@dataclass(frozen=True, eq=False)
class BlockSpectra(ReadOnly):
    """Singular values of blocks, and how far the errors taken from them can be off.

    Attributes
    ----------
    values : Ragged
        One descending read-only array a block.
    bounds : (n_blocks,) array
        Bounds on the errors of ``sqrt(tails[k][r])`` for every r.
    norm_bounds : (n_blocks,) array
        Bounds on the errors of ``sqrt(tails[k][0])``.
    methods : tuple of str
        How each was computed; see `Accuracy`.
    """

    values: Ragged
    bounds: Spectrum
    norm_bounds: Spectrum
    methods: tuple[str, ...]

    def __post_init__(self) -> None:
        lock_all([self.bounds, self.norm_bounds])

    @property
    def tails(self) -> Ragged:
        """`tail_energy` of every block."""
        return self.values.tail_energies()

    @classmethod
    def gathered(cls, parts: Sequence[tuple[Indices, BlockSpectra]]) -> BlockSpectra:
        """Return what is known of blocks, some at a time with their places, in the order of these."""
        order, found = np.concatenate([places for places, _ in parts]), [known for _, known in parts]
        joined = cls(
            Ragged.joined([known.values for known in found]),
            np.concatenate([known.bounds for known in found]),
            np.concatenate([known.norm_bounds for known in found]),
            tuple(method for known in found for method in known.methods),
        )
        return joined if (order[1:] > order[:-1]).all() else joined.chosen(np.argsort(order))

    def chosen(self, places: Indices) -> BlockSpectra:
        """Return what is known of some of the blocks, in the order of their places."""
        methods = tuple(self.methods[k] for k in places.tolist())
        return BlockSpectra(self.values.taken(places), self.bounds[places], self.norm_bounds[places], methods)


@dataclass(frozen=True)
class _Solved:
    """Values of blocks of one shape, (n, k), their worst bounds and those at rank 0, (2, n), and methods."""

    values: Spectrum
    bounds: Spectrum
    methods: list[str]

    @property
    def spectra(self) -> BlockSpectra:
        """The same, block by block."""
        values = Ragged(self.values.ravel(), np.full(len(self.values), self.values.shape[1]))
        return BlockSpectra(values, self.bounds[0], self.bounds[1], tuple(self.methods))


def block_spectra(
    blocks: Sequence[Matrix], exponent: int = 0, accuracy: float = PROMISE_DOUBLE
) -> BlockSpectra:
    """Return the singular values of every block divided by ``2**exponent``.

    Parameters
    ----------
    blocks : sequence of (p, q) arrays
        Real and finite.
    exponent : int, optional
        Power of two by which values are divided, as from `common_exponent` of all blocks.
    accuracy : float, optional
        Error promised at any ranks, relative to the norm of all blocks; a block whose certified bound
        exceeds its share goes to LAPACK's SVD.
    """
    blocks = BlockSequence.of(blocks)
    alike = [_Group.of(blocks, group, exponent) for group in blocks.groups()]
    allowed = _allowed([group.norms for group in alike], len(blocks), accuracy)

    def solve(case: tuple[_Group, Indices]) -> tuple[Indices, _Solved]:
        group, places = case
        chosen = group.chosen[places]
        if not group.gram:
            return chosen, _by_lapack(blocks, chosen, exponent)
        norms = group.norms[places].tolist()
        limits = allowed(group.norms[places]).tolist()
        return chosen, _by_gram([blocks[k] for k in chosen.tolist()], norms, limits, exponent)

    large = any(group.gram or group.shape[0] >= ADDRESS_FROM for group in alike)
    with one_blas_thread(with_scipy=large):
        found, cases = [], []
        for group in alike:
            rest = np.arange(len(group.chosen))
            if group.gram and len(rest) >= _SAMPLED:
                tried = group.norms.argsort()[[len(rest) // 2, -1]]
                shown = parallel(solve, [(group, tried[:1]), (group, tried[1:])])
                group = replace(group, gram=all(solved.methods == ["gram"] for _, solved in shown))
                found += shown
                rest = np.delete(rest, tried)
            cases += [(group, slab) for slab in slabs(rest, group.shape)]
        alone = [case for case in cases if case[0].alone]
        found += [solve(case) for case in alone]
        found += parallel(solve, [case for case in cases if not case[0].alone])
    return BlockSpectra.gathered([(chosen, solved.spectra) for chosen, solved in found])


@dataclass(frozen=True)
class _Group:
    """Blocks of one shape.

    Attributes
    ----------
    chosen : array of int
        Which blocks.
    shape : (int, int)
        Their shape, smaller side first.
    gram : bool
        Whether they are tried by Gram matrices.
    norms : array
        Norms of the blocks, if they are tried by Gram matrices; else empty.
    """

    chosen: Indices
    shape: Shape
    gram: bool
    norms: Spectrum

    @classmethod
    def of(cls, blocks: BlockSequence, chosen: Indices, exponent: int) -> _Group:
        """Return a group with the norms that it needs."""
        first = flat(blocks[int(chosen[0])])
        gram = gram_pays(*first.shape, many=len(chosen) >= _SAMPLED)
        each = (math.sqrt(energy(scaled(blocks[k], exponent))) for k in chosen.tolist() if gram)
        return cls(chosen, (first.shape[0], first.shape[1]), gram, np.fromiter(each, np.float64))

    @property
    def alone(self) -> bool:
        """Whether it is one large block, over which all workers are spread."""
        return self.gram and len(self.chosen) == 1 and self.shape[0] >= _ALONE_FROM


def singular_values(blocks: Sequence[Matrix], exponent: int = 0) -> Ragged:
    """Return the singular values of every block divided by ``2**exponent``; see `block_spectra`."""
    return block_spectra(blocks, exponent).values


def _allowed(norms: Sequence[Spectrum], count: int, accuracy: float) -> Callable[[Spectrum], Spectrum]:
    """Return the errors allowed for blocks by their norms, so that together they keep the accuracy."""
    share = math.hypot(*np.concatenate(norms).tolist()) / math.sqrt(count)
    return lambda norm: accuracy / math.sqrt(2) * np.maximum(norm, share)


def _by_gram(
    blocks: Sequence[Matrix], norms: Sequence[float], allowed: Sequence[float], exponent: int
) -> _Solved:
    """Solve blocks of one shape, each with its norm and the error allowed, by Gram matrices."""
    own = [exponent if norm > _SMALL else common_exponent(b) for b, norm in zip(blocks, norms, strict=True)]
    shift = np.array(own) - exponent
    with np.errstate(over="ignore"):  # a block far below the others may be off by its whole norm
        limits = np.ldexp(allowed, -shift)
    rows = [scaled(flat(block), power) for block, power in zip(blocks, own, strict=True)]
    if len(rows[0]) < LEVELS_FROM:
        return _shifted(*_by_stack(rows, limits), shift)
    known = [norm if power == exponent else None for norm, power in zip(norms, own, strict=True)]
    found = [by_gram(*case) for case in zip(rows, limits.tolist(), known, strict=True)]
    values, bounds = (np.array(parts) for parts in zip(*((f.values, f.bounds) for f in found), strict=True))
    return _shifted(values, _worst_and_first(bounds), [f.method for f in found], shift)


def _by_stack(rows: Sequence[Spectrum], limits: Spectrum) -> tuple[Spectrum, Spectrum, list[str]]:
    """Solve small blocks together: all by Gram matrices, then the coarse ones by LAPACK's SVD."""
    grams = np.empty((len(rows), len(rows[0]), len(rows[0])))
    for block, gram in zip(rows, grams, strict=True):
        np.matmul(block, block.T, out=gram)
    try:
        squares = eigenvalues(grams)
    except np.linalg.LinAlgError:
        return _svds(np.stack(rows))
    values = np.sqrt(np.maximum(squares[:, ::-1], 0.0))
    bounds = _worst_and_first(gram_error(values, rows[0].shape))
    coarse = bounds[0] > limits
    if coarse.any():
        values[coarse], bounds[:, coarse], _ = _svds(
            np.stack([rows[k] for k in np.flatnonzero(coarse).tolist()])
        )
    return values, bounds, ["lapack" if c else "gram" for c in coarse.tolist()]


def _by_lapack(blocks: BlockSequence, chosen: Indices, exponent: int) -> _Solved:
    """Solve blocks of one shape by LAPACK's SVD."""
    stack, own = stacked(blocks, chosen)
    return _shifted(*_svds(stack), own - exponent)


def _svds(stack: Spectrum) -> tuple[Spectrum, Spectrum, list[str]]:
    """Return the singular values of a stack of blocks, their bounds, and how they were found."""
    values = lapack_values(stack)
    bounds = lapack_norm(np.linalg.norm(values, axis=1), stack.shape)
    return values, np.array([bounds, bounds]), [svd_method(stack.shape)] * len(stack)


def _worst_and_first(bounds: Spectrum) -> Spectrum:
    """Return the worst bound of every block, and that at rank 0, from bounds at all its ranks."""
    return np.array([bounds.max(axis=1), bounds[:, 0]])


def _shifted(
    values: Spectrum, bounds: Spectrum, methods: list[str], shift: NDArray[np.integer[Any]]
) -> _Solved:
    """Return values and bounds multiplied by powers of two."""
    if shift.any():
        values, bounds = np.ldexp(values, shift[:, None]), raised(bounds, shift)
    return _Solved(values, bounds, methods)
