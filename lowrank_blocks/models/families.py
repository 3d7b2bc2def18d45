"""Adapters of any family from two checkpoints, or from an adapter of another family."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lowrank_blocks._tables import Table
from lowrank_blocks._validation import Matrix
from lowrank_blocks.checkpoints.opening import Source, open_checkpoint
from lowrank_blocks.checkpoints.tensors import Checkpoint
from lowrank_blocks.checkpoints.updates import iter_updates, stored_weight
from lowrank_blocks.models.rest import is_embedding
from lowrank_blocks.peft.family import Family, Fit
from lowrank_blocks.peft.reading import read_adapter
from lowrank_blocks.peft.target import Target
from lowrank_blocks.peft.writing import Member, as_stored, require_conv1d, write_members

_COLUMNS = ("name", "n_parameters", "relative_error", "stored", "guarantee")


@dataclass(frozen=True, repr=False)
class FamilyExtraction:
    """An adapter of one family that was written, and what it misses.

    Attributes
    ----------
    path : Path
        The directory.
    family : Family
        The family with its setting.
    table : Table
        One row a matrix: its numbers, the relative error of the fit, that of the tensors as the file stores
        them, and what is proved.
    relative_error, stored : float
        The same of all matrices together.
    failed : dict of str to str
        Matrices that the family does not fit, with the reason.
    left_out : Table
        Tensors that no family is for, such as biases and embeddings, with the reason.
    """

    path: Path
    family: Family
    table: Table
    relative_error: float
    stored: float
    failed: Mapping[str, str]
    left_out: Table

    def __str__(self) -> str:
        return str(self.table)

    def __repr__(self) -> str:
        return (
            f"FamilyExtraction({self.family!r} in {self.path}, {len(self.table.rows)} matrices, "
            f"relative error {self.relative_error:.4g}, as stored {self.stored:.4g})"
        )


_Read = Callable[[str], tuple[Matrix, Matrix | None]]


@dataclass(frozen=True)
class _Wanted:
    """Updates with the weights that they are for, where these are known."""

    names: Iterable[str]
    read: _Read
    flipped: frozenset[str]
    left_out: Mapping[str, str]


def extract_family(
    base: Source,
    tuned: Source,
    out: str | os.PathLike[str],
    family: Family,
    *,
    dtype: str = "float32",
    base_model: str | None = None,
    include: str | None = None,
    exclude: str | None = None,
    fan_in_fan_out: bool | None = None,
) -> FamilyExtraction:
    """Write the difference of two checkpoints as the nearest adapter of a family.

    Parameters
    ----------
    base, tuned : path or dict of str to array_like
        Checkpoints before and after fine-tuning; see `open_checkpoint`.
    out : path
        The adapter directory.
    family : Family
        Such as ``lb.peft.OFT(8)``, with one setting for all matrices.
    dtype, base_model : optional
        As for `lb.peft.write`.
    include, exclude : optional
        Regular expressions that choose matrices by name. Those of embeddings are left out in any case.
    fan_in_fan_out : bool, optional
        Whether weights are stored as (in, out); see `iter_updates`. PEFT has not all families for those.

    Returns
    -------
    FamilyExtraction

    Raises
    ------
    TypeError, ValueError
        If `family` is none, no matrix fits, or as for `lb.peft.write`.

    Examples
    --------
    >>> import numpy as np, tempfile, lowrank_blocks as lb
    >>> base, tuned = {"query.weight": np.eye(4)}, {"query.weight": 3 * np.eye(4)}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lb.extract_family(base, tuned, folder, lb.peft.IA3("rows")).relative_error
    0.0
    """
    updates = iter_updates(base, tuned, include=include, exclude=exclude, fan_in_fan_out=fan_in_fan_out)
    updates = updates.without({name: "embedding" for name in updates.names if is_embedding(name)})

    def read(name: str) -> tuple[Matrix, Matrix | None]:
        return updates.read(name), updates.weight(name)

    wanted = _Wanted(updates.names, read, updates.flipped, updates.skipped)
    return _written(wanted, Path(out), family, dtype, base_model)


def convert(
    adapter: str | os.PathLike[str],
    out: str | os.PathLike[str],
    family: Family,
    *,
    base: Source | None = None,
    dtype: str = "float32",
    base_model: str | None = None,
) -> FamilyExtraction:
    """Write the nearest adapter of a family to an adapter of any family.

    Parameters
    ----------
    adapter : path
        An adapter directory of a family of `lowrank_blocks.peft`, as PEFT or `lb.peft.write` writes it.
    out : path
        The directory of the new adapter.
    family : Family
        Such as ``lb.peft.GraLoRA(8, k=2)``, with one setting for all matrices.
    base : path or dict of str to array_like, optional
        The checkpoint that the adapter is for. It is needed if what one of the families adds depends on the
        weight, or if the file does not tell its shape, as those of `SHiRA`, `MiSS`, `FourierFT`, `WaveFT`,
        `VeRA` and `RandLoRA` do not.
    dtype, base_model : optional
        As for `lb.peft.write`.

    Returns
    -------
    FamilyExtraction

    Raises
    ------
    TypeError, ValueError
        As for `extract_family`; or if a setting or a tensor of the adapter is not understood: the message
        names the file, the field and the value.

    Examples
    --------
    >>> import numpy as np, tempfile, lowrank_blocks as lb
    >>> fit = lb.peft.LoRA(2).nearest(np.diag([4.0, 0.0, 3.0, 0.0]))
    >>> with tempfile.TemporaryDirectory() as old, tempfile.TemporaryDirectory() as new:
    ...     _ = lb.peft.write(old, {"query.weight": fit})
    ...     round(lb.convert(old, new, lb.peft.GraLoRA(2, k=2)).relative_error, 6)
    0.0
    """
    weights = None if base is None else open_checkpoint(base)
    source = read_adapter(adapter, weights)

    def read(name: str) -> tuple[Matrix, Matrix | None]:
        weight = None if weights is None else _straight(weights, name, name in source.flipped)
        return source.update(name, weight), weight

    whole = dict.fromkeys(source.whole, "stored whole")
    wanted = _Wanted(source.members, read, source.flipped, whole)
    return _written(wanted, Path(out), family, dtype, base_model)


def _straight(checkpoint: Checkpoint, name: str, flipped: bool) -> Matrix:
    weight = stored_weight(checkpoint, name)
    return weight.T if flipped else weight


def _written(
    wanted: _Wanted, out: Path, family: Family, dtype: str, base_model: str | None
) -> FamilyExtraction:
    if not isinstance(family, Family):
        raise TypeError(f"family must be a family with its setting such as lb.peft.LoRA(8), got {family!r}.")
    family.require_format()
    members, lines, failed = {}, [], {}
    for name in wanted.names:
        try:
            if name in wanted.flipped:
                require_conv1d(family, name)
            target = Target.of(*wanted.read(name))
            fit = family.fitted(target)
        except ValueError as error:
            failed[name] = str(error)
            continue
        member = Member(family, fit.shape, as_stored(fit.tensors(), dtype))
        members[name] = member
        lines.append((name, fit, target.norm, member.error(target)))
    if not members:
        reason = next(iter(failed.values()), "there are none")
        raise ValueError(f"family must fit a matrix, got {family!r}: {reason}")
    write_members(out, members, base_model, flipped=not wanted.flipped.isdisjoint(members))
    return _summary(out, family, lines, failed, wanted.left_out)


def _summary(
    out: Path,
    family: Family,
    lines: list[tuple[str, Fit, float, float]],
    failed: Mapping[str, str],
    left_out: Mapping[str, str],
) -> FamilyExtraction:
    norm = math.hypot(*(n for *_, n, _ in lines)) or 1.0
    rows = tuple(
        (name, fit.n_parameters, fit.relative_error, error / (size or 1.0), fit.guarantee.value)
        for name, fit, size, error in lines
    )
    return FamilyExtraction(
        out,
        family,
        Table(_COLUMNS, rows, f"{family!r}, {len(rows)} matrices"),
        math.hypot(*(fit.error for _, fit, _, _ in lines)) / norm,
        math.hypot(*(error for *_, error in lines)) / norm,
        failed,
        Table(("name", "reason"), tuple(left_out.items())),
    )
