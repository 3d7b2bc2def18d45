"""Importing the package is cheap: numpy and no other library."""

import ast
import importlib
import inspect
import subprocess
import sys

import pytest

import lowrank_blocks as lb


def imported(code):
    """Return the top-level names of all modules that a fresh interpreter imports."""
    command = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [
        line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")
    ]
    return {name.split(".")[0] for name in lines}


OTHERS = {"scipy", "matplotlib", "pandas", "threadpoolctl", "tqdm"}


def test_import_loads_neither_scipy_nor_matplotlib_nor_pandas():
    assert not imported("import lowrank_blocks") & OTHERS


def test_all_names_need_numpy_only():
    names = imported("from lowrank_blocks import *")

    assert {"lowrank_blocks", "numpy"} <= names
    assert not names & OTHERS


def test_names_for_type_checkers_are_the_names_at_run_time():
    tree = ast.parse(inspect.getsource(lb))
    branch = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {(alias.name, node.module) for node in branch.body for alias in node.names}

    assert {name for name, _ in typed} == set(lb.__all__)
    for name, module in typed - {("synthetic", "lowrank_blocks")}:
        assert getattr(lb, name) is getattr(importlib.import_module(module), name)
    assert lb.synthetic is importlib.import_module("lowrank_blocks.datasets.synthetic")
    assert set(lb.__all__) <= set(dir(lb))


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'lowrank_blocks' has no attribute 'lora'"):
        _ = lb.lora


def test_scipy_is_loaded_where_it_is_asked_for():
    code = "import lowrank_blocks as lb; lb.approximate([[1.0]], lb.Global(), 2).to_linear_operator()"

    assert "scipy" in imported(code)
