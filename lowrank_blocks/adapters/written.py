"""What was written: the ledger of an adapter directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lowrank_blocks._tables import Cell, Table


@dataclass(frozen=True)
class WrittenMatrix:
    """One matrix of an adapter directory.

    Attributes
    ----------
    name : str
        Its tensor in the base checkpoint.
    module : str
        The module that PEFT adapts.
    structure : str
        Where its blocks are, as the structure prints.
    shape : (int, int)
        Its shape, output features first.
    rank : int
        The r of the module.
    n_parameters : int
        Numbers that its approximation stores.
    stored : int
        Numbers that its tensors in the file hold.
    norm : float
        Frobenius norm of the update.
    error : float
        Frobenius error of the approximation.
    rounding : float
        How far rounding to the type of the file moved the approximation, in the Frobenius norm.
    error_bound : float
        Bound on the Frobenius error of what is stored: `error`, what is certified of it, and
        `rounding` added up.
    weighted_error : float or None
        Relative error in the weighted norm, of what is best in one; all others are in the plain norm.
    """

    name: str
    module: str
    structure: str
    shape: tuple[int, int]
    rank: int
    n_parameters: int
    stored: int
    norm: float
    error: float
    rounding: float
    error_bound: float
    weighted_error: float | None = None

    @property
    def padded(self) -> int:
        """Numbers in the file beyond those of the approximation: zeros that fill up; negative for fewer."""
        return self.stored - self.n_parameters

    @property
    def relative_error(self) -> float:
        """Relative error of the approximation."""
        return self.error / self.norm if self.norm else 0.0

    @property
    def relative_bound(self) -> float:
        """Bound on the relative error of what is stored."""
        return self.error_bound / self.norm if self.norm else 0.0


@dataclass(frozen=True, repr=False)
class WrittenAdapter:
    """An adapter directory and what it stores; made by `write_adapter`.

    It prints as a table, one row a matrix, and shows as one in a notebook.

    Attributes
    ----------
    format : str
        ``"lora"``, ``"gralora"`` or ``"bdlora"``.
    path : Path
        The directory.
    dtype : str
        Type of the factors in the file.
    matrices : tuple of WrittenMatrix
        Those that are stored, in the order in which they were given.
    left_out : tuple of str
        Those of rank 0, which the adapter does not touch.
    rest : tuple of str
        Whole tensors that the adapter replaces.
    rest_numbers : int
        Numbers in these.
    """

    format: str
    path: Path
    dtype: str
    matrices: tuple[WrittenMatrix, ...]
    left_out: tuple[str, ...]
    rest: tuple[str, ...]
    rest_numbers: int

    @property
    def n_parameters(self) -> int:
        """Numbers that all approximations store."""
        return sum(matrix.n_parameters for matrix in self.matrices)

    @property
    def stored(self) -> int:
        """Numbers that the factors in the file hold; those of `rest` are not counted."""
        return sum(matrix.stored for matrix in self.matrices)

    @property
    def padded(self) -> int:
        """Numbers in the file beyond those of the approximations."""
        return self.stored - self.n_parameters

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the directory that were written."""
        return tuple(self.path / name for name in FILES)

    @property
    def table(self) -> Table:
        """The matrices as a `Table`."""
        columns: tuple[str, ...] = (
            "name",
            "rank",
            "n_parameters",
            "stored",
            "padded",
            "relative_error",
            "rounding",
            "bound",
        )
        rows: tuple[tuple[Cell, ...], ...] = tuple(
            (
                m.name,
                m.rank,
                m.n_parameters,
                m.stored,
                m.padded,
                m.relative_error,
                m.rounding,
                m.relative_bound,
            )
            for m in self.matrices
        )
        if any(m.weighted_error is not None for m in self.matrices):
            columns = (*columns, "weighted_error")
            rows = tuple((*row, m.weighted_error) for row, m in zip(rows, self.matrices, strict=True))
        left = f"rank 0, left out: {', '.join(self.left_out)}" if self.left_out else ""
        return Table(columns, rows, self._summary, left)

    def to_record(self) -> dict[str, Any]:
        """Return all of it, ready for JSON; the path is not part of it."""
        return {
            "dtype": self.dtype,
            "format": self.format,
            "left_out": list(self.left_out),
            "matrices": [_record(matrix) for matrix in self.matrices],
            "n_parameters": self.n_parameters,
            "padded": self.padded,
            "rest": list(self.rest),
            "rest_numbers": self.rest_numbers,
            "stored": self.stored,
        }

    @property
    def _summary(self) -> str:
        count = len(self.matrices)
        return (
            f"{self.format}, {count} {'matrix' if count == 1 else 'matrices'} in {self.dtype}, "
            f"{self.stored} numbers stored for {self.n_parameters}"
        )

    def __repr__(self) -> str:
        return f"WrittenAdapter({self._summary})"

    def __str__(self) -> str:
        return str(self.table)

    def _repr_html_(self) -> str:
        return self.table.short().to_html()


CONFIG, TENSORS, CARD, RECORD = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "README.md",
    "lowrank_blocks.json",
)
FILES = (CONFIG, TENSORS, CARD, RECORD)


def _record(matrix: WrittenMatrix) -> dict[str, Any]:
    derived = ("padded", "relative_error", "relative_bound")
    stored = {name: value for name, value in vars(matrix).items() if value is not None}
    return stored | {"shape": list(matrix.shape)} | {name: getattr(matrix, name) for name in derived}
