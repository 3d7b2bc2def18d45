"""What every family of adapters tells: how many numbers it has, and its nearest member."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, final

from numpy.typing import ArrayLike

from lowrank_blocks._results import ReadOnly
from lowrank_blocks._validation import Matrix, Shape, as_shape
from lowrank_blocks.peft.claims import Claim, Sizes, Solved, Tensors
from lowrank_blocks.peft.stored import Fields, Reading
from lowrank_blocks.peft.target import Target, norm_of


class Family(ABC):
    """A family of adapters with its settings; a small frozen value such as ``LoRA(8)``.

    Attributes
    ----------
    needs_base : bool
        Whether what it adds depends on the base weight.
    format : str
        What PEFT calls the format of its file.
    packed : bool
        Whether the format is that of another family, which stores more numbers than are counted.
    conv1d : bool
        Whether PEFT has the format for weights that are stored as (in, out), as GPT-2's Conv1D does.
    """

    needs_base: ClassVar[bool] = False
    format: ClassVar[str]
    packed: ClassVar[bool] = False
    conv1d: ClassVar[bool] = False
    unwritten: ClassVar[str] = ""  # why no file is written, where none is
    has_positions: ClassVar[bool] = False  # whether the values choose where the numbers stand
    fixed: ClassVar[tuple[str, ...]] = ()  # tensors that training leaves as they are

    @abstractmethod
    def n_parameters(self, shape: Shape) -> int:
        """Return how many numbers training would change on a weight of this shape."""

    @abstractmethod
    def check(self, shape: Shape) -> None:
        """Raise a ValueError if the settings do not fit a shape."""

    @abstractmethod
    def solve(self, target: Target) -> Solved:
        """Return the nearest member."""

    @abstractmethod
    def product(self, tensors: Tensors, target: Target) -> Matrix:
        """Return what PEFT adds to the weight for these tensors."""

    @abstractmethod
    def fields(self, shape: Shape) -> dict[str, Any]:
        """Return the fields of PEFT's configuration that are its own."""

    @final
    def nearest(self, dW: ArrayLike, base: ArrayLike | None = None) -> Fit:
        """Return the member nearest to an update in the Frobenius norm.

        Parameters
        ----------
        dW : (m, n) array_like
            The update that is wanted, output features first. Solved in float64.
        base : (m, n) array_like, optional
            The weight before the update; families that multiply it need it.

        Returns
        -------
        Fit

        Raises
        ------
        TypeError, ValueError
            If `dW` or `base` is no finite real matrix, `base` is missing where it is needed or has another
            shape, or the settings do not fit the shape.
        """
        return self.fitted(Target.of(dW, base))

    @final
    def fitted(self, target: Target) -> Fit:
        """Return the member nearest to a checked update; see `nearest`."""
        self.check(as_shape(target.shape))
        if self.needs_base and target.base is None:
            raise ValueError(
                f"base must be given for {self!r}, whose update depends on the weight: "
                "write .nearest(dW, base=W)."
            )
        solved = self.solve(target)
        dense = self.product(solved.tensors, target)
        error = norm_of(target.matrix - dense)
        if solved.claim is Claim.OPTIMAL:
            bound: float | None = error
        else:
            bound = None if solved.bound is None else min(solved.bound, error)
        for array in (dense, *solved.tensors.values()):
            array.flags.writeable = False
        return Fit(
            self,
            target.shape,
            error,
            _relative(error, target.norm),
            None if bound is None else _relative(bound, target.norm),
            self.n_parameters(target.shape),
            solved.claim,
            solved.tensors,
            dense,
        )

    @final
    def require_format(self) -> None:
        """Raise a ValueError if PEFT has no format for the family."""
        if self.unwritten:
            raise ValueError(f"{self!r} must have a format that PEFT loads: {self.unwritten}.")


class Readable(Family):
    """A family that is told from a file of PEFT.

    Attributes
    ----------
    reading : Reading
        How it is told, and which fields do not matter.
    any_rank : bool
        Whether `product` holds for files whose settings `check` refuses, such as ranks above the shape.
    """

    reading: ClassVar[Reading] = Reading()
    any_rank: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def of_fields(cls, fields: Fields) -> Self:
        """Return the family that a configuration is of: the inverse of `fields`, but for a scale."""

    @abstractmethod
    def tensor_shapes(self, shape: Shape) -> Sizes:
        """Return the shapes of the tensors of a file for a weight of this shape."""


class TellsShape(Readable):
    """A family whose tensors tell the shape of the weight."""

    @abstractmethod
    def shape_of(self, sizes: Sizes) -> Shape:
        """Return the shape of the weight, from the shapes of the tensors."""


@dataclass(frozen=True, eq=False, repr=False)
class Fit(ReadOnly):
    """The nearest adapter of a family; made by ``family.nearest(dW)``.

    Attributes
    ----------
    family : Family
        The family with its settings.
    shape : (int, int)
        Shape of the update.
    error : float
        ``||dW - X||_F``, computed from the tensors by the formula of PEFT.
    relative_error : float
        ``error / ||dW||_F``; for an update of zeros `error` itself.
    lower_bound : float or None
        No adapter of these settings has a smaller relative error, up to rounding; None if nothing is known.
    n_parameters : int
        Numbers that training would change; fixed projections and positions are not counted.
    guarantee : Claim
        What is proved.
    """

    family: Family
    shape: Shape
    error: float
    relative_error: float
    lower_bound: float | None
    n_parameters: int
    guarantee: Claim
    _tensors: Tensors = field(repr=False)
    _dense: Matrix = field(repr=False)

    def to_dense(self) -> Matrix:
        """Return what the adapter adds to the weight, an (m, n) matrix."""
        return self._dense.copy()

    def tensors(self) -> Tensors:
        """Return the tensors of PEFT's file by the ends of their keys, in float64.

        Keys that begin with ``base_model.`` are whole: such tensors belong to all modules together.

        Raises
        ------
        ValueError
            If PEFT has no format for the family.
        """
        self.family.require_format()
        return {name: tensor.copy() for name, tensor in self._tensors.items()}

    def config(self) -> dict[str, Any]:
        """Return the fields of PEFT's configuration that belong to the family.

        Raises
        ------
        ValueError
            If PEFT has no format for the family.
        """
        self.family.require_format()
        return self.family.fields(self.shape)

    def __repr__(self) -> str:
        m, n = self.shape
        return (
            f"Fit({self.family!r} to a {m}×{n} matrix, {self.n_parameters} parameters, "
            f"relative error {self.relative_error:.4g}, {self.guarantee.value})"
        )


def _relative(error: float, norm: float) -> float:
    return error / (norm or 1.0)
