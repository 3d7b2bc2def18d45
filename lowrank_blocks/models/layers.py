"""One budget over many matrices, such as the layers of a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lowrank_blocks._validation import as_count
from lowrank_blocks.allocation.ranks import as_spectrum, best_ranks, least_share
from lowrank_blocks.linalg import Spectrum, tail_energy


@dataclass(frozen=True)
class LayerRanks:
    """Ranks of many matrices within one budget, with a certificate; made by `allocate_ranks`.

    Attributes
    ----------
    ranks : dict of str to int
        Rank of every matrix.
    n_parameters : int
        Numbers stored by all together.
    relative_error : float
        Root of the summed squared errors, divided by that of the summed squared norms.
    lower_bound : float
        No ranks within the budget have a smaller relative error; equal to it where `guarantee` is
        ``"optimal ranks"``.
    guarantee : str
        As in `Approximation`.
    """

    ranks: dict[str, int]
    n_parameters: int
    relative_error: float
    lower_bound: float
    guarantee: str

    @property
    def gap(self) -> float:
        """How much smaller than `relative_error` the least relative error could be at most."""
        return self.relative_error - self.lower_bound


def allocate_ranks(
    spectra_by_name: Mapping[str, Sequence[float] | Spectrum], costs: Mapping[str, int], budget: int
) -> LayerRanks:
    """Choose the ranks of many matrices so that their total error within one budget is least.

    Parameters
    ----------
    spectra_by_name : dict of str to (k,) array
        Singular values of every matrix, descending.
    costs : dict of str to int
        Numbers stored for one unit of rank of every matrix: ``m + n``.
    budget : int
        Most numbers that all matrices together may store.

    Returns
    -------
    LayerRanks
        The optimum where the search for it is exhaustive, which it always is for up to three
        distinct costs; `LayerRanks.guarantee` tells. Otherwise `LayerRanks.gap` bounds what is missed.

    Raises
    ------
    TypeError, ValueError
        As for `adaptive`; if the names of both differ.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> lb.allocate_ranks({"wide": [3.0, 1.0], "tall": [2.0, 2.0]}, {"wide": 5, "tall": 4}, 13).ranks
    {'wide': 1, 'tall': 2}
    """
    if not isinstance(spectra_by_name, Mapping) or not isinstance(costs, Mapping):
        raise TypeError(
            f"spectra_by_name and costs must be dicts by the names of the matrices, got "
            f"{type(spectra_by_name).__name__} and {type(costs).__name__}."
        )
    if spectra_by_name.keys() != costs.keys():
        odd = sorted(map(str, spectra_by_name.keys() ^ costs.keys()))
        raise ValueError(f"costs must have the names of spectra_by_name, got only one of both for {odd}.")
    if not costs:
        raise ValueError("spectra_by_name must hold at least one matrix, got none.")
    spectra = [as_spectrum(s, f"spectra_by_name[{name!r}]") for name, s in spectra_by_name.items()]
    prices = [as_count(costs[name], f"costs[{name!r}]", least=1) for name in spectra_by_name]
    choice = best_ranks(spectra, prices, budget)
    largest = max((float(s[0]) for s in spectra if len(s)), default=0.0) or 1.0
    tails = [tail_energy(s / largest) for s in spectra]
    total = math.fsum(float(t[0]) for t in tails)
    left = math.fsum(float(t[r]) for t, r in zip(tails, choice.ranks, strict=True))
    error = bound = math.sqrt(left / total) if total else 0.0
    if choice.guarantee != "optimal ranks":
        bound = min(error, math.sqrt(least_share(spectra, prices, budget)))
    return LayerRanks(
        ranks=dict(zip(spectra_by_name, choice.ranks.tolist(), strict=True)),
        n_parameters=sum(r * c for r, c in zip(choice.ranks.tolist(), prices, strict=True)),
        relative_error=error,
        lower_bound=bound,
        guarantee=choice.guarantee,
    )
