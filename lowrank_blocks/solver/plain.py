"""Errors in the plain norm of what is best in a weighted one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plain:
    """Errors in the plain Frobenius norm of what is best in a weighted one.

    Attributes
    ----------
    error : float
        ``||dW - X||_F``.
    norm : float
        ``||dW||_F``.
    bound : float
        How far rounding can have moved `error`.
    """

    error: float
    norm: float
    bound: float = 0.0

    @property
    def relative_error(self) -> float:
        """``error / norm``; 0 for a matrix of zeros."""
        return self.error / self.norm if self.norm else 0.0


def in_norms(plain: float | None) -> str:
    """Return what follows an error in a sentence: its norm and the plain error; nothing without weights."""
    return "" if plain is None else f" in the weighted norm, {plain:.4g} in the plain one"
