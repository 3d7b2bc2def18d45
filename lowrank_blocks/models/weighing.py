"""Weights of the rows and columns of many matrices, by the names of these."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from lowrank_blocks._validation import Matrix, Shape, as_operand
from lowrank_blocks.checkpoints.opening import open_checkpoint
from lowrank_blocks.checkpoints.tensors import CheckpointError
from lowrank_blocks.checkpoints.updates import Updates
from lowrank_blocks.solver.weighted import require_closed_form
from lowrank_blocks.solver.weights import Activations, Weighting, Weights, as_weights
from lowrank_blocks.structures.base import Structure
from lowrank_blocks.structures.checked import laid_out

WeightsByName = Mapping[str, Weighting]
Raw = NDArray[np.float64] | Activations

AXES = "row_weights", "col_weights"
NO_ERROR = "unchanged, or zero under its weights"


@final
class WeightsFile(Mapping[str, Matrix]):
    """Weights in a file, by the names of matrices; errors name the file.

    Parameters
    ----------
    path : Path
        A checkpoint of vectors and matrices; see `open_checkpoint`.

    Attributes
    ----------
    label : str
        What errors call the weights.

    Raises
    ------
    CheckpointError
        If it cannot be read, or holds nothing.
    """

    def __init__(self, path: Path) -> None:
        self._checkpoint, self.label = open_checkpoint(path), str(path)
        if not self._checkpoint.tensors:
            raise CheckpointError(f"{path} must hold weights of at least one matrix, got none.")

    def __getitem__(self, name: str) -> Matrix:
        return self._checkpoint.read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._checkpoint.tensors)

    def __len__(self) -> int:
        return len(self._checkpoint.tensors)


@dataclass(frozen=True, eq=False, repr=False)
class ModelWeights:
    """The weights of some matrices, as they were given; roots are taken where they are needed.

    Attributes
    ----------
    rows, cols : dict of str to array or Activations
        By the names of the matrices.
    labels : (str, str)
        What errors call them: the arguments, or the files that they come from.
    """

    rows: dict[str, Raw]
    cols: dict[str, Raw]
    labels: tuple[str, str] = AXES

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The matrices that have weights."""
        return tuple(dict.fromkeys([*self.rows, *self.cols]))

    def of(self, name: str, shape: Shape) -> Weights | None:
        """Return the weights of a matrix; None if it has none.

        Raises
        ------
        TypeError, ValueError
            If they are no weights of this shape; the message names them.
        """
        rows, cols = (f"{label}[{name!r}]" for label in self.labels)
        return as_weights(self.rows.get(name), self.cols.get(name), shape, (rows, cols))

    def only(self, name: str) -> ModelWeights | None:
        """Return the weights of one matrix, to be sent along with work on it; None if it has none."""
        rows, cols = ({name: side[name]} if name in side else {} for side in (self.rows, self.cols))
        return ModelWeights(rows, cols, self.labels) if rows or cols else None

    def arrays(self, name: str) -> tuple[Matrix | None, Matrix | None]:
        """Return the weights of the rows and the columns of a matrix, vectors or matrices; None for none."""
        rows, cols = (
            None if (raw := side.get(name)) is None else _array(raw) for side in (self.rows, self.cols)
        )
        return rows, cols

    @cached_property
    def digests(self) -> dict[str, str]:
        """A hash of the weights of every matrix."""
        return {name: self._digest(name) for name in self.names}

    def _digest(self, name: str) -> str:
        found = hashlib.sha256()
        for side in (self.rows, self.cols):
            found.update(b"".join(_bytes(side.get(name))))
        return found.hexdigest()

    def __repr__(self) -> str:
        return f"ModelWeights(of {len(self.names)} matrices)"


def model_weights(
    rows: WeightsByName | None, cols: WeightsByName | None, updates: Updates
) -> ModelWeights | None:
    """Return the weights of some matrices, all checked; None if there are none.

    Parameters
    ----------
    rows, cols : dict by name, optional
        What `approximate` takes as weights, for the rows and the columns of matrices.
    updates : Updates
        The matrices.

    Raises
    ------
    TypeError, ValueError
        If one has the name of no matrix, or is no weight of it; the message names it.
    """
    labels = _label(rows, AXES[0]), _label(cols, AXES[1])
    made = ModelWeights(_taken(rows, labels[0]), _taken(cols, labels[1]), labels)
    for label, side in zip(labels, (made.rows, made.cols), strict=True):
        for name in side:
            _require_known(label, name, updates)
    for name in made.names:
        made.of(name, updates.shape(name))
    return made if made.names else None


def require_fit(weights: ModelWeights | None, name: str, structure: Structure, shape: Shape) -> None:
    """Refuse a structure that does not fit a matrix, or has no closed form under its weights."""
    layout = laid_out(structure, shape)
    if weights is not None and name in weights.names:
        require_closed_form(structure, layout, weights.arrays(name))


def weights_key(weights: ModelWeights | None, name: str) -> str:
    """Return what the key of work on a matrix says of its weights; nothing without weights."""
    return "" if weights is None or name not in weights.names else f" weights {weights.digests[name]}"


def _label(given: object, axis: str) -> str:
    return given.label if isinstance(given, WeightsFile) else axis


def _taken(given: object, label: str) -> dict[str, Raw]:
    """Return weights by name as arrays or samples."""
    if not isinstance(given, Mapping | None):
        raise TypeError(
            f"{label} must be a mapping from names of matrices to weights, got a {type(given).__name__}; "
            f"write {label}={{name: weights}}."
        )
    pairs = ((name, value) for name, value in (given or {}).items() if value is not None)
    return {
        name: v if isinstance(v, Activations) else as_operand(v, f"{label}[{name!r}]") for name, v in pairs
    }


def _require_known(label: str, name: str, updates: Updates) -> None:
    if name in updates.names:
        return
    reason = updates.skipped.get(name)
    why = f", which is left out: {reason}" if reason else f"; such as {updates.names[0]!r}"
    raise ValueError(f"{label} must be of the matrices that are compared, got {name!r}{why}.")


def _array(value: Raw) -> Matrix:
    return value.x if isinstance(value, Activations) else value


def _bytes(value: Raw | None) -> Iterator[bytes]:
    """Yield what tells weights of an axis from all others."""
    if value is None:
        yield b"none;"
        return
    array = _array(value)
    yield f"{type(value).__name__} {array.dtype.name} {array.shape};".encode()
    yield np.ascontiguousarray(array).tobytes()
