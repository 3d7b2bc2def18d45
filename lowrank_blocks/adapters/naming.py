"""Names of modules, as PEFT looks for them."""

from __future__ import annotations

import re
from collections.abc import Iterable

PREFIX = "base_model.model."


def anchored(module: str) -> str:
    r"""Return a key of ``rank_pattern`` that matches this module and no other.

    PEFT looks for ``(.*\.)?(KEY)$``, which also finds KEY at the end of longer paths.
    """
    return "^" + re.escape(module)


def target_pattern(modules: Iterable[str]) -> str:
    """Return a regular expression that matches these modules and no others.

    PEFT wants all of a path to match a text, where it takes a list for ends of paths.
    """
    return "|".join(map(re.escape, sorted(modules)))


def module_of(name: str, argument: str, kinds: tuple[str, ...] = ("weight",)) -> str:
    """Return the module that a tensor belongs to.

    Raises
    ------
    ValueError
        If the name does not end in one of the kinds.
    """
    module, _, kind = name.rpartition(".")
    if not module or kind not in kinds:
        ends = " or ".join(f".{kind}" for kind in kinds)
        raise ValueError(
            f"{argument} must hold names that end in {ends}, as those of modules do, got {name!r}."
        )
    return module
