"""FourierFT and WaveFT: a few coefficients at places that a seed chooses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._calls import shows_call
from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.peft.checks import counts, require_most
from lowrank_blocks.peft.claims import Sizes, Solved, Tensors
from lowrank_blocks.peft.family import Readable
from lowrank_blocks.peft.generators import as_seed, first_of_permutation
from lowrank_blocks.peft.linear import Array, LinearMap, least_squares
from lowrank_blocks.peft.stored import Fields, Reading
from lowrank_blocks.peft.target import Target

Places = NDArray[np.int64]


@dataclass(frozen=True)
class AtPlaces(Readable):
    """Coefficients of atoms at ``torch.randperm(m n)[:n_frequency]``."""

    n_frequency: int
    seed: int = 777

    def __post_init__(self) -> None:
        counts(self, "n_frequency")
        object.__setattr__(self, "seed", as_seed(self.seed, "seed"))

    def n_parameters(self, shape: Shape) -> int:
        """Return the number of coefficients; their places are not counted."""
        return self.n_frequency

    def places(self, shape: Shape) -> Places:
        """Return the places of the coefficients in ``ravel()`` order."""
        return first_of_permutation(shape[0] * shape[1], self.n_frequency, self.seed)

    def checked(self, shape: Shape) -> None:
        """Refuse more coefficients than entries."""
        require_most("n_frequency", self.n_frequency, shape[0] * shape[1], "the entries of the matrix")

    @classmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family."""
        return cls(fields.count("n_frequency"), seed=fields.count("random_loc_seed", least=0))

    def common(self) -> dict[str, Any]:
        """Return the fields that both formats have, scaled by 1."""
        return {
            "init_weights": True,
            "n_frequency": self.n_frequency,
            "peft_type": self.format,
            "random_loc_seed": self.seed,
            "scaling": 1.0,
        }


@dataclass(frozen=True, eq=False)
class _Cosines(LinearMap):
    """Sums of ``cos(2 pi (p j / m + q k / n)) / (m n)``; those of (p, q) and (-p, -q) are the same atom."""

    places: Places
    shape: Shape

    @property
    def mirrored(self) -> Places:
        (m, n), (p, q) = self.shape, np.divmod(self.places, self.shape[1])
        return np.asarray(-p % m * n + -q % n)

    def forward(self, numbers: Array) -> Array:
        """Return the real part of the inverse transform."""
        spectrum = np.zeros(self.shape)
        spectrum.reshape(-1)[self.places] = numbers[:, 0]
        return np.asarray(np.fft.ifft2(spectrum).real)

    def adjoint(self, matrix: Array) -> Array:
        """Return the real part of the transform, divided by the number of entries."""
        transformed = np.fft.fft2(matrix).real.ravel()[self.places]
        return np.asarray(transformed[:, None] / matrix.size)

    def grams(self) -> Array:
        """Return the energies of the atoms: 1 / (m n), or half of it where an atom is not its own mirror."""
        alone = self.mirrored != self.places
        energies = np.where(alone, 0.5, 1.0) / (self.shape[0] * self.shape[1])
        return energies[:, None, None]


@final
@shows_call("lb.peft.FourierFT(1000) for 1000 coefficients")
class FourierFT(AtPlaces):
    """FourierFT: ``dW = Re ifft2(E)`` with real E at places that a seed chooses.

    The atoms are cosines. Of an update only the even part, ``(dW[j, k] + dW[-j, -k]) / 2``, can be held,
    whatever the places and their number. PEFT computes it in float32.

    Parameters
    ----------
    n_frequency : int
        Number of coefficients.
    seed : int
        PEFT's ``random_loc_seed``.

    References
    ----------
    Gao et al., arXiv 2405.03003.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> fit = lb.peft.FourierFT(12).nearest(np.arange(12.0).reshape(3, 4))
    >>> round(fit.relative_error, 4)
    0.274
    """

    format: ClassVar[str] = "FOURIERFT"
    conv1d: ClassVar[bool] = True
    reading: ClassVar[Reading] = Reading(scale=("fourierft_spectrum", "scaling", ""))

    def check(self, shape: Shape) -> None:
        """Refuse more coefficients than entries."""
        self.checked(shape)

    def solve(self, target: Target) -> Solved:
        """Return the coefficients: each atom once, though two places may hold it."""
        places = self.places(target.shape)
        found = _Cosines(places, target.shape)
        first = _first_of_pairs(places, found.mirrored)
        numbers = np.zeros(len(places))
        once = _Cosines(places[first], target.shape)
        numbers[first] = least_squares(once, target.matrix)[:, 0]
        return Solved({"fourierft_spectrum": numbers})

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return the real part of the inverse transform."""
        places = self.places(target.shape)
        return _Cosines(places, target.shape).forward(tensors["fourierft_spectrum"][:, None])

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shape of the coefficients."""
        return {"fourierft_spectrum": (self.n_frequency,)}

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of FourierFT."""
        return self.common()


def _first_of_pairs(places: Places, mirrored: Places) -> Places:
    """Return which places come before their mirror, or have none among them."""
    order = {place: k for k, place in enumerate(places.tolist())}
    return np.array([order.get(other, k) >= k for k, other in enumerate(mirrored.tolist())])


@dataclass(frozen=True, eq=False)
class _Haar(LinearMap):
    """Sums of Haar's wavelets of one level, orthonormal on even sides."""

    places: Places
    shape: Shape

    def forward(self, numbers: Array) -> Array:
        """Return the inverse transform, with the four bands in the quadrants."""
        bands = np.zeros(self.shape)
        bands.reshape(-1)[self.places] = numbers[:, 0]
        return _haar(_haar(_exchanged(bands)).T).T

    def adjoint(self, matrix: Array) -> Array:
        """Return the coefficients at the places."""
        bands = _exchanged(_bands(_bands(matrix).T).T)
        return np.asarray(bands.reshape(-1)[self.places, None])

    def grams(self) -> Array:
        """Return ones."""
        return np.ones((len(self.places), 1, 1))


def _exchanged(bands: Array) -> Array:
    """Return the bands with two exchanged: PEFT has the details of the rows at the top right."""
    m, n = bands.shape
    quadrants = bands.reshape(2, m // 2, 2, n // 2)
    return quadrants.swapaxes(0, 2).reshape(bands.shape)


def _haar(bands: Array) -> Array:
    """Return rows 2 k and 2 k + 1 from rows k of the upper and of the lower half."""
    half = len(bands) // 2
    low, high = bands[:half], bands[half:]
    return np.asarray(np.stack([low + high, low - high], axis=1).reshape(bands.shape) / np.sqrt(2))


def _bands(rows: Array) -> Array:
    """Return the transpose of `_haar`."""
    even, odd = rows[0::2], rows[1::2]
    return np.asarray(np.vstack([even + odd, even - odd]) / np.sqrt(2))


@final
@shows_call("lb.peft.WaveFT(1000) for 1000 coefficients")
class WaveFT(AtPlaces):
    """WaveFT with Haar's wavelet (``db1``) on even sides: orthonormal atoms at places that a seed chooses.

    Parameters
    ----------
    n_frequency : int
        Number of coefficients.
    seed : int
        PEFT's ``random_loc_seed``.

    References
    ----------
    Bilican et al., arXiv 2505.12532.

    Examples
    --------
    >>> import numpy as np, lowrank_blocks as lb
    >>> round(lb.peft.WaveFT(16).nearest(np.arange(16.0).reshape(4, 4)).error, 9)
    0.0
    """

    format: ClassVar[str] = "WAVEFT"
    conv1d: ClassVar[bool] = True
    reading: ClassVar[Reading] = Reading(scale=("waveft_spectrum", "scaling", ""))

    def check(self, shape: Shape) -> None:
        """Refuse more coefficients than entries, and odd sides, which PEFT pads."""
        self.checked(shape)
        for side, name in zip(shape, ("rows", "columns"), strict=True):
            if side % 2:
                raise ValueError(f"{name} of the matrix must be even in number for WaveFT, got {side}.")

    def solve(self, target: Target) -> Solved:
        """Return the coefficients."""
        found = _Haar(self.places(target.shape), target.shape)
        return Solved({"waveft_spectrum": least_squares(found, target.matrix)[:, 0]})

    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return the inverse transform."""
        found = _Haar(self.places(target.shape), target.shape)
        return found.forward(tensors["waveft_spectrum"][:, None])

    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shape of the coefficients."""
        return {"waveft_spectrum": (self.n_frequency,)}

    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of WaveFT."""
        return self.common() | {"use_idwt": True, "wavelet_family": "db1"}
