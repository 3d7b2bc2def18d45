"""Approximations out, as a directory that PEFT loads."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lowrank_blocks._validation import Matrix
from lowrank_blocks.adapters.directory import configuration, contents
from lowrank_blocks.adapters.family import Family
from lowrank_blocks.adapters.naming import PREFIX, module_of
from lowrank_blocks.adapters.pieces import Dtype, rounded, rounding
from lowrank_blocks.adapters.plan import Plan, checked, plan
from lowrank_blocks.adapters.rest import arranged
from lowrank_blocks.adapters.written import FILES as FILES
from lowrank_blocks.adapters.written import WrittenAdapter, WrittenMatrix
from lowrank_blocks.checkpoints.safetensors import numpy_type
from lowrank_blocks.checkpoints.tensors import Checkpoint
from lowrank_blocks.files import require_writable, write_files
from lowrank_blocks.solver.approximation import Approximation, plain_of

_DTYPES = ("float32", "float16", "bfloat16")


def write_adapter(
    out: str | os.PathLike[str],
    approximations: Mapping[str, Approximation],
    *,
    format: str | None = None,  # noqa: A002
    dtype: str = "float32",
    base_model: str | None = None,
    rest: Mapping[str, ArrayLike] | None = None,
    flipped: Collection[str] = (),
    embeddings: Collection[str] = (),
    base: Checkpoint | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> WrittenAdapter:
    """Write approximations of weight updates as an adapter that PEFT loads.

    The directory gets ``adapter_config.json``, ``adapter_model.safetensors``, a model card ``README.md``
    and ``lowrank_blocks.json`` with the errors of every matrix. The adapter adds exactly the stored
    factors: its scale is 1 in every module. The same input gives the same bytes.

    Parameters
    ----------
    out : path
        The directory, made if missing. Files of these names in it are replaced.
    approximations : dict of str to Approximation
        By the names of the tensors in the base model, such as ``"encoder.layer.0.output.dense.weight"``;
        the matrices are updates with output features first. Those of rank 0 are left out.
    format : {"lora", "gralora", "bdlora"}, optional
        ``"lora"`` holds any structure; ``"gralora"`` holds ``Localized(K)`` and ``"bdlora"`` holds
        ``Localized(1, K)`` and ``Localized(K, 1)``, for one K that divides the sides. GraLoRA has one r for
        all modules, BD-LoRA one for each: smaller ranks are filled up with zeros. By default the one that
        stores the fewest numbers.
    dtype : {"float32", "float16", "bfloat16"}, optional
        Type of the factors in the file.
    base_model : str, optional
        Name or path of the base model, for whoever loads the adapter.
    rest : dict of str to array, optional
        Whole fine-tuned tensors that the adapter shall bring along, such as biases and norms, by name;
        they keep their type. PEFT writes them into the base model, so that it cannot switch them off again,
        but for norms where `base` is given.
    flipped : collection of str, optional
        Names of weights that are stored as (in, out), as GPT-2's Conv1D does. Other names do no harm.
    embeddings : collection of str, optional
        Names of weights of ``nn.Embedding``, for which PEFT has other keys; for ``"lora"`` only.
    base : Checkpoint, optional
        The base checkpoint, from `open_checkpoint`. PEFT keeps copies of norms in `rest` then, instead of
        changing the base model: all their tensors are needed for that, and those that `rest` lacks are taken
        from here.
    metadata : dict, optional
        What else ``lowrank_blocks.json`` shall say; ready for JSON.

    Returns
    -------
    WrittenAdapter
        What is stored, and the rounding of every matrix.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of these kinds; the format does not fit a matrix; all ranks are 0; a factor is
        not finite or too large for `dtype`; or a tensor of `rest` has factors, too. The message names the
        tensor. Nothing is written.
    ModuleNotFoundError
        If an extra is missing; the message gives the line that installs it.
    OSError
        If the directory cannot be written.

    Examples
    --------
    >>> import numpy as np, tempfile, lowrank_blocks as lb
    >>> best = lb.approximate(np.diag([4.0, 3.0, 0.0, 1.0]), lb.Localized(2), rank=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lb.write_adapter(folder, {"layers.0.query.weight": best})
    WrittenAdapter(lora, 1 matrix in float32, 16 numbers stored for 8)
    """
    given, kind, folder = checked(approximations), _dtype(dtype), Path(out)
    transposed, looked_up = _named(flipped, given, "flipped"), _named(embeddings, given, "embeddings")
    if not isinstance(base_model, str | None):
        raise TypeError(f"base_model must be text, got {base_model!r}.")
    modules = {name: module_of(name, "approximations") for name in given}
    made = plan(given, format, conv1d=bool(transposed), embeddings=bool(looked_up))
    held = {modules[name]: (given[name], rank) for name, rank in made.ranks.items() if rank}
    whole = arranged(rest, held, base)
    config = configuration(made, held, whole, base_model, conv1d=bool(transposed))
    extra = _plain(metadata)
    require_writable(folder, FILES)
    tensors, matrices = _factors(given, made, modules, looked_up, kind)
    written = WrittenAdapter(
        format=made.family.name,
        path=folder,
        dtype=kind.name,
        matrices=tuple(matrices),
        left_out=tuple(name for name in given if modules[name] not in held),
        rest=whole.names,
        rest_numbers=sum(array.size for array in whole.tensors.values()),
    )
    write_files(folder, contents(written, config, whole.tensors | tensors, base_model, extra))
    return written


def _factors(
    given: Mapping[str, Approximation],
    made: Plan,
    modules: Mapping[str, str],
    embeddings: Collection[str],
    dtype: Dtype,
) -> tuple[dict[str, Matrix], list[WrittenMatrix]]:
    """Return the tensors of all matrices by their keys, and what they store."""
    tensors: dict[str, Matrix] = {}
    matrices = []
    for name, rank in made.ranks.items():
        if rank:
            parts, matrix = _stored(name, modules[name], given[name], made.family, rank, dtype)
            parts = _of_embedding(parts) if name in embeddings else parts
            tensors |= {f"{PREFIX}{modules[name]}.{end}": array for end, array in parts.items()}
            matrices.append(matrix)
    return tensors, matrices


def _dtype(name: object) -> Dtype:
    if name not in _DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, got {name!r}.")
    return numpy_type(str(name), "dtype")


def _named(value: object, given: Collection[str], argument: str) -> set[str]:
    """Return which of the given names a collection names."""
    if isinstance(value, str | bytes) or not isinstance(value, Collection):
        raise TypeError(f"{argument} must be a collection of names of tensors, got {value!r}.")
    return {name for name in given if name in value}


def _plain(metadata: Mapping[str, Any] | None) -> Any:
    if not isinstance(metadata, Mapping | None):
        raise TypeError(f"metadata must be a dict, got a {type(metadata).__name__}.")
    try:
        return json.loads(json.dumps(dict(metadata or {}), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"metadata must be ready for JSON: {error}.") from None


def _stored(
    name: str, module: str, approximation: Approximation, family: Family, rank: int, dtype: Dtype
) -> tuple[dict[str, Matrix], WrittenMatrix]:
    """Return the tensors of one matrix, and what they store."""
    exact = family.pieces(approximation)
    pieces = [rounded(piece, dtype, name) for piece in exact]
    moved = float(np.hypot.reduce([rounding(e, p) for e, p in zip(exact, pieces, strict=True)]))
    tensors, plain = family.tensors(approximation, pieces, rank), plain_of(approximation)
    return tensors, WrittenMatrix(
        name=name,
        module=module,
        structure=repr(approximation.structure),
        shape=approximation.shape,
        rank=rank,
        n_parameters=approximation.n_parameters,
        stored=sum(array.size for array in tensors.values()),
        norm=plain.norm,
        error=plain.error,
        rounding=moved,
        error_bound=plain.error + plain.bound + moved + math.hypot(*(piece.slack for piece in exact)),
        weighted_error=approximation.relative_error if approximation.plain else None,
    )


def _of_embedding(tensors: Mapping[str, Matrix]) -> dict[str, Matrix]:
    """Return the tensors of LoRA as PEFT wants them for an embedding: transposed."""
    a, b = tensors["lora_A.weight"], tensors["lora_B.weight"]
    return {
        "lora_embedding_A": np.ascontiguousarray(b.T),
        "lora_embedding_B": np.ascontiguousarray(a.T),
    }
