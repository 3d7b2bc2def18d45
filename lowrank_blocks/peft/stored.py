"""What a family says of its files, and the fields of a file that is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lowrank_blocks._validation import Shape, as_count
from lowrank_blocks.checkpoints.tensors import CheckpointError

# Fields of all formats that do not change what is added to the weights: whole tensors tell of themselves.
_IDLE = {
    "auto_mapping", "base_model_name_or_path", "bias", "ensure_weight_tying", "exclude_modules",
    "fan_in_fan_out", "inference_mode", "init_weights", "layers_pattern", "layers_to_transform",
    "modules_to_save", "peft_version", "revision", "runtime_config", "target_modules", "task_type",
}  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """How a family is told from the configuration of a file.

    Attributes
    ----------
    prefix : str
        How the names of its tensors begin; by default as the format, in small letters.
    mark : (str, object), optional
        A field and its value that tell the family from others of the same format; True stands for any value
        that is not off.
    scale : (str, str, str), optional
        A tensor that PEFT multiplies, and the fields whose quotient it is multiplied by; the second may be
        empty. A first one that is idle stands for 1.
    patterns : dict of str to str
        Fields that have other values for single modules, and the fields whose values these are.
    shared : tuple of str
        Tensors that modules of all shapes share: each takes a part from the start.
    idle : dict of str to tuple or None
        Fields that do not change what is added, whatever their value, or if it is one of these.
    """

    prefix: str = ""
    mark: tuple[str, object] | None = None
    scale: tuple[str, str, str] | None = None
    patterns: Mapping[str, str] = field(default_factory=dict)
    shared: tuple[str, ...] = ()
    idle: Mapping[str, tuple[object, ...] | None] = field(default_factory=dict)

    def marks(self, config: Mapping[str, Any]) -> bool:
        """Decide whether a configuration is of the family, given its format."""
        if self.mark is None:
            return True
        name, wanted = self.mark
        return bool(config.get(name)) if wanted is True else config.get(name) == wanted

    def is_idle(self, name: str, value: object) -> bool:
        """Decide whether a field does not change what is added."""
        if name in _IDLE or name.endswith("dropout"):
            return True
        values = self.idle.get(name, ())
        return values is None or value in values


@dataclass(frozen=True)
class Fields:
    """The configuration of one module. It remembers which fields were asked for.

    Attributes
    ----------
    where : str
        The file, for errors.
    module : str
        The path of the module.
    shape : (int, int) or None
        Shape of its weight, where that is known before the tensors are looked at.
    values : dict of str to object
        The fields, with those of patterns in place.
    """

    where: str
    module: str
    shape: Shape | None
    values: Mapping[str, Any]
    _asked: set[str] = field(default_factory=set, repr=False)

    def __getitem__(self, name: str) -> Any:
        self._asked.add(name)
        if name not in self.values:
            raise CheckpointError(f"{self.where} must have the field {name}, got none.")
        return self.values[name]

    @property
    def known_shape(self) -> Shape:
        """The shape, for families that depend on the weight."""
        assert self.shape is not None
        return self.shape

    def count(self, name: str, least: int = 1) -> int:
        """Return a field that must be an integer."""
        try:
            return as_count(self[name], name, least=least)
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{self.where}: {error}") from None

    def number(self, name: str) -> float:
        """Return a field that must be a finite number."""
        value = self[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < float("inf"):
            raise CheckpointError(f"{self.where}: {name} must be a finite number, got {value!r}.")
        return float(value)

    def one_of(self, name: str, values: Mapping[str, Any]) -> Any:
        """Return what a field that is one of some texts stands for."""
        found = self[name]
        if not isinstance(found, str) or found not in values:
            raise CheckpointError(f"{self.where}: {name} must be one of {', '.join(values)}, got {found!r}.")
        return values[found]

    def inside(self, name: str) -> Fields:
        """Return the fields of a field."""
        value = self[name]
        if not isinstance(value, Mapping):
            raise CheckpointError(f"{self.where}: {name} must be an object, got {value!r}.")
        return Fields(f"{self.where}: {name}", self.module, self.shape, value)

    def scale(self, reading: Reading) -> float:
        """Return what PEFT multiplies the tensor of `Reading.scale` by."""
        if reading.scale is None:
            return 1.0
        _, above, below = reading.scale
        if reading.is_idle(above, self[above]):
            return 1.0
        return self.number(above) / (self.count(below) if below else 1)

    def require_all_known(self, reading: Reading, written: Mapping[str, Any], what: str) -> None:
        """Refuse a field that was not asked for, is not idle, and is not as it is written here."""
        for name in {**self.values, **written}:
            if name in self._asked:
                continue
            found, wanted = self.values.get(name), written.get(name)
            if reading.is_idle(name, found) or found == wanted or not (found or wanted):
                continue
            rule = f"must be {wanted!r}" if name in written else "must be off"
            got = repr(found) if name in self.values else "none"
            raise CheckpointError(f"{self.where}: {name} {rule} for {what}, got {got}.")
