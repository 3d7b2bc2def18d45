"""Where the matrices of a model stand: layers and kinds of modules, read from their names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lowrank_blocks._escaping import printable
from lowrank_blocks.models.plans import ModelPlan

_DIGITS = 9  # a longer part of a name counts no layers
_NO_LAYER = "–"
_MANY_KINDS = 12  # more, and more than there are layers, are easier to read one below the other

Parts = tuple[str, ...]


@dataclass(frozen=True)
class ModuleGrid:
    """The matrices of a model on a grid of layers and kinds of modules; made by `module_grid`.

    Attributes
    ----------
    heads : (str, str)
        What the rows and the columns are: ``("layer", "module")``, or the other way round.
    rows, columns : tuple of str
        Their labels.
    places : dict of str to (int, int)
        Row and column of every matrix; no two are at one place.
    """

    heads: tuple[str, str]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    places: dict[str, tuple[int, int]]

    def transposed(self) -> ModuleGrid:
        """Return the grid with rows for columns."""
        places = {name: (j, i) for name, (i, j) in self.places.items()}
        return ModuleGrid((self.heads[1], self.heads[0]), self.columns, self.rows, places)


def module_grid(names: Iterable[str]) -> ModuleGrid:
    """Return layers as rows and kinds of modules as columns; the other way round if kinds are many.

    The first part of a dotted name that is an integer is the layer. The kind is the rest, without the
    parts that all names begin or end with.

    Parameters
    ----------
    names : iterable of str
        Names of the matrices, without repeats.

    Examples
    --------
    >>> grid = module_grid(["h.0.attn.q.weight", "h.0.mlp.up.weight", "h.1.attn.q.weight"])
    >>> grid.rows, grid.columns, grid.places["h.1.attn.q.weight"]
    (('0', '1'), ('attn.q', 'mlp.up'), (1, 0))
    """
    found = {name: _layer_and_kind(name) for name in names}
    layers = sorted(dict.fromkeys(layer for layer, _ in found.values()), key=_order)
    kinds = list(dict.fromkeys(kind for _, kind in found.values()))
    row, column = ({part: k for k, part in enumerate(parts)} for parts in (layers, kinds))
    places = {name: (row[layer], column[kind]) for name, (layer, kind) in found.items()}
    grid = ModuleGrid(("layer", "module"), tuple(layers), _without_common_parts(kinds), places)
    return grid.transposed() if len(kinds) > max(_MANY_KINDS, len(layers)) else grid


def short_label(label: str, most: int) -> str:
    """Return a label on one line, a long one with its middle left out.

    Examples
    --------
    >>> short_label("self_attn.q_proj", 9)
    'self…proj'
    """
    known, half = printable(label), most // 2
    return known if len(known) <= most else f"{known[:half]}…{known[len(known) - half :]}"


def equivalent_ranks(plan: ModelPlan) -> dict[str, float]:
    """Return for every matrix the rank at which a global factorisation stores as many numbers."""
    return {name: stored / sum(plan.shapes[name]) for name, stored in plan.stored.items()}


def _layer_and_kind(name: str) -> tuple[str, Parts]:
    parts = name.split(".")
    for k, part in enumerate(parts):
        if part.isascii() and part.isdigit() and len(part) <= _DIGITS:
            return part, (*parts[:k], "*", *parts[k + 1 :])
    return _NO_LAYER, tuple(parts)


def _order(layer: str) -> tuple[int, str]:
    return (10**_DIGITS if layer == _NO_LAYER else int(layer), layer)


def _without_common_parts(kinds: Sequence[Parts]) -> tuple[str, ...]:
    """Return kinds without the parts at the end and then at the start that all share; one part stays."""
    if len(kinds) == 1:
        return (".".join(_of_one(kinds[0])),)
    tail = _shared([kind[::-1] for kind in kinds])
    cut = [kind[: len(kind) - tail] for kind in kinds]
    head = _shared(cut)
    return tuple(".".join(kind[head:]) for kind in cut)


def _shared(kinds: Sequence[Parts]) -> int:
    """Return how many parts at the start all kinds share, at most all but one."""
    most = min(map(len, kinds), default=1) - 1
    return next((k for k in range(most) if len({kind[k] for kind in kinds}) > 1), most)


def _of_one(kind: Parts) -> Parts:
    """Return what follows the layer, where something does."""
    after = kind[kind.index("*") + 1 :] if "*" in kind else ()
    return after or kind
