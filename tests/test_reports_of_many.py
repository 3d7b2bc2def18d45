"""Reports of many matrices, and the summary over all."""

import csv
import io
import math

import numpy as np
import pytest
from parsing import from_csv, strict
from registry import GENERIC

import lowrank_blocks as lb

STRUCTURES = [lb.Global(), lb.DiagonalLocal(2), lb.Localized(2)]


def many():
    matrices = {
        "ragged": GENERIC["ragged"],
        "tall": GENERIC["tall"],
        "eye": np.eye(8),
        "zeros": np.zeros((4, 4)),
    }
    return lb.Report({name: lb.compare(dW, STRUCTURES, dW.size // 2) for name, dW in matrices.items()})


def test_the_summary_adds_up():
    report = many()
    summary, lists = report.summary.to_records(), [c.rows for c in report.comparisons.values()]
    norm = math.sqrt(sum(c.norm**2 for c in report.comparisons.values()))

    assert len(summary) == 5
    for k, line in enumerate(summary):
        same = [rows[k] for rows in lists]
        assert {(r.label, r.allocation) for r in same} == {(line["label"], line["allocation"])}
        assert line["n_parameters"] == sum(r.n_parameters for r in same)
        assert line["relative_error"] == pytest.approx(
            math.sqrt(sum(r.error**2 for r in same)) / norm, rel=1e-13
        )
        assert line["times_best"] == sum(
            c.best == r for c, r in zip(report.comparisons.values(), same, strict=True)
        )
    assert sum(line["times_best"] for line in summary) == 4


def test_the_summary_of_zeros():
    report = lb.Report({"zeros": lb.compare(np.zeros((4, 4)), STRUCTURES, 8)})

    assert [line["relative_error"] for line in report.summary.to_records()] == [0] * 5
    assert report.summary.title == "1 matrix, summary"


def test_a_report_holds_every_comparison_in_every_form():
    report = many()
    text, markdown = report.to_text(), report.to_markdown()
    records = list(csv.DictReader(io.StringIO(report.to_csv())))
    document = strict(report.to_json())

    for name, one in report.comparisons.items():
        assert f"{name}: {one.to_text()}" in text
        assert f"## {name}\n\n{one.to_markdown()}" in markdown
        assert tuple(from_csv(r) for r in records if r["matrix"] == name) == one.rows
        assert document["matrices"][name] == strict(one.to_json())
    assert text.endswith(report.summary.to_text())
    assert markdown.endswith(f"## Summary\n\n{report.summary.to_markdown()}")
    assert document["summary"] == report.summary.to_records()
    assert str(report) == text.rstrip("\n")
    assert len(records) == 20


def test_comparisons_that_differ_are_refused():
    one, two = lb.compare(np.eye(4), STRUCTURES, 8), lb.compare(np.eye(4), STRUCTURES[:2], 8)

    with pytest.raises(ValueError, match="comparisons must have the same structures and allocations, got"):
        lb.Report({"one": one, "two": two})
    with pytest.raises(TypeError, match=r"comparisons\['one'\] must be .*what lb\.compare returned.*, got 3"):
        lb.Report({"one": 3})
    with pytest.raises(ValueError, match="comparisons must hold at least one comparison, got none"):
        lb.Report({})


def test_its_representation_names_the_matrices():
    assert repr(many()) == "Report(4 matrices: ragged, tall, eye, zeros)"
