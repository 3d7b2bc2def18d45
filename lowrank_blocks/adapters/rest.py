"""Whole tensors beside the factors: where in an adapter directory PEFT finds them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
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
    modules : tuple of str
        What goes into ``modules_to_save``: PEFT keeps a copy of these modules for this adapter.
    bias : {"none", "only", "all"}
        Whether PEFT sets parameters of the base itself: none, biases of adapted modules, or others, too.
    """

    names: tuple[str, ...] = ()
    tensors: dict[str, Matrix] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    bias: str = "none"


def arranged(rest: object, targets: Iterable[str], base: Checkpoint | None) -> Rest:
    """Arrange whole tensors so that PEFT loads them.

    PEFT sets the parameters of the base that a file names. Norms have vectors only, so PEFT can keep a copy
    of them for the adapter instead. For that it needs all tensors of all modules whose paths end alike, and
    those that are missing come from the base checkpoint. Without a base checkpoint, and for matrices, which
    may be tied to others, the parameters of the base are set.

    Parameters
    ----------
    rest : dict of str to array or None
        By the names of the tensors in the base checkpoint.
    targets : iterable of str
        Modules with factors.
    base : Checkpoint or None
        Where tensors are taken from.

    Raises
    ------
    TypeError, ValueError
        If a tensor is no finite array of floats, or has factors, too. The message names it.
    """
    if not isinstance(rest, Mapping | None):
        raise TypeError(
            f"rest must be a dict of arrays by the names of tensors, got a {type(rest).__name__}."
        )
    arrays = {name: _array(value, name) for name, value in (rest or {}).items()}
    adapted = set(targets)
    twice = [name for name in arrays if name.endswith(".weight") and _home(name) in adapted]
    if twice:
        raise ValueError(
            f"rest must hold no tensor that has factors, got {twice[0]!r} in approximations, too."
        )
    modules, wanted = _copied({_home(name) for name in arrays}, adapted, base)
    if base is not None:
        arrays = {name: np.array(base.read(name)) for name in wanted} | arrays
    set_directly = {_home(name) for name in set(arrays) - wanted}
    return Rest(
        names=tuple(sorted(arrays)),
        tensors={_key(name, adapted): arrays[name] for name in sorted(arrays)},
        modules=tuple(sorted(modules)),
        bias="none" if not set_directly else "only" if set_directly <= adapted else "all",
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


def _home(name: str) -> str:
    """Return the path of the module that holds a tensor."""
    return name.rpartition(".")[0]


def _key(name: str, adapted: Collection[str]) -> str:
    """Return the key of a tensor in the file: of an adapted module it lies one level deeper."""
    module, _, kind = name.rpartition(".")
    return f"{PREFIX}{module}.base_layer.{kind}" if module in adapted else PREFIX + name


def _copied(
    modules: Iterable[str], adapted: Collection[str], base: Checkpoint | None
) -> tuple[set[str], set[str]]:
    """Return the modules that PEFT can keep a copy of, and all tensors that it then wants."""
    homes: dict[str, set[str]] = {}
    for name in base.tensors if base else ():
        homes.setdefault(_home(name), set()).add(name)
    copied: set[str] = set()
    wanted: set[str] = set()
    for module in modules:
        twins = [path for path in homes if path.endswith(module)] if module else []
        names = {name for path in twins for name in homes[path]}
        vectors = base is not None and all(len(base.tensors[name].shape) < 2 for name in names)
        if module in homes and vectors and not any(_confused(module, target) for target in adapted):
            copied.add(module)
            wanted |= names
    return copied, wanted


def _confused(module: str, target: str) -> bool:
    """Whether PEFT would take an adapted module for one to keep a copy of, or pass it over for that."""
    inside = rf"(^|.*\.){module}($|\..*)"  # unescaped, as PEFT has it
    return target.endswith(module) or re.match(inside, target) is not None
