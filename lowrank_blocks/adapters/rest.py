"""Whole tensors beside the factors: biases of adapted modules, and modules that PEFT replaces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lowrank_blocks._validation import Matrix
from lowrank_blocks.adapters.naming import PREFIX
from lowrank_blocks.checkpoints.tensors import Checkpoint

_FLOATS = {"float16", "bfloat16", "float32", "float64"}


@dataclass(frozen=True)
class Rest:
    """Whole tensors, as an adapter directory holds them.

    Attributes
    ----------
    names : tuple of str
        Names of the tensors in the base checkpoint.
    tensors : dict of str to array
        By their keys in the file.
    modules : list of str
        What goes into ``modules_to_save``.
    has_biases : bool
        Whether there are biases of adapted modules.
    """

    names: tuple[str, ...] = ()
    tensors: dict[str, Matrix] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    has_biases: bool = False


def arranged(rest: object, targets: Iterable[str], others: Iterable[str], base: Checkpoint | None) -> Rest:
    """Arrange whole tensors so that PEFT loads them.

    Biases of adapted modules, and parameters that are no weight or bias, are set in the base model. Other
    modules are replaced whole, as are all modules whose paths end like one of theirs; what PEFT wants of
    these beside `rest` comes from the base checkpoint.

    Parameters
    ----------
    rest : dict of str to array or None
        By the names of the tensors in the base checkpoint.
    targets : iterable of str
        Modules with factors.
    others : iterable of str
        Modules that are known to be left as they are.
    base : Checkpoint or None
        Where tensors are taken from.

    Raises
    ------
    TypeError, ValueError
        If a tensor is no finite array of floats, has factors, too, or PEFT could not load it. The message
        names it.
    """
    if not isinstance(rest, Mapping | None):
        raise TypeError(
            f"rest must be a dict of arrays by the names of tensors, got a {type(rest).__name__}."
        )
    arrays = {name: _array(value, name) for name, value in (rest or {}).items()}
    adapted = set(targets)
    homes = {name: name.rpartition(".")[0] for name in arrays}
    twice = [name for name, home in homes.items() if home in adapted and name == home + ".weight"]
    if twice:
        raise ValueError(
            f"rest must hold no tensor that has factors, got {twice[0]!r} in approximations, too."
        )
    modules = {homes[name] for name in arrays if name.endswith((".weight", ".bias"))} - adapted
    arrays |= _demanded(modules, arrays, adapted, set(others), base)
    keys = {name: _key(name, adapted) for name in sorted(arrays)}
    return Rest(
        names=tuple(keys),
        tensors={key: arrays[name] for name, key in keys.items()},
        modules=tuple(sorted(modules)),
        has_biases=any(home in adapted for home in homes.values()),
    )


def _array(value: ArrayLike, name: str) -> Matrix:
    tensor: Any = value
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu()
        tensor = tensor.float() if str(tensor.dtype).endswith("bfloat16") else tensor
    array = np.asarray(tensor)
    if array.dtype.name not in _FLOATS:
        raise TypeError(f"rest[{name!r}] must be an array of floats, got dtype {array.dtype}.")
    if not np.isfinite(array.astype(np.float64)).all():
        raise ValueError(f"rest[{name!r}] must be finite.")
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def _key(name: str, adapted: set[str]) -> str:
    """Return the key of a tensor in the file: a bias of an adapted module lies one level deeper."""
    module, _, kind = name.rpartition(".")
    return f"{PREFIX}{module}.base_layer.{kind}" if module in adapted else PREFIX + name


def _demanded(
    modules: set[str],
    arrays: Mapping[str, Matrix],
    adapted: set[str],
    others: set[str],
    base: Checkpoint | None,
) -> dict[str, Matrix]:
    """Return the tensors that PEFT wants of the modules that it would replace, from the base."""
    for module in sorted(modules):
        _require_apart(module, adapted)
    stored = list(base.tensors) if base else []
    known = others | {name.rpartition(".")[0] for name in stored}
    replaced = modules | {path for path in known if modules and path.endswith(tuple(modules))}
    given = {name.rpartition(".")[0] for name in arrays}
    missing = sorted(replaced - given) if base is None else []
    if missing:
        raise ValueError(
            f"rest must hold the tensors of {missing[0]!r}, too, for PEFT replaces all modules whose paths "
            "end alike; pass base=lb.open_checkpoint(...) to take them from there."
        )
    wanted = [name for name in stored if name.rpartition(".")[0] in replaced and name not in arrays]
    return {name: np.array(base.read(name)) for name in wanted} if base else {}


def _require_apart(module: str, adapted: Iterable[str]) -> None:
    """Refuse a module that PEFT cannot tell from one with factors."""
    inside = re.compile(rf"(^|.*\.){module}($|\..*)")  # PEFT's rule, unescaped as there
    for target in sorted(adapted):
        if inside.match(target) or target.endswith(module):
            raise ValueError(
                f"rest must not hold tensors of {module!r}: PEFT would take {target!r}, which has factors, "
                "for it."
            )
