"""All families, each at its largest setting within a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from math import gcd

from lowrank_blocks._validation import Shape
from lowrank_blocks.peft.checks import divisors
from lowrank_blocks.peft.deft import DEFT, PaRa
from lowrank_blocks.peft.delora import DeLoRA
from lowrank_blocks.peft.diagonal import DiaBlo, MELoRA
from lowrank_blocks.peft.dora import DoRA
from lowrank_blocks.peft.family import Family
from lowrank_blocks.peft.grids import BDLoRA, GraLoRA
from lowrank_blocks.peft.hira import HiRA
from lowrank_blocks.peft.hra import HRA
from lowrank_blocks.peft.loha import LoHa
from lowrank_blocks.peft.lokr import LoKr
from lowrank_blocks.peft.lowrank import AdaLoRA, LoRA, RsLoRA
from lowrank_blocks.peft.oft import BOFT, OFT
from lowrank_blocks.peft.projections import RandLoRA, VeRA
from lowrank_blocks.peft.road import RoAd
from lowrank_blocks.peft.scalings import IA3, GLoRA
from lowrank_blocks.peft.shira import SHiRA
from lowrank_blocks.peft.spectral import OSF, PSOFT, KaSA
from lowrank_blocks.peft.tied import C3A, MiSS, MiSSBat
from lowrank_blocks.peft.waves import FourierFT, WaveFT

Settings = Callable[[Shape, int], Iterable[Family]]


def largest(settings: Settings, shape: Shape, budget: int) -> Family | None:
    """Return the setting that fits a shape and has the most numbers within a budget; None if none does.

    Parameters
    ----------
    settings : callable
        ``(shape, budget) -> families``, the most telling first.
    shape : (int, int)
        Shape of the weight.
    budget : int
        Most numbers.
    """
    within = [f for f in settings(shape, budget) if f.n_parameters(shape) <= budget and _fits(f, shape)]
    return max(within, key=lambda f: f.n_parameters(shape), default=None)


def _fits(family: Family, shape: Shape) -> bool:
    try:
        family.check(shape)
    except ValueError:
        return False
    return True


def _ranks(make: Callable[[int], Family], step: int = 1) -> Settings:
    """Return the largest multiple of a step within the budget, for numbers that grow with it."""

    def settings(shape: Shape, budget: int) -> Iterable[Family]:
        low, high = 0, max(shape) * step
        while low < high:
            middle = (low + high + 1) // 2
            family = make(middle * step)
            fits = family.n_parameters(shape) <= budget and _fits(family, shape)
            low, high = (middle, high) if fits else (low, middle - 1)
        return [make(low * step)] if low else []

    return settings


def _divisors(make: Callable[[int], Family], least: int = 1) -> Settings:
    """Return a family for every common divisor of both sides."""
    return lambda shape, budget: [make(k) for k in divisors(gcd(*shape)) if k >= least]


def _of_columns(make: Callable[[int], Family]) -> Settings:
    """Return a family for every divisor of the columns from 2 on."""
    return lambda shape, budget: [make(k) for k in divisors(shape[1]) if k > 1]


def _only(*families: Family) -> Settings:
    return lambda shape, budget: families


def _places(make: Callable[[int], Family]) -> Settings:
    return lambda shape, budget: [make(min(budget, shape[0] * shape[1]))] if budget else []


def _vera(shape: Shape, budget: int) -> Iterable[Family]:
    """Return projections of at most full rank, which keeps what is drawn small."""
    r = min(budget - shape[0], *shape)
    return [VeRA(r)] if r > 0 else []


def _randlora(shape: Shape, budget: int) -> Iterable[Family]:
    return (RandLoRA(r) for r in range(1, min(shape) + 1))


def _mini(shape: Shape, budget: int) -> Iterable[Family]:
    """Return for all classes of rows as many of columns as the budget buys, those of like number first."""
    m, n = shape
    pairs = [(min(n, budget // mini), mini) for mini in divisors(m)[:-1] if mini <= budget]
    return [MiSS(r, mini=mini) for r, mini in sorted(pairs, key=lambda pair: abs(pair[0] - pair[1]))]


FAMILIES: tuple[type[Family], ...] = (
    LoRA, RsLoRA, AdaLoRA, DeLoRA, DEFT, PaRa, GraLoRA, BDLoRA, MELoRA, DiaBlo, KaSA, OSF, PSOFT, IA3, GLoRA,
    RoAd, FourierFT, WaveFT, VeRA, RandLoRA, OFT, BOFT, HRA, C3A, MiSS, MiSSBat, SHiRA, LoKr, LoHa, DoRA,
    HiRA,
)  # fmt: skip

ENTRIES: dict[str, Settings] = {
    "LoRA": _ranks(LoRA),
    "rsLoRA": _ranks(RsLoRA),
    "AdaLoRA": _ranks(AdaLoRA),
    "DeLoRA": _ranks(DeLoRA),
    "DEFT": _ranks(DEFT),
    "GraLoRA, k = 2": _ranks(partial(GraLoRA, k=2), 2),
    "GraLoRA, k = 4": _ranks(partial(GraLoRA, k=4), 4),
    "BD-LoRA, A": _ranks(partial(BDLoRA, k=4, side="A"), 4),
    "BD-LoRA, B": _ranks(partial(BDLoRA, k=4, side="B"), 4),
    "MELoRA": _ranks(partial(MELoRA, 4)),
    "DiaBlo": _divisors(DiaBlo, 2),
    "SHiRA": _ranks(SHiRA),
    "LoKr": _divisors(LoKr, 2),
    "C3A": _divisors(C3A),
    "MiSS": _ranks(MiSS),
    "MiSS mini": _mini,
    "MiSS bat": _divisors(MiSSBat),
    "FourierFT": _places(FourierFT),
    "WaveFT": _places(WaveFT),
    "IA3, rows": _only(IA3("rows")),
    "IA3, columns": _only(IA3("columns")),
    "RoAd 1": _only(RoAd(1)),
    "RoAd 2": _only(RoAd(2)),
    "RoAd 4": _only(RoAd(4)),
    "GLoRA, vectors": _only(GLoRA("vector")),
    "GLoRA, constants": _only(GLoRA("constant")),
    "OFT": _of_columns(OFT),
    "OFT, shared": _of_columns(partial(OFT, shared=True)),
    "BOFT": _of_columns(BOFT),
    "HRA": _ranks(HRA),
    "PaRa": _ranks(PaRa),
    "KaSA": _ranks(KaSA),
    "OSF": _ranks(OSF),
    "VeRA": _vera,
    "RandLoRA": _randlora,
    "LoHa": _ranks(LoHa),
    "DoRA": _ranks(DoRA),
    "HiRA": _ranks(HiRA),
}
