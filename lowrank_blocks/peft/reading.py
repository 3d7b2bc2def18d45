"""Adapters in: directories of any family that is written here, as what they add to the weights."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import ge
from pathlib import Path
from typing import Any

import numpy as np

from lowrank_blocks._validation import Matrix, Shape
from lowrank_blocks.adapters.loading import of_pattern, read_config, read_tensors, whole_name
from lowrank_blocks.adapters.naming import PREFIX
from lowrank_blocks.adapters.written import CONFIG, TENSORS
from lowrank_blocks.checkpoints.safetensors import SafetensorsCheckpoint
from lowrank_blocks.checkpoints.tensors import Checkpoint, CheckpointError, widened
from lowrank_blocks.peft.claims import Sizes
from lowrank_blocks.peft.family import Readable, TellsShape
from lowrank_blocks.peft.registry import FAMILIES
from lowrank_blocks.peft.stored import Fields
from lowrank_blocks.peft.target import Target
from lowrank_blocks.peft.writing import SHARED

Keys = dict[str, str]  # of the tensors of one module, by the ends of their names


@dataclass(frozen=True)
class Stored:
    """What a file holds for one weight.

    Attributes
    ----------
    family : Readable
        The family with its setting.
    shape : (int, int)
        Shape of the weight, output features first.
    scale : float
        What PEFT multiplies the tensor of `Reading.scale` by.
    keys : dict of str to str
        The names of the tensors in the file, by their ends.
    """

    family: Readable
    shape: Shape
    scale: float
    keys: Keys


@dataclass(frozen=True)
class StoredAdapter:
    """An adapter of any family; made by `read_adapter`.

    Attributes
    ----------
    path : Path
        The directory.
    members : dict of str to Stored
        By the names of the adapted weights in the base model.
    flipped : frozenset of str
        The names if the adapter is for weights that are stored as (in, out), as GPT-2's Conv1D does.
    whole : tuple of str
        Names of the tensors that the adapter brings along whole.
    """

    path: Path
    members: Mapping[str, Stored]
    flipped: frozenset[str]
    whole: tuple[str, ...]
    _file: SafetensorsCheckpoint = field(repr=False)

    def update(self, name: str, weight: Matrix | None) -> Matrix:
        """Return what the adapter adds to a weight, output features first, in float64."""
        member, where = self.members[name], self.path / TENSORS
        tensors = {end: _wide(self._file, key, where) for end, key in member.keys.items()}
        if member.family.reading.scale is not None:
            scaled = member.family.reading.scale[0]
            tensors[scaled] = tensors[scaled] * member.scale
        try:
            return member.family.product(tensors, Target.of(np.zeros(member.shape), weight))
        except ValueError as error:
            raise CheckpointError(
                f"{where}: tensors of {name!r} must fit {member.family!r}: {error}."
            ) from None


def read_adapter(path: str | os.PathLike[str], base: Checkpoint | None) -> StoredAdapter:
    """Read the headers of an adapter directory, and tell its family.

    Parameters
    ----------
    path : path
        A directory with ``adapter_config.json`` and ``adapter_model.safetensors``.
    base : Checkpoint or None
        What the adapter is for.

    Raises
    ------
    CheckpointError
        If a file is missing or damaged, or says what no family here does; the message names the file, the
        field or the tensor, and what it is.
    ValueError
        If the base is needed and missing.
    """
    folder = Path(path)
    config = read_config(folder / CONFIG)
    kind = _kind(config, folder / CONFIG)
    opened = _Opened(folder, config, kind, read_tensors(folder), base)
    modules, shared, whole = opened.sorted_keys()
    members = {f"{module}.weight": opened.stored(module, keys | shared) for module, keys in modules.items()}
    flipped = frozenset(members) if opened.flips else frozenset()
    return StoredAdapter(folder, members, flipped, whole, opened.file)


def _kind(config: Mapping[str, Any], where: Path) -> type[Readable]:
    """Return the family of a configuration; those with a mark are asked before the one without."""
    readable = [family for family in FAMILIES if issubclass(family, Readable)]
    found, formats = config.get("peft_type"), sorted({family.format for family in readable})
    same = [family for family in readable if family.format == found]
    same.sort(key=lambda family: family.reading.mark is None)
    if not same:
        raise CheckpointError(f"{where}: peft_type must be one of {', '.join(formats)}, got {found!r}.")
    return next(family for family in same if family.reading.marks(config))


@dataclass(frozen=True)
class _Opened:
    """A directory whose modules are looked at one after the other."""

    folder: Path
    config: Mapping[str, Any]
    kind: type[Readable]
    file: SafetensorsCheckpoint
    base: Checkpoint | None

    @property
    def flips(self) -> bool:
        return bool(self.config.get("fan_in_fan_out"))

    def sorted_keys(self) -> tuple[dict[str, Keys], Keys, tuple[str, ...]]:
        """Return the keys of every module, those that all share, and the names of whole tensors."""
        prefix = self.kind.reading.prefix or f"{self.kind.format.lower()}_"
        own = re.compile(rf"{re.escape(PREFIX)}(.+)\.({prefix}[^.]*(?:\.[^.]+)?)")
        where, shared, whole = self.folder / TENSORS, {}, []
        modules: dict[str, Keys] = {}
        for key in sorted(self.file.tensors):
            if parts := own.fullmatch(key):
                modules.setdefault(parts[1], {})[parts[2]] = key
            elif key.startswith(SHARED + prefix):
                shared[key] = key
            elif key.startswith(PREFIX):
                whole.append(whole_name(key))
            else:
                raise CheckpointError(f"{where}: tensor {key!r} must be named {PREFIX}..., as PEFT does.")
        if not modules:
            raise CheckpointError(f"{where} must hold tensors named ...{prefix}..., got none.")
        return modules, shared, tuple(whole)

    def stored(self, module: str, keys: Keys) -> Stored:
        """Return what the file holds for a module, if all its fields and its tensors are understood."""
        reading, shape = self.kind.reading, self._known_shape(module)
        fields = Fields(str(self.folder / CONFIG), module, shape, self._values(module))
        with _naming(fields.where):
            family = self.kind.of_fields(fields)
        sizes = {end: self.file.tensors[key].shape for end, key in keys.items()}
        where = f"{self.folder / TENSORS}: {module!r}"
        shape = shape or self._told_shape(family, sizes, where)
        scale = fields.scale(reading)
        fields.require_all_known(reading, family.fields(shape), repr(family))
        with _naming(fields.where):
            if not family.any_rank:
                family.check(shape)
        _require_sizes(family, shape, sizes, where)
        return Stored(family, shape, scale, keys)

    def _known_shape(self, module: str) -> Shape | None:
        """Return the shape of the weight in the base, output features first; None without a base."""
        if self.base is None:
            if self.kind.needs_base:
                raise self._base_needed("whose update depends on the weight")
            return None
        name = f"{module}.weight"
        if name not in self.base.tensors:
            raise CheckpointError(f"{self.base.path} must hold {name!r}, which the adapter is for, got none.")
        shape = self.base.tensors[name].shape
        if len(shape) != 2:
            raise CheckpointError(f"{self.base.path}: {name!r} must be a matrix, got shape {shape}.")
        return (shape[1], shape[0]) if self.flips else (shape[0], shape[1])

    def _told_shape(self, family: Readable, sizes: Sizes, where: str) -> Shape:
        """Return the shape of the weight that the tensors tell."""
        if not isinstance(family, TellsShape):
            raise self._base_needed("whose tensors do not tell the shape of the weight")
        try:
            return family.shape_of(sizes)
        except (KeyError, IndexError, ValueError):
            raise CheckpointError(
                f"{where} must have the tensors of {family!r}, got {dict(sizes)}."
            ) from None

    def _base_needed(self, why: str) -> ValueError:
        return ValueError(f"base must be given for {self.kind.__name__} in {self.folder}, {why}.")

    def _values(self, module: str) -> dict[str, Any]:
        """Return the fields as they are for one module."""
        patterns, where = self.kind.reading.patterns, self.folder / CONFIG
        values = {name: value for name, value in self.config.items() if name not in patterns}
        for pattern, name in patterns.items():
            if self.config.get(pattern):
                values[name] = of_pattern(self.config, pattern, module, values.get(name), where)
        return values


@contextmanager
def _naming(where: str) -> Iterator[None]:
    """Name the file in errors of settings."""
    try:
        yield
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{where}: {error}") from None


def _require_sizes(family: Readable, shape: Shape, found: Sizes, where: str) -> None:
    """Refuse tensors that are missing, unknown, or of other shapes; of shared ones modules take parts."""
    wanted = family.tensor_shapes(shape)
    for end, size in wanted.items():
        if end not in found:
            raise CheckpointError(
                f"{where} must have a tensor {end!r} for {family!r}, got {', '.join(found)}."
            )
        large = end in family.reading.shared and len(found[end]) == len(size)
        if found[end] != size and not (large and all(map(ge, found[end], size))):
            raise CheckpointError(
                f"{where} must have a tensor {end!r} of {size} for {family!r}, got {found[end]}."
            )
    for end in found:
        if end not in wanted:
            raise CheckpointError(f"{where} must have no tensor {end!r} for {family!r}.")


def _wide(file: SafetensorsCheckpoint, key: str, where: Path) -> Matrix:
    """Return a tensor in float64, integers as they are."""
    stored = file.read(key)
    if stored.dtype.kind in "iu":
        return np.array(stored)
    tensor = np.array(widened(stored), np.float64)
    if not np.isfinite(tensor).all():
        raise CheckpointError(f"{where}: tensor {key!r} must be finite.")
    return tensor
