"""The families of adapters that every law is tried on. A new one is one line here.

An entry makes a family for the shapes that it fits. `exact` is what PEFT's own arithmetic keeps of an update:
1e-12 of the norm of the weight where it works in float64, 1e-6 where it goes through float32.
"""

from collections.abc import Callable
from dataclasses import dataclass

import lowrank_blocks as lb

P = lb.peft


@dataclass(frozen=True)
class Kind:
    name: str
    make: Callable[[int, int], P.Family]
    fits: Callable[[int, int], bool] = lambda m, n: True
    exact: float = 1e-12
    linear: bool = False  # in its numbers


def both(k):
    return lambda m, n: m % k == 0 and n % k == 0


KINDS = [
    Kind("lora", lambda m, n: P.LoRA(3)),
    Kind("lora of full rank", lambda m, n: P.LoRA(min(m, n))),
    Kind("rslora", lambda m, n: P.RsLoRA(3)),
    Kind("adalora", lambda m, n: P.AdaLoRA(3)),
    Kind("delora", lambda m, n: P.DeLoRA(4)),
    Kind("deft", lambda m, n: P.DEFT(3), exact=1e-6),
    Kind("para", lambda m, n: P.PaRa(3), exact=1e-6),
    Kind("gralora 2", lambda m, n: P.GraLoRA(4, k=2), both(2)),
    Kind("gralora 4", lambda m, n: P.GraLoRA(4, k=4), both(4)),
    Kind("bdlora A", lambda m, n: P.BDLoRA(6, k=3, side="A"), lambda m, n: n % 3 == 0),
    Kind("bdlora B", lambda m, n: P.BDLoRA(4, k=2, side="B"), lambda m, n: m % 2 == 0),
    Kind("melora", lambda m, n: P.MELoRA(k=2, r=2), both(2)),
    Kind("diablo", lambda m, n: P.DiaBlo(2), both(2), linear=True),
    Kind("kasa", lambda m, n: P.KaSA(3), exact=4e-6),  # PEFT: an SVD in float32, off by 16 sqrt(side) 2^-24
    Kind("osf", lambda m, n: P.OSF(3), exact=4e-6),  # the same
    Kind("psoft", lambda m, n: P.PSOFT(3), linear=True),
    Kind("ia3 rows", lambda m, n: P.IA3("rows"), linear=True),
    Kind("ia3 columns", lambda m, n: P.IA3("columns"), linear=True),
    Kind("glora vector", lambda m, n: P.GLoRA("vector"), linear=True),
    Kind("glora constant", lambda m, n: P.GLoRA("constant"), linear=True),
    Kind("road 1", lambda m, n: P.RoAd(1, group_size=4), lambda m, n: m % 4 == 0, linear=True),
    Kind("road 2", lambda m, n: P.RoAd(2, group_size=2), lambda m, n: m % 2 == 0, linear=True),
    Kind("road 4", lambda m, n: P.RoAd(4, group_size=4), lambda m, n: m % 4 == 0, linear=True),
    Kind("fourierft", lambda m, n: P.FourierFT(m * n // 3), exact=1e-6, linear=True),
    Kind("fourierft whole", lambda m, n: P.FourierFT(m * n, seed=1), exact=1e-6, linear=True),
    Kind("waveft", lambda m, n: P.WaveFT(m * n // 3), both(2), linear=True),
    Kind("vera", lambda m, n: P.VeRA(5), linear=True),
    Kind("randlora", lambda m, n: P.RandLoRA(3), linear=True),
    Kind("oft", lambda m, n: P.OFT(4), lambda m, n: n % 4 == 0),
    Kind("oft shared", lambda m, n: P.OFT(3, shared=True), lambda m, n: n % 3 == 0),
    Kind("boft", lambda m, n: P.BOFT(4), lambda m, n: n % 4 == 0),
    Kind("hra", lambda m, n: P.HRA(2)),
    Kind("hra 1", lambda m, n: P.HRA(1)),
    Kind("c3a", lambda m, n: P.C3A(4), both(4), exact=1e-6, linear=True),
    Kind("miss", lambda m, n: P.MiSS(4), linear=True),
    Kind("miss ragged", lambda m, n: P.MiSS(5), linear=True),
    Kind("miss mini", lambda m, n: P.MiSS(4, mini=2), lambda m, n: m % 2 == 0, linear=True),
    Kind("miss bat", lambda m, n: P.MiSSBat(4), both(4), linear=True),
    Kind("shira", lambda m, n: P.SHiRA(2)),
    Kind("lokr 1", lambda m, n: P.LoKr(1)),
    Kind("lokr", lambda m, n: P.LoKr(4), both(4)),
    Kind("loha", lambda m, n: P.LoHa(2)),
    Kind("loha 1", lambda m, n: P.LoHa(1)),
    Kind("dora", lambda m, n: P.DoRA(2)),
    Kind("hira", lambda m, n: P.HiRA(2)),
]
