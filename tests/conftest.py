"""One thread, since small matrices only queue for more; and one hypothesis profile.

The profile is seeded, so that a run can be repeated, and has no deadlines, which would time the machine.
"""

import sys

import numpy as np  # noqa: F401  (its threads are limited next)
import pytest
from hypothesis import settings
from threadpoolctl import threadpool_limits

threadpool_limits(1)

settings.register_profile("lowrank_blocks", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("lowrank_blocks")


@pytest.fixture(autouse=True)
def _close_figures():
    """Leave no figure open for the next test, whichever that is."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
