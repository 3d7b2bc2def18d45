"""Fits out, as a directory that PEFT loads."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lowrank_blocks._validation import Shape
from lowrank_blocks.adapters.directory import as_json, as_safetensors
from lowrank_blocks.adapters.naming import PREFIX, module_of, target_pattern
from lowrank_blocks.adapters.written import CONFIG, TENSORS
from lowrank_blocks.checkpoints.safetensors import numpy_type
from lowrank_blocks.files import require_writable, write_files
from lowrank_blocks.peft.claims import Tensors
from lowrank_blocks.peft.family import Family, Fit
from lowrank_blocks.peft.target import Target, norm_of

_DTYPES = ("float64", "float32", "float16", "bfloat16")
SHARED = "base_model."


def write(
    out: str | os.PathLike[str],
    fits: Mapping[str, Fit],
    *,
    dtype: str = "float32",
    base_model: str | None = None,
    flipped: Collection[str] = (),
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
    flipped : collection of str, optional
        Names of weights that are stored as (in, out), as GPT-2's Conv1D does; the fits have output features
        first. Other names do no harm.

    Returns
    -------
    Path
        The directory.

    Raises
    ------
    TypeError, ValueError
        If there are no fits, they are not of one family and setting, PEFT has no format for it or for
        weights stored as (in, out), or tensors that all modules share differ.
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
    members = {
        name: Member(fit.family, fit.shape, as_stored(fit.tensors(), dtype))
        for name, fit in _checked(fits).items()
    }
    turned = [name for name in members if name in flipped]
    for name in turned:
        require_conv1d(members[name].family, name)
    write_members(Path(out), members, base_model, flipped=bool(turned))
    return Path(out)


@dataclass(frozen=True)
class Member:
    """The tensors of a family for one weight, as a file stores them."""

    family: Family
    shape: Shape
    tensors: Tensors

    def error(self, target: Target) -> float:
        """Return the Frobenius error of what is stored."""
        wide = {k: t if t.dtype.kind == "i" else t.astype(np.float64) for k, t in self.tensors.items()}
        return norm_of(target.matrix - self.family.product(wide, target))


def as_stored(tensors: Tensors, dtype: str) -> Tensors:
    """Return tensors in the type of a file; positions stay integers."""
    if dtype not in _DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(_DTYPES)}, got {dtype!r}.")
    kind = numpy_type(dtype, "dtype")
    return {
        name: np.ascontiguousarray(value, value.dtype if value.dtype.kind == "i" else kind)
        for name, value in tensors.items()
    }


def require_conv1d(family: Family, name: str) -> None:
    """Refuse a weight that is stored as (in, out) for a family that PEFT has not for those."""
    if not family.conv1d:
        raise ValueError(
            f"{name!r} must be stored with output features first for {family!r}: PEFT has no {family.format} "
            "for weights that are stored as (in, out)."
        )


def write_members(
    folder: Path, members: Mapping[str, Member], base_model: str | None, *, flipped: bool
) -> None:
    """Write members of one family with one setting; see `write`."""
    modules = {module_of(name, "fits"): member for name, member in members.items()}
    config = (
        _config(modules)
        | {
            "base_model_name_or_path": base_model,
            "inference_mode": True,
            "modules_to_save": None,
            "target_modules": target_pattern(modules),
            "task_type": None,
        }
        | ({"fan_in_fan_out": True} if flipped else {})
    )
    files: dict[str, str | bytes] = {TENSORS: as_safetensors(_tensors(modules)), CONFIG: as_json(config)}
    require_writable(folder, files)
    write_files(folder, files)


def _checked(fits: object) -> Mapping[str, Fit]:
    if not isinstance(fits, Mapping) or not fits:
        raise TypeError(f"fits must be a dict of at least one fit by the names of tensors, got {fits!r}.")
    for name, fit in fits.items():
        if not isinstance(fit, Fit):
            raise TypeError(f"fits[{name!r}] must be a Fit, got a {type(fit).__name__}.")
    return fits


def _config(modules: Mapping[str, Member]) -> dict[str, Any]:
    """Return the one configuration of all modules."""
    (first, member), *others = modules.items()
    config = member.family.fields(member.shape)
    for module, other in others:
        if other.family != member.family or other.family.fields(other.shape) != config:
            raise ValueError(
                f"fits must be of one family with one setting, got {member.family!r} for {first!r} of "
                f"{member.shape} and {other.family!r} for {module!r} of {other.shape}."
            )
    return config


def _tensors(modules: Mapping[str, Member]) -> Tensors:
    """Return all tensors by their keys."""
    found: Tensors = {}
    for module, member in modules.items():
        for end, value in member.tensors.items():
            key = end if end.startswith(SHARED) else f"{PREFIX}{module}.{end}"
            if key in found and not np.array_equal(found[key], value):
                raise ValueError(f"fits must share {key}, got another one for {module!r}.")
            found[key] = value
    return found
