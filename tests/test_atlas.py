"""The atlas: all families at one budget, as a table, a picture and a command."""

import json

import numpy as np
import pytest

import lowrank_blocks as lb
from lowrank_blocks.peft.registry import ENTRIES, largest

P = lb.peft
SHAPES = [(12, 12), (8, 24), (24, 8), (9, 7), (1, 1), (2, 5)]


def pair(m, n):
    rng = np.random.default_rng([m, n])
    return rng.standard_normal((m, n)), rng.standard_normal((m, n))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    "budget", [7, 60, *(pytest.param(b, marks=pytest.mark.exhaustive) for b in (1, 1000))]
)
def test_rows_are_the_fits_within_the_budget(shape, budget):
    dW, W = pair(*shape)

    found = lb.atlas(dW, W, budget=budget)

    assert [row.relative_error for row in found.rows] == sorted(row.relative_error for row in found.rows)
    for row in found.rows:
        fit = eval(row.label, vars(P)).nearest(dW, base=W)
        assert row.n_parameters + row.slack == budget
        assert 0 < row.n_parameters == fit.n_parameters <= budget
        assert (row.error, row.guarantee) == (fit.error, fit.guarantee.value)
        assert row.gap is None if fit.lower_bound is None else row.gap >= 0
        assert row.file == ("none" if fit.family.unwritten else "as LoRA" if fit.family.packed else "PEFT")
    left = found.note.partition(": ")[2].split(", ") if found.note else []
    assert len(found.rows) + len([name for name in ENTRIES if name in found.note]) >= len(ENTRIES), left


def settings(name, shape):
    """Return all settings of some families by trying them."""
    makes = {
        "LoRA": [P.LoRA(r) for r in range(1, 40)],
        "GraLoRA, k = 2": [P.GraLoRA(r, k=2) for r in range(2, 40, 2)],
        "BD-LoRA, A": [P.BDLoRA(r, k=4) for r in range(4, 80, 4)],
        "C3A": [P.C3A(b) for b in range(1, 40)],
        "OFT": [P.OFT(b) for b in range(2, 40)],
        "RandLoRA": [P.RandLoRA(r) for r in range(1, 40)],
        "MiSS mini": [P.MiSS(r, mini=k) for r in range(1, 40) for k in range(1, shape[0])],
        "HRA": [P.HRA(r) for r in range(1, 40)],
        "FourierFT": [P.FourierFT(k) for k in range(1, 700)],
    }
    for family in makes[name]:
        try:
            family.check(shape)
        except ValueError:
            continue
        yield family


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    "name",
    ["LoRA", "GraLoRA, k = 2", "BD-LoRA, A", "C3A", "OFT", "RandLoRA", "MiSS mini", "HRA", "FourierFT"],
)
def test_the_largest_setting_is_taken(name, shape):
    for budget in (0, 1, 5, 20, 47, 100, 333, 10**6):
        within = [n for f in settings(name, shape) if (n := f.n_parameters(shape)) <= budget]
        found = largest(ENTRIES[name], shape, budget)
        assert (found is None) == (not within)
        assert found is None or found.n_parameters(shape) == max(within)


def test_without_the_base():
    dW, W = pair(12, 12)

    found, whole = lb.atlas(dW, rank=2), lb.atlas(dW, W, rank=2)

    assert {row.label for row in found.rows} < {row.label for row in whole.rows}
    assert all(not eval(row.label, vars(P)).needs_base for row in found.rows)
    assert "IA3, rows (needs base)" in found.note
    assert "needs base" not in whole.note


def test_it_is_a_comparison_in_every_form():
    dW, W = pair(12, 12)
    found = lb.atlas(dW, W, rank=2)

    assert isinstance(found, lb.Comparison)
    head = found.to_text().splitlines()[1].split()
    assert head[:3] == ["label", "n_parameters", "slack"]
    assert "file" in head
    assert "allocation" not in head
    records = json.loads(found.to_json())["rows"]
    assert [record["label"] for record in records] == [row.label for row in found.rows]
    assert {record["n_with_positions"] for record in records} == {None, 96}
    assert found.best.label in repr(found)
    assert "  " not in repr(found)
    assert len(found.to_csv().splitlines()) == len(found.rows) + 1


def test_planted_members_win():
    dW, W = pair(12, 12)
    for family in (P.C3A(4), P.LoKr(4), P.OFT(4), P.RoAd(2), P.GraLoRA(4, k=4)):
        planted = family.nearest(dW, base=W).to_dense()
        best = lb.atlas(planted, W, budget=family.n_parameters((12, 12))).best
        assert best.relative_error <= 1e-12
        assert family.n_parameters((12, 12)) >= best.n_parameters


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "budget must be a non-negative integer, or rank=8 stand in its place"),
        ({"budget": 0}, "budget must buy an adapter of some family, got 0"),
        ({"budget": 3, "rank": 1}, "must not both be given"),
        ({"base": np.eye(3), "rank": 1}, "base must have the shape of dW"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        lb.atlas(np.eye(4), **arguments)
