"""An adapter as named low-rank factors, and their best approximations by other blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lowrank_blocks._validation import Matrix, as_matrix
from lowrank_blocks.allocation.adaptive import adaptive
from lowrank_blocks.allocation.base import Allocate
from lowrank_blocks.checkpoints.safetensors import SafetensorsCheckpoint
from lowrank_blocks.checkpoints.tensors import widened
from lowrank_blocks.linalg import Factors
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.solver.decomposition import Decomposition
from lowrank_blocks.solver.factored import decompose_product
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.checked import as_structure


@dataclass(frozen=True, repr=False)
class Adapter:
    """A LoRA adapter as named low-rank factors; made by `load_adapter`.

    Iterating yields ``(name, (B, A))``; factors are read when they are asked for.

    Attributes
    ----------
    path : Path
        The directory.
    config : dict
        The contents of ``adapter_config.json``.
    names : tuple of str
        Names of the adapted weights in the base model.
    shapes : dict of str to (int, int)
        Shape of every update, output features first.
    ranks : dict of str to int
        Rank of the factors of each.
    scales : dict of str to float
        What the product of the stored factors is multiplied by.
    flipped : tuple of str
        The names if the adapter is for weights that are stored as (in, out), as GPT-2's Conv1D does.
    embeddings : tuple of str
        Names of the weights of embeddings.
    whole : tuple of str
        Names of the tensors that the adapter brings along whole; `rest` has them.
    """

    path: Path
    config: Mapping[str, Any]
    names: tuple[str, ...]
    shapes: Mapping[str, tuple[int, int]]
    ranks: Mapping[str, int]
    scales: Mapping[str, float]
    flipped: tuple[str, ...]
    embeddings: tuple[str, ...]
    whole: tuple[str, ...]
    _file: SafetensorsCheckpoint = field(compare=False)
    _keys: Mapping[str, tuple[str, str]] = field(compare=False)
    _whole_keys: Mapping[str, str] = field(compare=False)

    def read(self, name: str) -> Factors:
        """Return the factors of one update, B (m, r) times the scale and A (r, n), in float64.

        Parameters
        ----------
        name : str
            One of `names`.
        """
        if name not in self._keys:
            raise KeyError(f"name must be one of the {len(self)} names of the adapter, got {name!r}.")
        keys, scale = self._keys[name], self.scales[name]
        first, second = (
            as_matrix(widened(self._file.read(key)), key).astype(np.float64, copy=False) for key in keys
        )
        if name in self.embeddings:
            return np.ascontiguousarray(first.T) * scale, np.ascontiguousarray(second.T)
        return second * scale, first

    @property
    def rest(self) -> dict[str, Matrix]:
        """The tensors that the adapter brings along whole, by name, in the type of the file."""
        return {name: np.array(self._file.read(key)) for name, key in self._whole_keys.items()}

    def __iter__(self) -> Iterator[tuple[str, Factors]]:
        return ((name, self.read(name)) for name in self.names)

    def __len__(self) -> int:
        return len(self.names)

    def decompose(self, structure: Structure) -> dict[str, Decomposition]:
        """Return the spectra of the blocks of every update, from its factors; see the function `decompose`.

        `allocate_ranks` spends one budget over all of them. No update is formed.

        Parameters
        ----------
        structure : Structure
            Where the blocks are.
        """
        checked = as_structure(structure)
        return {name: decompose_product(b, a, checked) for name, (b, a) in self}

    def recompress(
        self,
        structure: Structure,
        budget: int | None = None,
        *,
        rank: int | None = None,
        allocate: Allocate = adaptive,
    ) -> dict[str, Approximation]:
        """Return the best approximation of every update, from its factors; see the function `approximate`.

        Only a small core of every block B_i A_j is decomposed; its sides are at most the rank of the adapter.
        Errors are relative to the norm of B A.

        Parameters
        ----------
        structure : Structure
            Where the blocks are.
        budget : int
            Most numbers that the factors of each update may store. For one budget over all of them, give
            `decompose` to `allocate_ranks`.
        rank : int
            In place of `budget`: that of a global factorisation of this rank, for every update its own.
        allocate : callable, optional
            How the budget is spent.

        Raises
        ------
        TypeError, ValueError
            As for `approximate`.

        Examples
        --------
        >>> import numpy as np, tempfile, lowrank_blocks as lb
        >>> best = lb.approximate(np.diag([4.0, 3.0, 2.0]), lb.Global(), rank=3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = lb.write_adapter(folder, {"query.weight": best})
        ...     lb.load_adapter(folder).recompress(lb.Global(), rank=2)["query.weight"]
        Approximation(Global() of a 3×3 matrix, rank 2, 12 parameters, relative error 0.3714)
        """
        checked = as_structure(structure)
        return {
            name: decompose_product(b, a, checked).within(budget, rank=rank, allocate=allocate)
            for name, (b, a) in self
        }

    def __repr__(self) -> str:
        low, high = min(self.ranks.values()), max(self.ranks.values())
        ranks = f"rank {low}" if low == high else f"ranks {low}–{high}"
        count = len(self.names)
        whole = f", {len(self.whole)} whole tensors" if self.whole else ""
        return f"Adapter({count} {'matrix' if count == 1 else 'matrices'}, {ranks}{whole})"
