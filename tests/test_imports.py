"""Importing the package is cheap: numpy and no other library."""

import subprocess
import sys


def imported(code):
    """Return the top-level names of all modules that a fresh interpreter imports."""
    command = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [
        line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")
    ]
    return {name.split(".")[0] for name in lines}


def test_import_loads_neither_scipy_nor_matplotlib_nor_pandas():
    names = imported("import lowrank_blocks")

    assert {"lowrank_blocks", "numpy"} <= names
    assert not names & {"scipy", "matplotlib", "pandas", "threadpoolctl"}


def test_scipy_is_loaded_where_it_is_asked_for():
    code = "import lowrank_blocks as lb; lb.approximate([[1.0]], lb.Global(), 2).to_linear_operator()"

    assert "scipy" in imported(code)
