"""One thread, since small matrices only queue for more; and the profiles of hypothesis.

They are seeded, so that a run can be repeated, and have no deadlines, which would time the machine.
"""

import os
import sys

import numpy as np  # noqa: F401  (its threads are limited next)
import oracles
import pytest
from hypothesis import Phase, settings
from threadpoolctl import threadpool_limits

from lowrank_blocks.linalg import (
    addresses,
    factors,
    gram,
    krylov,
    lapack,
    leading,
    levels,
    projection,
    small,
    values,
)
from lowrank_blocks.linalg import svd as long_blocks

threadpool_limits(1)
os.environ.pop(
    "PYTHONDONTWRITEBYTECODE", None
)  # or each process that a test starts compiles the package anew

PUBLISHED = addresses.published


def pytest_addoption(parser):
    parser.addoption(
        "--small-crossovers",
        action="store_true",
        help="let small matrices take every fast path of the kernel",
    )
    parser.addoption(
        "--lapack-wrappers",
        action="store_true",
        help="call LAPACK by scipy's wrappers, as where scipy publishes no addresses that fit",
    )


SMALL_CROSSOVERS = {  # so that matrices of a few rows take every fast path
    levels: {
        "GRAM_SQUARE": 2,
        "GRAM_WIDE": 2,
        "GRAM_FROM": 4,
        "DOMINANT_FROM": 4,
        "_SAMPLE": 4,
        "_DOMINANT": 2,
    },
    values: {"LEVELS_FROM": 3, "_ALONE_FROM": 6, "_SAMPLED": 4},
    leading: {"SVD_BELOW": 2, "LANCZOS_FROM": 6, "LANCZOS_SHARE": 3},
    krylov: {"_FIRST_LOOK": 1, "_width": lambda rank: 1},
    factors: {"STACKED_BELOW": 20, "GRAM_BELOW": 40},
    small: {"STACK_FROM": 2, "STACK_SHARE": 1},
    gram: {"_PANEL": 4, "_TALL_PANEL": 4, "_SLAB": 20},
    projection: {"_PANEL": 4},
    long_blocks: {"_PANEL": 4, "_SHARE": 2},
}


@pytest.fixture(autouse=True, scope="session")
def _small_crossovers(pytestconfig):
    with pytest.MonkeyPatch.context() as patch:
        if pytestconfig.getoption("--small-crossovers"):
            for module, settings_of in SMALL_CROSSOVERS.items():
                for name, value in settings_of.items():
                    patch.setattr(module, name, value)
            patch.setattr(oracles, "promised", 1e-10)
        yield


@pytest.fixture(autouse=True, scope="session")
def _wrappers_only(pytestconfig):
    with pytest.MonkeyPatch.context() as patch:
        if pytestconfig.getoption("--lapack-wrappers"):
            patch.setattr(addresses, "published", lambda name: None)
        yield


@pytest.fixture(params=["address", "wrappers"])
def lapack_route(request, monkeypatch):
    """Both ways to LAPACK, one after the other, and neither of them in place of the other."""
    if request.param == "wrappers":
        monkeypatch.setattr(addresses, "published", lambda name: None)
        return
    if not all(map(PUBLISHED, addresses.SIGNATURES)):
        pytest.skip("scipy publishes other signatures here")
    monkeypatch.setattr(addresses, "published", PUBLISHED)
    monkeypatch.setattr(lapack, "_wrappers", None)


settings.register_profile("telling", deadline=None, derandomize=True, max_examples=25)
settings.register_profile("exhaustive", parent=settings.get_profile("telling"), max_examples=100)
settings.register_profile(
    "unshrunk", parent=settings.get_profile("telling"), phases=[Phase.explicit, Phase.generate]
)  # for tests/tools/mutants.py, which asks only whether a test fails
settings.load_profile("telling")


def pytest_configure(config):
    if config.getoption("-m") == "exhaustive":
        settings.load_profile("exhaustive")
    import registry  # after the profile, by which it counts

    registry.all_telling = config.getoption("--small-crossovers")


@pytest.fixture(autouse=True)
def _close_figures():
    """Leave no figure open for the next test, whichever that is."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
