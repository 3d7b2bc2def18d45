"""Routines of LAPACK by their addresses: which are used, and with what they are called."""

import ast
import ctypes
from pathlib import Path

import numpy as np
import pytest
from conftest import PUBLISHED
from scipy.linalg import cython_lapack

import lowrank_blocks as lb
from lowrank_blocks.linalg import addresses, lapack

D = "__pyx_t_5scipy_6linalg_13cython_lapack_d *"
DSTERF = f"void (int *, {D}, {D}, int *)"


def capsule(written, address):
    """Return what Cython publishes: an address, and how its signature is written."""
    make = ctypes.pythonapi.PyCapsule_New
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p] * 3
    capsule.kept.append(ctypes.create_string_buffer(written.encode()))  # it must outlive the capsule
    return make(address, ctypes.addressof(capsule.kept[-1]), None)


capsule.kept = []


@pytest.fixture
def publish(monkeypatch):
    """Publish a routine of Python as dsterf, with a signature."""

    def by(written):
        routine = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(lambda *_: None)
        capsule.kept.append(routine)
        published = {"dsterf": capsule(written, ctypes.cast(routine, ctypes.c_void_p))} if written else {}
        monkeypatch.setattr(cython_lapack, "__pyx_capi__", published)

    return by


def test_an_address_is_used_if_its_signature_is_literally_the_one_expected(publish):
    publish(DSTERF)
    assert PUBLISHED.__wrapped__("dsterf") is not None


@pytest.mark.parametrize(
    "written",
    [
        None,
        DSTERF.replace("int", "long"),
        DSTERF.replace("int", "int64_t"),
        DSTERF.replace("int *", "__pyx_t_5scipy_6linalg_13cython_lapack_blas_int *"),
        DSTERF.replace("void", "int"),
        DSTERF.replace("(int *, ", "("),
        DSTERF.replace("_d *", "_s *"),
        DSTERF.replace(")", ", size_t)"),
        DSTERF + " ",
    ],
)
def test_no_other_address_is_used(written, publish, monkeypatch):
    publish(written)
    monkeypatch.setattr(addresses, "published", PUBLISHED.__wrapped__)
    assert addresses.published("dsterf") is None
    found = lapack.tridiagonal_values(np.array([2.0, 2.0]), np.array([1.0]))
    np.testing.assert_allclose(found, [1, 3], rtol=1e-15)


def test_a_module_without_addresses(monkeypatch):
    monkeypatch.delattr(cython_lapack, "__pyx_capi__")
    assert PUBLISHED.__wrapped__("dsterf") is None


def test_signatures_are_written_as_cython_does():
    d = "__pyx_t_5scipy_6linalg_11cython_blas_d *"
    dsyrk = f"void (char *, char *, int *, int *, {d}, {d}, int *, {d}, {d}, int *)"
    assert addresses._signature("dsyrk", "scipy.linalg.cython_blas") == dsyrk.encode()
    assert addresses._signature("dsterf", "scipy.linalg.cython_lapack") == DSTERF.encode()


NUMBERS = np.zeros(6)


@pytest.mark.parametrize(
    ("kind", "argument"),
    [
        ("d", (NUMBERS, 7)),
        ("d", (NUMBERS[::2], 3)),
        ("d", (NUMBERS.reshape(2, 3).T, 6)),
        ("d", (NUMBERS.astype(np.float32), 6)),
        ("d", (NUMBERS.astype(">f8"), 6)),
        ("d", (np.frombuffer(NUMBERS.tobytes()), 6)),
        ("d", (np.frombuffer(bytearray(49), np.uint8)[1:].view(np.float64), 6)),
        ("d", (NUMBERS.astype(np.intc), 6)),
        ("i", (NUMBERS, 6)),
        ("i", (NUMBERS.astype(np.int64), 6)),
        ("i", 2**31),
        ("i", -(2**31) - 1),
        ("i", 1.0),
        ("d", 1),
        ("c", 1),
        ("c", "L"),
        ("i", b"L"),
    ],
)
def test_what_does_not_fit_an_argument_is_refused(kind, argument):
    with pytest.raises(TypeError, match="dsterf"):
        addresses._passed("dsterf", kind, argument)


@pytest.mark.parametrize(
    ("kind", "argument"),
    [
        ("d", (NUMBERS, 6)),
        ("d", (NUMBERS, 0)),
        ("i", (np.zeros(2, np.intc), 2)),
        ("i", 2**31 - 1),
        ("c", b"L"),
    ],
)
def test_what_fits_is_passed(kind, argument):
    passed = addresses._passed("dsterf", kind, argument)
    by_reference = getattr(passed, "_obj", None)
    expected = argument[0].ctypes.data if isinstance(argument, tuple) else argument
    assert (passed if by_reference is None else by_reference.value) == expected


def test_a_routine_for_every_item_of_a_stack(monkeypatch):
    monkeypatch.setattr(addresses, "published", PUBLISHED)
    values, rest = np.array([[2.0, 1.0], [5.0, 3.0], [1.0, 9.0]]), np.zeros((3, 1))
    assert addresses.each("dsterf", 3, 2, (values, 2), (rest, 1)) == 0
    assert values.tolist() == [[1, 2], [3, 5], [1, 9]]
    for length in (1, 3):
        with pytest.raises(TypeError, match=f"dsterf needs 3 items of {length} numbers, got shape"):
            addresses.each("dsterf", 3, 2, (values, length), (rest, 1))
    assert addresses.each("dpotrf", 2, b"U", 1, (np.array([[1.0], [-1.0]]), 1), 1) == 1


def test_a_routine_for_one_item_of_a_stack(monkeypatch):
    monkeypatch.setattr(addresses, "published", PUBLISHED)
    values, rest = np.array([[2.0, 1.0], [5.0, 3.0]]), np.zeros(1)
    run = addresses.prepared("dsterf", 2, 2, (values, 2), (rest, 1))
    assert run(1) == 0
    assert values.tolist() == [[2, 1], [3, 5]]
    for item in (-1, 2):
        with pytest.raises(IndexError, match=f"dsterf has items 0 to 1, got {item}"):
            run(item)
    assert run(0) == 0
    assert values.tolist() == [[1, 2], [3, 5]]


def test_no_other_module_calls_lapack():
    """Only norms and the name of the error are taken from numpy elsewhere."""
    for path in Path(lb.__file__).parent.rglob("*.py"):
        if path.name in ("addresses.py", "lapack.py", "reflections.py", "stacks.py"):
            continue
        tree = ast.parse(path.read_text())
        imports = {
            name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in [getattr(node, "module", None), *(alias.name for alias in node.names)]
        }
        used = {
            node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_linalg(node.value)
        }
        assert used <= {"norm", "LinAlgError"}, path
        assert (
            not {"ctypes", "numpy.linalg", "scipy.linalg", "scipy.linalg.lapack", "scipy.linalg.blas"}
            & imports
        )


def _is_linalg(node):
    return isinstance(node, ast.Attribute) and node.attr == "linalg"
