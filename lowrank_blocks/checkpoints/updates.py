"""The updates between two checkpoints: which matrices can be compared, and each difference, one at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from lowrank_blocks.checkpoints.opening import Source, open_checkpoint
from lowrank_blocks.checkpoints.quantized import dequantized, scale_of, weight_of
from lowrank_blocks.checkpoints.tensors import Array, Checkpoint, CheckpointError, widened

CHOSEN = "not included", "excluded"  # the reasons that are the user's choice

# Model types whose attention and MLP weights are Conv1D, stored as (in, out).
_CONV1D_MODELS = {"gpt2", "openai-gpt", "imagegpt", "decision_transformer", "ctrl"}
_CONV1D = re.compile(r"(^|\.)(c_attn|c_proj|c_fc|q_attn)\.weight$")


@dataclass(eq=False)
class Updates:
    """The updates between two checkpoints, to be iterated once or often; made by `iter_updates`.

    Attributes
    ----------
    names : tuple of str
        Matrices of both, in the order of the base.
    skipped : dict of str to str
        Every other tensor, with the reason. Matrices that turn out to be unchanged are added while
        iterating.
    """

    base: Checkpoint
    tuned: Checkpoint
    names: tuple[str, ...]
    skipped: dict[str, str] = field(default_factory=dict)
    _flipped: frozenset[str] = frozenset()

    def __iter__(self) -> Iterator[tuple[str, Array]]:
        for name in self.names:
            update = self.read(name)
            if update.any():
                yield name, update
            else:
                self.skipped[name] = "unchanged"

    def __len__(self) -> int:
        return len(self.names)

    def shape(self, name: str) -> tuple[int, int]:
        """Return the shape of an update, output features first."""
        m, n = self.base.tensors[name].shape
        return (n, m) if name in self._flipped else (m, n)

    def read(self, name: str) -> Array:
        """Return one update, output features first, in float64 if either source is that, else float32."""
        before, after = (stored_weight(checkpoint, name) for checkpoint in (self.base, self.tuned))
        update = np.subtract(after, before, dtype=np.result_type(after, before))
        return update.T if name in self._flipped else update

    def weight(self, name: str) -> Array:
        """Return the weight of the base, output features first, as wide as `read` gives updates."""
        weight = stored_weight(self.base, name)
        return weight.T if name in self._flipped else weight

    def only(self, name: str) -> Updates:
        """Return one update, cheap to send to another process."""
        parts = [
            checkpoint.only([name, *([scale] if (scale := scale_of(name, checkpoint.tensors)) else [])])
            for checkpoint in (self.base, self.tuned)
        ]
        return Updates(parts[0], parts[1], (name,), {}, self._flipped & {name})

    def without(self, reasons: Mapping[str, str]) -> Updates:
        """Return the same without some matrices, which are then skipped for a reason."""
        names = tuple(name for name in self.names if name not in reasons)
        return Updates(self.base, self.tuned, names, {**self.skipped, **reasons}, self._flipped)

    def identity(self, name: str) -> str:
        """Return what changes when the files of an update do."""
        layout = "transposed" if name in self._flipped else "as stored"
        return f"{self.base.identity(name)} {self.tuned.identity(name)} {layout}"

    @property
    def flipped(self) -> frozenset[str]:
        """Names of the matrices that are stored as (in, out)."""
        return self._flipped


def iter_updates(
    base: Source,
    tuned: Source,
    *,
    include: str | None = None,
    exclude: str | None = None,
    fan_in_fan_out: bool | None = None,
) -> Updates:
    """Pair the matrices of two checkpoints, and yield each update when it is asked for.

    Parameters
    ----------
    base, tuned : path or dict of str to array_like
        Checkpoints before and after fine-tuning; see `open_checkpoint`.
    include, exclude : str, optional
        Regular expressions that must, or must not, be found in the name of a matrix.
    fan_in_fan_out : bool, optional
        Whether weights are stored as (in, out), as GPT-2's Conv1D does. By default the configuration
        of the base decides, layer by layer.

    Returns
    -------
    Updates
        Yields ``(name, dW)`` with dW of shape (out, in); at most one matrix is held at a time. Its
        `skipped` tells why every other tensor is left out.

    Raises
    ------
    CheckpointError
        If a checkpoint cannot be read, or no matrix is in both.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib, lowrank_blocks as lb
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     base, tuned = (pathlib.Path(folder) / name for name in ("base.npz", "tuned.npz"))
    ...     np.savez(base, query=np.zeros((4, 3)), bias=np.zeros(4))
    ...     np.savez(tuned, query=np.ones((4, 3)), bias=np.ones(4))
    ...     updates = lb.iter_updates(base, tuned)
    ...     [(name, dW.shape) for name, dW in updates], updates.skipped
    ([('query', (4, 3))], {'bias': 'not 2-D: shape (4,)'})
    """
    before, after = open_checkpoint(base), open_checkpoint(tuned)
    patterns = [_pattern(include, "include"), _pattern(exclude, "exclude")]
    names: list[str] = []
    skipped: dict[str, str] = {}
    for name in [*before.tensors, *(n for n in after.tensors if n not in before.tensors)]:
        reason = _reason(name, before, after, patterns[0], patterns[1])
        if reason:
            skipped[name] = reason
        else:
            names.append(name)
    tied = _tied(names, before, after)
    skipped |= {name: f"tied to {other}" for name, other in tied.items()}
    names = [name for name in names if name not in tied]
    if not names:
        raise CheckpointError(
            f"{before.path} and {after.path} must have a matrix in common, got none; {_first(skipped)}"
        )
    flipped = frozenset(n for n in names if _is_flipped(n, before, fan_in_fan_out))
    return Updates(before, after, tuple(names), skipped, flipped)


def stored_weight(checkpoint: Checkpoint, name: str) -> Array:
    """Return a matrix as it is stored, in float64 or float32; a quantized one with its scale."""
    weight = widened(checkpoint.read(name), copy=False)
    scale = scale_of(name, checkpoint.tensors)
    return weight if scale is None else dequantized(weight, checkpoint.read(scale), name, scale)


def _reason(
    name: str,
    base: Checkpoint,
    tuned: Checkpoint,
    include: re.Pattern[str] | None,
    exclude: re.Pattern[str] | None,
) -> str | None:
    """Return why a tensor is left out, or None."""
    if name not in tuned.tensors:
        return "only in the base"
    if name not in base.tensors:
        return "only in the fine-tuned checkpoint"
    before, after = base.tensors[name].shape, tuned.tensors[name].shape
    if len(before) != 2 or len(after) != 2:
        return f"not 2-D: shape {before if len(before) != 2 else after}"
    if before != after:
        axes = [axis for axis in (0, 1) if before[axis] != after[axis]]
        hint = (
            "; a resized vocabulary?" if axes == [0] else "; swapped sides?" if before == after[::-1] else ""
        )
        return f"shapes differ along axis {' and '.join(map(str, axes))}: {before} and {after}{hint}"
    if 0 in before:
        return f"empty: shape {before}"
    if _is_scale(name, base):
        return "the scale of a quantized tensor"
    if not all(c.tensors[name].dtype.startswith(("float", "bfloat")) for c in (base, tuned)):
        return f"not of floats: {base.tensors[name].dtype}"
    if include and not include.search(name):
        return CHOSEN[0]
    if exclude and exclude.search(name):
        return CHOSEN[1]
    return None


def _is_scale(name: str, checkpoint: Checkpoint) -> bool:
    weight = weight_of(name)
    return weight is not None and weight in checkpoint.tensors


def _tied(names: list[str], base: Checkpoint, tuned: Checkpoint) -> dict[str, str]:
    """Return the matrices that are the same as an earlier one in both checkpoints, with that one.

    Only matrices whose first and last rows are equal and not zero are compared as a whole.
    """
    found: dict[str, str] = {}
    seen: dict[object, list[str]] = {}
    for name in names:
        array = base.read(name)
        others = seen.setdefault((array.shape, array.dtype, array[0].tobytes(), array[-1].tobytes()), [])
        same = (o for o in others if array[0].any() and _same(name, o, base) and _same(name, o, tuned))
        earlier = next(same, None)
        if earlier is None:
            others.append(name)
        else:
            found[name] = earlier
    return found


def _same(first: str, second: str, checkpoint: Checkpoint) -> bool:
    a, b = checkpoint.read(first), checkpoint.read(second)
    return a.dtype == b.dtype and all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


def _is_flipped(name: str, base: Checkpoint, chosen: bool | None) -> bool:
    if chosen is not None:
        return chosen
    return base.config.get("model_type") in _CONV1D_MODELS and _CONV1D.search(name) is not None


def _pattern(text: str | None, name: str) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise ValueError(f"{name} must be a regular expression, got {text!r}: {error}.") from None


def _first(skipped: dict[str, str]) -> str:
    shown = [f"{name}: {reason}" for name, reason in list(skipped.items())[:3]]
    return "; ".join(shown) + ("; ..." if len(skipped) > 3 else "")
