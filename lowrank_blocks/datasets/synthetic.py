"""Seeded matrices whose best errors are known by construction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._validation import Shape, as_count, as_real, as_shape
from lowrank_blocks.linalg import orthonormal_columns, tail_energy
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.checked import laid_out
from lowrank_blocks.structures.grids import DiagonalLocal, Global, Localized


@dataclass(frozen=True, eq=False)
class Target:
    """A matrix and, where the construction determines it, the spectra of its blocks.

    Attributes
    ----------
    name : str
        What it is.
    matrix : (m, n) array of float64
        The matrix.
    structure : Structure or None
        The structure for which the spectra are known; None if for none.
    spectra : tuple of arrays
        Singular values of each block of `structure`, descending; empty if `structure` is None.
    """

    name: str
    matrix: NDArray[np.float64]
    structure: Structure | None = None
    spectra: tuple[NDArray[np.float64], ...] = ()

    def best_error(self, ranks: Sequence[int]) -> float:
        """Return the least Frobenius error of `structure` with these ranks, from the construction.

        Parameters
        ----------
        ranks : sequence of int
            One rank a block.

        Raises
        ------
        ValueError
            If no spectra are known, or `ranks` does not match the blocks.

        Examples
        --------
        >>> import lowrank_blocks as lb
        >>> lb.synthetic.low_rank((8, 6), rank=3).best_error([2])
        1.0
        """
        if self.structure is None:
            raise ValueError(f"best_error must be asked of a target with known spectra, got {self.name!r}.")
        if len(ranks) != len(self.spectra):
            raise ValueError(f"ranks must be {len(self.spectra)} ranks, one a block, got {len(ranks)}.")
        tails = zip(self.spectra, ranks, strict=True)
        return math.sqrt(math.fsum(float(tail_energy(s)[min(as_count(r, "rank"), len(s))]) for s, r in tails))


def low_rank(shape: Shape, rank: int, *, seed: int = 0) -> Target:
    """Return a matrix of exact rank with singular values ``rank, ..., 2, 1``.

    Parameters
    ----------
    shape : (int, int)
        Shape of the matrix.
    rank : int
        At most the smaller side.
    seed : int, optional
        Seed of the random singular vectors.
    """
    spectrum = np.arange(_rank(rank, as_shape(shape)), 0, -1.0)
    return Target(f"rank {rank}", _with_spectrum(shape, spectrum, _rng(seed)), Global(), (spectrum,))


def power_law(shape: Shape, exponent: float = 1.0, *, seed: int = 0) -> Target:
    """Return a matrix with singular values ``i ** -exponent``, ``i = 1, 2, ...``.

    Parameters
    ----------
    shape : (int, int)
        Shape of the matrix.
    exponent : float, optional
        Rate of decay, at least 0; 0 gives a flat spectrum.
    seed : int, optional
        Seed of the random singular vectors.
    """
    spectrum = np.arange(1.0, min(as_shape(shape)) + 1) ** -as_real(exponent, "exponent")
    return Target(
        f"power law {exponent:g}", _with_spectrum(shape, spectrum, _rng(seed)), Global(), (spectrum,)
    )


def block_diagonal(shape: Shape, parts: int, rank: int, *, seed: int = 0) -> Target:
    """Return a block-diagonal matrix whose diagonal blocks have the given rank, and spectra ``rank, ..., 1``.

    Parameters
    ----------
    shape : (int, int)
        Shape of the matrix.
    parts : int
        Number of diagonal blocks.
    rank : int
        Rank of each, at most its smaller side.
    seed : int, optional
        Seed of the random singular vectors.
    """
    name = f"block-diagonal, {parts} blocks of rank {rank}"
    return _blocks_of_rank(name, shape, DiagonalLocal(parts), rank, seed)


def block_grid(shape: Shape, parts: int, rank: int, *, seed: int = 0) -> Target:
    """Return a matrix in which every block of a ``parts`` by ``parts`` grid has the given rank.

    Parameters
    ----------
    shape : (int, int)
        Shape of the matrix.
    parts : int
        Number of row parts and of column parts.
    rank : int
        Rank of every block, at most its smaller side.
    seed : int, optional
        Seed of the random singular vectors.
    """
    return _blocks_of_rank(f"{parts}×{parts} blocks of rank {rank}", shape, Localized(parts), rank, seed)


def planted(structure: Structure, shape: Shape, rank: int = 1, *, seed: int = 0) -> Target:
    """Return a matrix whose blocks have the given rank on any structure, with spectra ``rank, ..., 2, 1``.

    Parameters
    ----------
    structure : Structure
        Where the blocks are.
    shape : (int, int)
        Shape of the matrix.
    rank : int, optional
        Rank of every block; those of less than that have all they can.
    seed : int, optional
        Seed of the random singular vectors.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> target = lb.synthetic.planted(lb.Kronecker(4, 4), (16, 8), rank=2)
    >>> lb.approximate(target.matrix, target.structure, budget=2 * (16 + 8)).relative_error < 1e-14
    True
    """
    layout = laid_out(structure, as_shape(shape))
    count, most = as_count(rank, "rank", least=1), layout.max_ranks.tolist()
    spectra = [np.arange(min(count, largest), 0, -1.0) for largest in most]
    return _assemble(f"planted {structure!r}", shape, structure, spectra, _rng(seed))


def unequal_blocks(shape: Shape, parts: int, ratio: float = 0.5, *, seed: int = 0) -> Target:
    """Return a grid of blocks with spectra ``1, 1/2, 1/3, ...`` times scales that fall by `ratio`.

    The scales ``1, ratio, ratio**2, ...`` are dealt to the blocks in random order.

    Parameters
    ----------
    shape : (int, int)
        Shape of the matrix.
    parts : int
        Number of row parts and of column parts.
    ratio : float, optional
        Ratio of successive scales, at least 0.
    seed : int, optional
        Seed of the order and of the random singular vectors.
    """
    structure, rng = Localized(parts), _rng(seed)
    shapes = structure.layout(as_shape(shape)).block_shapes
    scales = as_real(ratio, "ratio") ** rng.permutation(len(shapes)).astype(np.float64)
    spectra = [scale / np.arange(1.0, min(s) + 1) for scale, s in zip(scales, shapes, strict=True)]
    return _assemble(f"{parts}×{parts} blocks of unequal scale", shape, structure, spectra, rng)


def gaussian(shape: Shape, *, seed: int = 0) -> Target:
    """Return a matrix of independent standard normal entries; its spectra are not known beforehand.

    Parameters
    ----------
    shape : (int, int)
        Shape of the matrix.
    seed : int, optional
        Seed of the entries.
    """
    return Target("Gaussian", _rng(seed).standard_normal(as_shape(shape)))


def inverse_distance(shape: Shape) -> Target:
    """Return the kernel matrix ``1 / |x - y|`` of points spread evenly over [0, 1].

    Distances below half a step count as half a step. No spectra are known beforehand.

    Parameters
    ----------
    shape : (int, int)
        Number of points x and of points y.
    """
    return Target("kernel 1/|x−y|", 1 / _distances(shape))


def log_distance(shape: Shape) -> Target:
    """Return the kernel matrix ``log |x - y|``; see `inverse_distance`.

    Parameters
    ----------
    shape : (int, int)
        Number of points x and of points y.
    """
    return Target("kernel log|x−y|", np.log(_distances(shape)))


def _distances(shape: Shape) -> NDArray[np.float64]:
    m, n = as_shape(shape)
    x, y = ((np.arange(k) + 0.5) / k for k in (m, n))
    return np.maximum(np.abs(x[:, None] - y), 0.5 / max(m, n))


def _blocks_of_rank(name: str, shape: Shape, structure: Structure, rank: int, seed: int) -> Target:
    shapes = structure.layout(as_shape(shape)).block_shapes
    spectrum = np.arange(min(_rank(rank, s) for s in shapes), 0, -1.0)
    return _assemble(name, shape, structure, [spectrum] * len(shapes), _rng(seed))


def _assemble(
    name: str,
    shape: Shape,
    structure: Structure,
    spectra: Sequence[NDArray[np.float64]],
    rng: np.random.Generator,
) -> Target:
    shapes = structure.layout(shape).block_shapes
    blocks = [_with_spectrum(s, spectrum, rng) for s, spectrum in zip(shapes, spectra, strict=True)]
    return Target(name, structure.layout(shape).join(blocks), structure, tuple(spectra))


def _with_spectrum(
    shape: Shape, spectrum: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    u, v = (orthonormal_columns(rng.standard_normal((length, len(spectrum)))) for length in shape)
    return np.asarray((u * spectrum) @ v.T)


def _rank(rank: int, shape: Shape) -> int:
    count = as_count(rank, "rank")
    if count > min(shape):
        raise ValueError(f"rank must be at most {min(shape)} for a block of shape {shape}, got {count}.")
    return count


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(as_count(seed, "seed"))
