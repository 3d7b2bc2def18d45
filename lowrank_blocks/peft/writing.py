"""Fits out, as a directory that PEFT loads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lowrank_blocks._validation import Matrix
from lowrank_blocks.adapters.directory import as_json, as_safetensors
from lowrank_blocks.adapters.naming import PREFIX, module_of, target_pattern
from lowrank_blocks.adapters.written import CONFIG, TENSORS
from lowrank_blocks.checkpoints.safetensors import numpy_type
from lowrank_blocks.files import require_writable, write_files
from lowrank_blocks.peft.family import Fit

_DTYPES = ("float64", "float32", "float16", "bfloat16")
_SHARED = "base_model."


def write(
    out: str | os.PathLike[str],
    fits: Mapping[str, Fit],
    *,
    dtype: str = "float32",
    base_model: str | None = None,
) -> Path:
    """Write fits of one family with one setting as an adapter that PEFT loads.

    The directory gets ``adapter_config.json`` and ``adapter_model.safetensors``. For LoRA whose ranks differ
    from matrix to matrix there is `write_adapter`.

    Parameters
    ----------
    out : path
        The directory, made if missing. Files of these names in it are replaced.
    fits : dict of str to Fit
        By the names of the tensors in the base model, such as ``"encoder.layer.0.output.dense.weight"``.
    dtype : {"float32", "float64", "float16", "bfloat16"}, optional
        Type of the tensors in the file.
    base_model : str, optional
        Name or path of the base model, for whoever loads the adapter.

    Returns
    -------
    Path
        The directory.

    Raises
    ------
    TypeError, ValueError
        If there are no fits, they are not of one family and setting, PEFT has no format for it, or tensors
        that all modules share differ.
    ModuleNotFoundError
        If an extra is missing; the message gives the line that installs it.
    OSError
        If the directory cannot be written.

    Examples
    --------
    >>> import numpy as np, tempfile, lowrank_blocks as lb
    >>> fit = lb.peft.LoHa(1).nearest(np.eye(4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sorted(path.name for path in lb.peft.write(folder, {"query.weight": fit}).iterdir())
    ['adapter_config.json', 'adapter_model.safetensors']
    """
    modules = {module_of(name, "fits"): fit for name, fit in _checked(fits).items()}
    if dtype not in _DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, got {dtype!r}.")
    config = _config(modules) | {
        "base_model_name_or_path": base_model,
        "inference_mode": True,
        "modules_to_save": None,
        "target_modules": target_pattern(modules),
        "task_type": None,
    }
    kind, folder = numpy_type(dtype, "dtype"), Path(out)
    tensors = {key: _stored(value, kind) for key, value in _tensors(modules).items()}
    files: dict[str, str | bytes] = {TENSORS: as_safetensors(tensors), CONFIG: as_json(config)}
    require_writable(folder, files)
    write_files(folder, files)
    return folder


def _stored(value: Matrix, kind: np.dtype[Any]) -> Matrix:
    """Return a tensor in the type of the file; positions stay integers."""
    return np.ascontiguousarray(value, value.dtype if value.dtype.kind == "i" else kind)


def _checked(fits: object) -> Mapping[str, Fit]:
    if not isinstance(fits, Mapping) or not fits:
        raise TypeError(f"fits must be a dict of at least one fit by the names of tensors, got {fits!r}.")
    for name, fit in fits.items():
        if not isinstance(fit, Fit):
            raise TypeError(f"fits[{name!r}] must be a Fit, got a {type(fit).__name__}.")
    return fits


def _config(modules: Mapping[str, Fit]) -> dict[str, Any]:
    """Return the one configuration of all modules."""
    (first, fit), *others = modules.items()
    config = fit.config()
    for module, other in others:
        if other.family != fit.family or other.config() != config:
            raise ValueError(
                f"fits must be of one family with one setting, got {fit.family!r} for {first!r} and "
                f"{other.family!r} for {module!r}."
            )
    return config


def _tensors(modules: Mapping[str, Fit]) -> dict[str, Matrix]:
    """Return all tensors by their keys."""
    found: dict[str, Matrix] = {}
    for module, fit in modules.items():
        for end, value in fit.tensors().items():
            key = end if end.startswith(_SHARED) else f"{PREFIX}{module}.{end}"
            if key in found and not np.array_equal(found[key], value):
                raise ValueError(f"fits must share {key}, got another one for {module!r}.")
            found[key] = value
    return found
