"""Adapters in: the low-rank factors of a LoRA directory, and their best approximations by other blocks."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lowrank_blocks._validation import Matrix, as_matrix
from lowrank_blocks.adapters.naming import PREFIX
from lowrank_blocks.adapters.written import CONFIG, TENSORS
from lowrank_blocks.allocation.adaptive import adaptive
from lowrank_blocks.allocation.base import Allocate
from lowrank_blocks.checkpoints.safetensors import SafetensorsCheckpoint
from lowrank_blocks.checkpoints.tensors import CheckpointError, widened
from lowrank_blocks.linalg import Factors
from lowrank_blocks.solver.approximation import Approximation
from lowrank_blocks.solver.decomposition import Decomposition
from lowrank_blocks.solver.factored import decompose_product
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.checked import as_structure

# Variants of LoRA whose update is not B A, or not of the weights that the base has.
_VARIANTS = (
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "alora_invocation_tokens",
    "arrow_config",
    "layer_replication",
    "lora_bias",
    "kasa_config",
    "target_parameters",
    "trainable_token_indices",
)
_PLAIN_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")  # that leave the base as it is
_ENDS = {
    "lora_A.weight": ("lora_A.weight", "lora_B.weight"),
    "lora_embedding_A": ("lora_embedding_A", "lora_embedding_B"),
}
_FACTOR = re.compile(r"\.lora_")


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
        first, second = (as_matrix(self._read(key), key).astype(np.float64) for key in self._keys[name])
        scale = self.scale(name)
        if name in self.embeddings:
            return np.ascontiguousarray(first.T) * scale, np.ascontiguousarray(second.T)
        return second * scale, first

    def scale(self, name: str) -> float:
        """Return what the product of the stored factors is multiplied by."""
        module, rank = name.removesuffix(".weight"), self.ranks[name]
        r = _of_pattern(self.config, "rank_pattern", module, self.config.get("r", rank))
        alpha = _of_pattern(self.config, "alpha_pattern", module, self.config.get("lora_alpha", r))
        return float(alpha) / (math.sqrt(rank) if self.config.get("use_rslora") else rank)

    @property
    def rest(self) -> dict[str, Matrix]:
        """The tensors that the adapter brings along whole, by name, in the type of the file."""
        return {name: np.array(self._read(key)) for name, key in self._whole_keys.items()}

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

        Of every block B_i A_j only a small core is decomposed, no side of which is longer than the adapter's
        rank. Errors are relative to the norm of B A.

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

    def _read(self, key: str) -> Matrix:
        array = self._file.read(key)
        return widened(array) if _FACTOR.search(key) else array


def load_adapter(path: str | os.PathLike[str]) -> Adapter:
    """Read a LoRA adapter that PEFT or `write_adapter` has written.

    Parameters
    ----------
    path : path
        A directory with ``adapter_config.json`` and ``adapter_model.safetensors``.

    Returns
    -------
    Adapter
        Its factors by the names of the weights, scales (``alpha / r``, ``alpha / sqrt(r)`` for rsLoRA, patterns of
        single modules) included.

    Raises
    ------
    CheckpointError
        If a file is missing or damaged, or the adapter is no plain LoRA, such as DoRA; the message names the
        file and the reason.
    ModuleNotFoundError
        If an extra is missing; the message gives the line that installs it.

    Examples
    --------
    >>> import numpy as np, tempfile, lowrank_blocks as lb
    >>> best = lb.approximate(np.diag([4.0, 3.0, 0.0]), lb.Global(), rank=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = lb.write_adapter(folder, {"query.weight": best})
    ...     b, a = lb.load_adapter(folder).read("query.weight")
    >>> (b @ a).round(6) + 0
    array([[4., 0., 0.],
           [0., 0., 0.],
           [0., 0., 0.]])
    """
    folder = Path(path)
    config = _config(folder / CONFIG)
    tensors = folder / TENSORS
    if not tensors.is_file():
        raise CheckpointError(f"{folder} must hold {TENSORS}, got none.")
    file = SafetensorsCheckpoint(folder, [tensors])
    keys, whole = _sorted_keys(file, tensors)
    shapes = {name: _shape(file, name, pair, tensors) for name, pair in keys.items()}
    names = tuple(keys)
    return Adapter(
        path=folder,
        config=config,
        names=names,
        shapes=shapes,
        ranks={name: file.tensors[pair[0]].shape[0] for name, pair in keys.items()},
        flipped=names if config.get("fan_in_fan_out") else (),
        embeddings=tuple(name for name in names if keys[name][0].endswith("lora_embedding_A")),
        whole=tuple(whole),
        _file=file,
        _keys=keys,
        _whole_keys=whole,
    )


def _config(file: Path) -> dict[str, Any]:
    """Return the configuration, if it is that of an adapter whose update is B A."""
    if not file.is_file():
        raise CheckpointError(f"{file.parent} must be an adapter directory, got no {file.name} there.")
    try:
        config = json.loads(file.read_bytes())
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise CheckpointError(f"{file} must be a JSON object.")
    kind = config.get("peft_type")
    if kind != "LORA":
        raise CheckpointError(
            f"{file} must have the peft_type 'LORA', got {kind!r}, whose update is not one B A."
        )
    used = next((name for name in _VARIANTS if config.get(name)), None)
    if used:
        raise CheckpointError(
            f"{file} must be of plain LoRA, got {used}, with which the update is not B A alone."
        )
    start = config.get("init_lora_weights", True)
    if start not in _PLAIN_STARTS:
        raise CheckpointError(
            f"{file} must be for the weights of the base, got init_lora_weights={start!r}, which changes them; "
            "convert it first, by path_initial_model_for_weight_conversion of PEFT's save_pretrained."
        )
    return config


def _sorted_keys(
    file: SafetensorsCheckpoint, where: Path
) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """Return the keys of the factors by the names of weights, and those of whole tensors by theirs."""
    factors: dict[str, tuple[str, str]] = {}
    whole: dict[str, str] = {}
    used: set[str] = set()
    for key in sorted(file.tensors):
        if not key.startswith(PREFIX):
            raise CheckpointError(f"{where}: tensor {key!r} must be named {PREFIX}..., as PEFT does.")
        for end, pair in _ENDS.items():
            if key.endswith("." + end):
                module = key.removeprefix(PREFIX).removesuffix("." + end)
                both = f"{PREFIX}{module}.{pair[0]}", f"{PREFIX}{module}.{pair[1]}"
                if both[1] not in file.tensors:
                    raise CheckpointError(
                        f"{where}: tensor {key!r} must have a partner {both[1]!r}, got none."
                    )
                factors[module + ".weight"] = both
                used |= set(both)
    for key in sorted(set(file.tensors) - used):
        if _FACTOR.search(key):
            raise CheckpointError(
                f"{where}: tensor {key!r} must belong to a pair of plain LoRA, got none for it."
            )
        whole[key.removeprefix(PREFIX).replace(".base_layer.", ".")] = key
    if not factors:
        raise CheckpointError(f"{where} must hold factors of LoRA, got none.")
    return factors, whole


def _shape(file: SafetensorsCheckpoint, name: str, pair: tuple[str, str], where: Path) -> tuple[int, int]:
    """Return the shape of an update, if its factors fit each other."""
    first, second = (file.tensors[key].shape for key in pair)
    if len(first) != 2 or len(second) != 2 or first[0] != second[1] or 0 in (*first, *second):
        raise CheckpointError(
            f"{where}: factors of {name!r} must be (r, n) and (m, r) matrices, got shapes {first} and {second}."
        )
    side, other = second[0], first[1]
    return (other, side) if pair[0].endswith("lora_embedding_A") else (side, other)


def _of_pattern(config: Mapping[str, Any], pattern: str, module: str, default: Any) -> Any:
    """Return what a pattern of the configuration says of a module, by PEFT's rule."""
    entries = config.get(pattern) or {}
    for key, value in entries.items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return default
