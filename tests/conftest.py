"""One thread, since small matrices only queue for more; and the profiles of hypothesis.

They are seeded, so that a run can be repeated, and have no deadlines, which would time the machine.
"""

import sys

import numpy as np  # noqa: F401  (its threads are limited next)
import pytest
from hypothesis import Phase, settings
from threadpoolctl import threadpool_limits

from lowrank_blocks.linalg import lapack

threadpool_limits(1)

PUBLISHED = lapack._published


def pytest_addoption(parser):
    parser.addoption(
        "--lapack-wrappers",
        action="store_true",
        help="call LAPACK by scipy's wrappers, as where scipy publishes no addresses that fit",
    )


@pytest.fixture(autouse=True, scope="session")
def _wrappers_only(pytestconfig):
    with pytest.MonkeyPatch.context() as patch:
        if pytestconfig.getoption("--lapack-wrappers"):
            patch.setattr(lapack, "_published", lambda name: None)
        yield


@pytest.fixture(params=["address", "wrappers"])
def lapack_route(request, monkeypatch):
    """Both ways to LAPACK, one after the other, and neither of them in place of the other."""
    if request.param == "wrappers":
        monkeypatch.setattr(lapack, "_published", lambda name: None)
        return
    if not all(map(PUBLISHED, lapack._SIGNATURES)):
        pytest.skip("scipy publishes other signatures here")
    monkeypatch.setattr(lapack, "_published", PUBLISHED)
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


@pytest.fixture(autouse=True)
def _close_figures():
    """Leave no figure open for the next test, whichever that is."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
