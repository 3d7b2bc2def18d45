"""The table of tolerances in the documentation is the code's."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import lowrank_blocks

PAGE = Path(__file__).parents[1] / "docs" / "tolerances.md"
LARGEST = 1e-3  # a smaller constant stands for rounding, noise or a promise

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not part of the wheel")


def in_code():
    """Return all small constants of all modules."""
    found = {}
    for module in pkgutil.walk_packages(lowrank_blocks.__path__, "lowrank_blocks."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if re.fullmatch(r"_?[A-Z][A-Z_]*", name) and isinstance(value, float) and 0 < value < LARGEST:
                found.setdefault((name, value), []).append(module.name.removeprefix("lowrank_blocks."))
    return found


def in_table():
    rows = re.findall(r"^\| `([\w.]+)` \| `(\w+)` \| ([\d.e-]+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    return {(module, name): (value, reason) for module, name, value, reason in rows}


def test_every_tolerance_is_in_the_table_with_its_value_and_a_reason():
    table, code = in_table(), in_code()
    for (name, value), modules in code.items():
        homes = [module for module in modules if (module, name) in table]
        assert homes, f"{name} = {value} of {modules} is not in docs/tolerances.md"
        assert any(table[home, name][0] == f"{value:.3g}" for home in homes)
    assert len(table) >= len(code) >= 15
    assert all(len(reason) > 20 for _, reason in table.values())


def test_the_table_names_nothing_that_is_gone():
    for module, name in in_table():
        assert hasattr(importlib.import_module(f"lowrank_blocks.{module}"), name)
