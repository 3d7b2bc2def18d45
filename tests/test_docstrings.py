"""Every example in a docstring gives what it shows."""

import doctest
import importlib
import pkgutil

import pytest

import lowrank_blocks as lb

MODULES = sorted(
    m.name for m in pkgutil.walk_packages(lb.__path__, "lowrank_blocks.") if "__main__" not in m.name
)


@pytest.mark.parametrize("name", ["lowrank_blocks", *MODULES])
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name))

    assert result.failed == 0


def test_there_are_examples_to_run():
    tests = [
        test
        for name in MODULES
        for test in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name))
        if test.examples
    ]

    assert len(tests) >= 10


@pytest.mark.parametrize("name", lb.__all__)
def test_public_names_are_documented(name):
    assert getattr(lb, name).__doc__.strip()
