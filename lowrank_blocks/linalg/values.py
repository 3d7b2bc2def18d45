"""Singular values of many blocks, in the units that the caller chose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._results import ReadOnly
from lowrank_blocks._validation import Matrix
from lowrank_blocks.linalg.bounds import PROMISE_DOUBLE, gram_error, lapack_norm
from lowrank_blocks.linalg.energies import energy, tail_energy
from lowrank_blocks.linalg.gram import flat
from lowrank_blocks.linalg.lapack import eigenvalues
from lowrank_blocks.linalg.levels import by_gram, gram_pays
from lowrank_blocks.linalg.scaling import common_exponent, raised, scaled, stacked
from lowrank_blocks.linalg.slabs import groups, restored, slabs
from lowrank_blocks.linalg.svd import lapack_values
from lowrank_blocks.linalg.threads import one_blas_thread, parallel
from lowrank_blocks.linalg.workspace import workspace

Spectrum = NDArray[np.float64]

_SAMPLED = 32  # of so many blocks of one shape one is tried first
LEVELS_FROM = 144  # smaller sides from this on: one block after another, at more than one level
_ALONE_FROM = 512  # smaller sides from this on: a lone block is spread over the workers
_SMALL = 2.0**-100  # norms of blocks from this on are solved in the units of all

_Row = tuple[Spectrum, Spectrum, float, float, str]


@dataclass(frozen=True)
class BlockSpectra(ReadOnly):
    """Singular values of blocks, and how far the errors taken from them can be off.

    Attributes
    ----------
    values : sequence of arrays
        One descending read-only array a block.
    tails : sequence of arrays
        `tail_energy` of each.
    bounds : sequence of float
        Bounds on the errors of ``sqrt(tails[k][r])`` for every r.
    norm_bounds : sequence of float
        Bounds on the errors of ``sqrt(tails[k][0])``.
    methods : sequence of str
        How each was computed; see `Accuracy`.
    """

    values: tuple[Spectrum, ...]
    tails: tuple[Spectrum, ...]
    bounds: tuple[float, ...]
    norm_bounds: tuple[float, ...]
    methods: tuple[str, ...]

    def of_block(self, k: int) -> tuple[Spectrum, Spectrum, float, float, str]:
        """Return what is known of one block, in the order of the attributes."""
        return self.values[k], self.tails[k], self.bounds[k], self.norm_bounds[k], self.methods[k]


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
    alike = groups([(p, q) for p, q in (b.shape for b in blocks)])
    large = [g for g in alike if gram_pays(*flat(blocks[g[0]]).shape)]
    norms = {k: math.sqrt(energy(scaled(blocks[k], exponent))) for g in large for k in g}
    allowed = _allowed(norms, len(blocks), accuracy)

    def solve(case: tuple[list[int], bool]) -> list[_Row]:
        chosen, gram = case
        if not gram:
            return _by_lapack([blocks[k] for k in chosen], exponent)
        return _by_gram([(blocks[k], norms[k], allowed[k]) for k in chosen], exponent)

    with one_blas_thread(with_scipy=bool(large)):
        tried = {max(g, key=norms.__getitem__): g for g in large if len(g) >= _SAMPLED}
        first = {k: solve(([k], True)) for k in tried}
        coarse = [g for k, g in tried.items() if first[k][0][-1] == "lapack"]
        lone = [g for g in large if len(g) == 1 and min(blocks[g[0]].shape) >= _ALONE_FROM]
        alone = [(g, True) for g in lone]
        others = [
            (slab, g in large and g not in coarse)
            for g in alike
            if g not in lone
            for slab in slabs([k for k in g if k not in first], flat(blocks[g[0]]).shape)
        ]
        found = [*first.values(), *map(solve, alone), *parallel(solve, others)]
    order = [*([k] for k in first), *(chosen for chosen, _ in alone + others)]
    return BlockSpectra(*zip(*restored(order, found), strict=True))


def singular_values(blocks: Sequence[Matrix], exponent: int = 0) -> tuple[Spectrum, ...]:
    """Return the singular values of every block divided by ``2**exponent``; see `block_spectra`."""
    return block_spectra(blocks, exponent).values


def _allowed(norms: dict[int, float], count: int, accuracy: float) -> dict[int, float]:
    """Return the error allowed for every block, so that together they keep the accuracy."""
    share = math.hypot(*norms.values()) / math.sqrt(count)
    return {k: accuracy / math.sqrt(2) * max(norm, share) for k, norm in norms.items()}


def _by_gram(cases: Sequence[tuple[Matrix, float, float]], exponent: int) -> list[_Row]:
    """Solve blocks of one shape, each with its norm and the error allowed, by Gram matrices."""
    own = [exponent if norm > _SMALL else common_exponent(block) for block, norm, _ in cases]
    shift = np.array(own) - exponent
    with np.errstate(over="ignore"):  # a block far below the others may be off by all of it
        limits = np.ldexp([allowed for *_, allowed in cases], -shift)
    rows = [scaled(flat(block), power) for (block, *_), power in zip(cases, own, strict=True)]
    if len(rows[0]) < LEVELS_FROM:
        return _rows(*_by_stack(rows, limits), shift)
    found = [by_gram(r, float(limit)) for r, limit in zip(rows, limits, strict=True)]
    values, bounds = (np.array(parts) for parts in zip(*((f.values, f.bounds) for f in found), strict=True))
    return _rows(values, _worst_and_first(bounds), [f.method for f in found], shift)


def _by_stack(rows: Sequence[Spectrum], limits: Spectrum) -> tuple[Spectrum, Spectrum, list[str]]:
    """Solve small blocks together: all by Gram matrices, then the coarse ones by LAPACK's SVD."""
    with workspace((len(rows), *rows[0].shape)) as room:
        stack = np.stack(rows, out=room)
        try:
            squares = eigenvalues(np.matmul(stack, stack.swapaxes(-1, -2)))
        except np.linalg.LinAlgError:
            return _svds(stack)
        values = np.sqrt(np.maximum(squares[:, ::-1], 0.0))
        bounds = _worst_and_first(gram_error(values, stack.shape))
        coarse = bounds[0] > limits
        if coarse.any():
            values[coarse], bounds[:, coarse], _ = _svds(stack[coarse])
    return values, bounds, ["lapack" if c else "gram" for c in coarse.tolist()]


def _by_lapack(blocks: Sequence[Matrix], exponent: int) -> list[_Row]:
    """Solve blocks of one shape by LAPACK's SVD."""
    with stacked([flat(b) for b in blocks]) as (stack, own):
        return _rows(*_svds(stack), own - exponent)


def _svds(stack: Spectrum) -> tuple[Spectrum, Spectrum, list[str]]:
    """Return the singular values of a stack of blocks, their bounds, and how they were found."""
    values = lapack_values(stack)
    bounds = lapack_norm(np.linalg.norm(values, axis=1), stack.shape)
    return values, np.stack([bounds, bounds]), ["lapack"] * len(stack)


def _worst_and_first(bounds: Spectrum) -> Spectrum:
    """Return the worst bound of every block, and that at rank 0, from bounds at all its ranks."""
    return np.stack([bounds.max(axis=1), bounds[:, 0]])


def _rows(
    values: Spectrum, bounds: Spectrum, methods: list[str], shift: NDArray[np.integer[Any]]
) -> list[_Row]:
    """Return what is known of every block, its values and bounds multiplied by powers of two."""
    if shift.any():
        values, bounds = np.ldexp(values, shift[:, None]), raised(bounds, shift)
    tails = tail_energy(values)
    values.flags.writeable = tails.flags.writeable = False
    return list(zip(values, tails, *bounds.tolist(), methods, strict=True))
