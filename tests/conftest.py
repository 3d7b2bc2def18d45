"""One thread, since small matrices only queue for more; and the profiles of hypothesis.

They are seeded, so that a run can be repeated, and have no deadlines, which would time the machine.
"""

import os
import sys

import numpy as np  # noqa: F401  (its threads are limited next)
import oracles
import pytest
from hypothesis import Phase, settings
from small_crossovers import SMALL_CROSSOVERS
from threadpoolctl import threadpool_limits

from lowrank_blocks.linalg import addresses, lapack, reflections

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


@pytest.fixture(autouse=True, scope="session")
def _small_crossovers(pytestconfig):
    with pytest.MonkeyPatch.context() as patch:
        if pytestconfig.getoption("--small-crossovers"):
            for module, name, value in SMALL_CROSSOVERS:
                patch.setattr(module, name, value)
            patch.setattr(oracles, "promised", 1e-10)
            patch.setattr(oracles, "promised_narrow", 1e-8)
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
    for module in (lapack, reflections):
        monkeypatch.setattr(module, "wrappers", None)


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
