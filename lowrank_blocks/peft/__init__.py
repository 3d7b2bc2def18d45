"""Families of PEFT's adapters as values, and the member of each that is nearest to an update.

``lb.peft.LoRA(8).nearest(dW)`` is a `Fit` with its error, what is proved of it, and the tensors and fields
of a file that PEFT loads. Neither torch nor PEFT is needed.
"""

from lowrank_blocks.peft.claims import Claim
from lowrank_blocks.peft.deft import DEFT, PaRa
from lowrank_blocks.peft.delora import DeLoRA
from lowrank_blocks.peft.diagonal import DiaBlo, MELoRA
from lowrank_blocks.peft.dora import DoRA
from lowrank_blocks.peft.family import Family, Fit
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
from lowrank_blocks.peft.writing import write

__all__ = [
    "BOFT",
    "C3A",
    "DEFT",
    "HRA",
    "IA3",
    "OFT",
    "OSF",
    "PSOFT",
    "AdaLoRA",
    "BDLoRA",
    "Claim",
    "DeLoRA",
    "DiaBlo",
    "DoRA",
    "Family",
    "Fit",
    "FourierFT",
    "GLoRA",
    "GraLoRA",
    "HiRA",
    "KaSA",
    "LoHa",
    "LoKr",
    "LoRA",
    "MELoRA",
    "MiSS",
    "MiSSBat",
    "PaRa",
    "RandLoRA",
    "RoAd",
    "RsLoRA",
    "SHiRA",
    "VeRA",
    "WaveFT",
    "write",
]
