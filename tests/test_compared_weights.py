"""Checkpoints compared in the weighted norm: every way by the definition of both norms, and its reports."""

import csv
import io
import json
import math

import numpy as np
import pytest
from test_one_pass import sides, write_pair
from test_plans import checkpoints
from weighted_models import STRUCTURES, energy, small, weights_of_pair

import lowrank_blocks as lb
from lowrank_blocks.models.workers import processes
from lowrank_blocks.reports.page import to_page


def compared(seed=0, **options):
    """Return updates, their weights, and the comparison."""
    updates, weights, _ = small(seed)
    return (
        updates,
        weights,
        lb.compare_checkpoints(*checkpoints(updates), list(STRUCTURES), **{"rank": 1} | weights | options),
    )


@pytest.mark.parametrize("seed", range(4))
def test_every_way_has_its_errors_in_both_norms(seed):
    updates, weights, found = compared(seed)
    rows, cols = weights.values()
    for label, plan in found.plans.items():
        left, plain = {}, {}
        for name, dW in updates.items():
            own = {"row_weights": rows.get(name), "col_weights": cols.get(name)}
            X = lb.decompose(dW, plan.structures[name], **own).truncate(plan.block_ranks[name]).to_dense()
            left[name], plain[name] = energy(dW - X, *own.values()), energy(dW - X)
            norm = energy(dW, *own.values())
            assert found.norms[name] == pytest.approx(math.sqrt(norm), rel=1e-10)
            assert plan.relative_errors[name] == pytest.approx(math.sqrt(left[name] / norm), abs=1e-7)
            assert found.plain[label][name].relative_error == pytest.approx(
                math.sqrt(plain[name] / energy(dW)), abs=1e-7
            )
        total = sum(energy(dW, rows.get(name), cols.get(name)) for name, dW in updates.items())
        assert plan.relative_error == pytest.approx(math.sqrt(sum(left.values()) / total), abs=1e-7)
        whole = math.sqrt(sum(plain.values()) / sum(map(energy, updates.values())))
        assert found.plain_relative_error(label) == pytest.approx(whole, abs=1e-7)


def test_structures_without_a_closed_form_are_not_tried_alone():
    *_, found = compared()
    assert found.unfit == {"DiagonalLocal(2)": "m"}
    assert "DiagonalLocal(2), same rank" not in found.plans
    assert lb.DiagonalLocal(2) in compared(rank=None, budget=9)[2].plans["plan"].structures.values()


def test_the_plan_is_that_of_the_same_weights():
    updates, weights, found = compared()
    assert found.plans["plan"] == lb.plan(*checkpoints(updates), list(STRUCTURES), rank=1, **weights)


def test_constant_weights_change_the_unit_only():
    updates, *_ = small(0)
    plain = lb.compare_checkpoints(*checkpoints(updates), list(STRUCTURES), rank=1)
    ones = {name: np.full(len(dW), 4.0) for name, dW in updates.items()}
    found = lb.compare_checkpoints(*checkpoints(updates), list(STRUCTURES), rank=1, row_weights=ones)
    assert not plain.weighted
    assert plain.plain_relative_error("plan") is None
    for label, plan in found.plans.items():
        assert plan.relative_error == pytest.approx(plain.plans[label].relative_error, abs=1e-12)
        assert found.plain_relative_error(label) == pytest.approx(plan.relative_error, abs=1e-12)


def test_tables_say_the_norm_and_have_the_plain_error_beside_it():
    _, weights, found = compared()
    assert "budget 22 numbers, errors in the weighted norm" in found.to_text().splitlines()[0]
    assert "in the weighted norm" in repr(found)
    assert f"{found.plain_relative_error(found.best):.4g} in the plain one" in repr(found)
    document = json.loads(found.to_json())
    assert document["norm"] == "weighted"
    for way, label in zip(document["ways"], found.plans, strict=True):
        assert way["plain_relative_error"] == found.plain_relative_error(label)
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert {row["name"]: row["in_norm"] for row in rows} == {"v": "weighted", "m": "weighted", "p": "plain"}
    for row in rows:
        same = row["relative_error"] == row["plain_relative_error"]
        assert same == (row["name"] == "p" or float(row["relative_error"]) in (0, 1))
    markdown = found.to_markdown()
    assert markdown.count("plain_relative_error") == 2  # of the ways, and of the matrices of the best
    assert set(weights["row_weights"]) == {"v", "m"}


def test_pages_and_pictures_say_the_norm():
    *_, found = compared()
    page = to_page(found)
    assert "weighted, by weights of 2 of the 3 matrices" in page
    assert "of the weighted norm of all updates" in page
    assert ">relative error in the weighted norm</text>" in page
    assert page.count("plain relative error</") == 2
    assert lb.plot_model_curves(found).get_ylabel() == "relative error in the weighted norm"


def test_without_weights_nothing_is_said_of_them():
    updates, *_ = small(0)
    found = lb.compare_checkpoints(*checkpoints(updates), [lb.Global()], rank=1, row_weights={})
    texts = found.to_text(), found.to_csv(), found.to_markdown(), to_page(found), repr(found)
    assert not any("weighted" in text or "plain" in text for text in texts)
    assert json.loads(found.to_json())["norm"] == "Frobenius"


def test_workers_find_the_same(tmp_path):
    write_pair(tmp_path)
    options = {"rank": 2, **weights_of_pair()}
    alone = lb.compare_checkpoints(*sides(tmp_path), [lb.Global()], **options)
    with processes(2) as executor:
        together = lb.compare_checkpoints(*sides(tmp_path), [lb.Global()], executor=executor, **options)
    assert alone.to_json() == together.to_json()
