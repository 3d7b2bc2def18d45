"""The atlas as a page: what is in it, that nothing else is needed, and that no name can forge anything."""

import re

import numpy as np
import pytest
from html_pages import Read, rows_of
from models_of import HOSTILE

import lowrank_blocks as lb
from lowrank_blocks._escaping import printable
from lowrank_blocks._tables import show
from lowrank_blocks.reports.atlas_page import atlas_page

RNG = np.random.default_rng(0)
DW, W = RNG.standard_normal((12, 8)), RNG.standard_normal((12, 8))
ATLAS = lb.atlas(DW, W, rank=2)
CURVES = [lb.error_curve(DW, lb.Global())]
PAGE = atlas_page(ATLAS, curves=CURVES, title="One <update>", details={"update": "a & b"})


def models(*names):
    base = dict.fromkeys(names, W)
    return lb.atlas_checkpoints(base, {name: W + (k + 1) * DW for k, name in enumerate(names)}, rank=1)


MODEL = models("q.weight", "k.weight")


@pytest.mark.parametrize("page", [PAGE, atlas_page(MODEL)], ids=["one update", "a model"])
def test_nothing_is_loaded_and_only_one_script_may_run(page):
    read = Read(page)
    policy = read.of("meta", http_equiv="Content-Security-Policy")[0][1]["content"]

    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]+'$", policy)
    assert len(read.of("script")) == 1
    assert "//" not in page.replace("</", "")
    assert not re.search(r"url\(|@import|https?:|data:", page)
    assert "prefers-color-scheme: dark" in page
    for tag, attributes, *_ in read.found:
        assert not {"src", "href", "srcset", "action"} & attributes.keys(), tag
        assert not [name for name in attributes if name.startswith("on")], tag


def test_head():
    read = Read(PAGE)
    facts = dict(zip((e[2] for e in read.of("dt")), (e[2] for e in read.of("dd")), strict=True))

    assert read.of("title")[0][2] == read.of("h1")[0][2] == "One <update>"
    assert facts["matrix"] == f"12×8 of norm {np.linalg.norm(DW):.4g}"
    assert facts["budget"] == "40 of 96 numbers"
    assert facts["update"] == "a & b"
    best = min(ATLAS.rows, key=lambda row: row.relative_error)
    assert f"{best.label} has the least error: {show(best.relative_error)}" in read.of("body")[0][2]


def test_every_family_with_every_digit():
    rows = rows_of(Read(PAGE), {"id": "matrices"})

    assert len(rows) == len(ATLAS.rows)
    for cells, row in zip(rows, ATLAS.rows, strict=True):
        label, numbers, slack, error, gap, guarantee, file = cells
        assert (label[0], guarantee[0], file[0]) == (row.label, row.guarantee, row.file)
        assert (int(numbers[0]), int(slack[0])) == (row.n_parameters, row.slack)
        assert float(error[1]["title"]) == row.relative_error
        assert gap[0] == "" if row.gap is None else float(gap[1]["title"]) == row.gap


def test_rows_know_their_guarantee():
    read = Read(PAGE)
    options = {e[1]["value"]: e[2] for e in read.of("option")}
    chosen = [options[e[1]["data-way"]] for e in read.of("tr") if "data-way" in e[1]]

    assert chosen == [row.guarantee for row in ATLAS.rows]
    assert set(options.values()) == {"all", *chosen}


def test_every_family_has_a_mark_at_its_place():
    marks = Read(PAGE).of("path", **{"class": "found"})
    places = [tuple(map(float, e[1]["transform"][10:-1].split())) for e in marks]
    hints = [e[2] for e in Read(PAGE).of("title")]

    for (x, y), row in zip(places, ATLAS.rows, strict=True):
        assert (
            f"{row.label}: {row.n_parameters:,} numbers, relative error {show(row.relative_error)}" in hints
        )
        low, high = min(r.n_parameters for r in ATLAS.rows) / 2, 2 * ATLAS.budget
        assert x == pytest.approx(56 + 790 * np.log(row.n_parameters / low) / np.log(high / low), abs=0.1)
        assert y == pytest.approx(372 - min(row.relative_error, 1.05) / 1.05 * 322, abs=0.1)
    assert [hint for hint in hints if "Global()" in hint][-1].startswith(f"Global(): {2 * ATLAS.budget:,} ")
    assert "Global()" in [e[2].strip() for e in Read(PAGE).of("li")]


def test_model_lists_sums_and_every_matrix():
    read = Read(atlas_page(MODEL))
    sums, rows = rows_of(read, {}), rows_of(read, {"id": "matrices"})

    assert [[text for text, _ in row] for row in sums] == [[show(c) for c in row] for row in MODEL.table.rows]
    expected = [(name, row.label) for name, c in MODEL.comparisons.items() for row in c.rows]
    assert [(cells[0][0], cells[1][0]) for cells in rows] == expected
    assert [e[2] for e in read.of("option")] == ["all", "q.weight", "k.weight"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_wherever_they_stand(name):
    read = Read(atlas_page(models(name), title=name, details={name: name}))

    assert read.of("h1")[0][2] == read.of("title")[0][2] == read.of("dt")[-1][2] == printable(name)
    assert {cells[0][0] for cells in rows_of(read, {"id": "matrices"})} == {printable(name)}
    assert {e[0] for e in read.found} == {e[0] for e in Read(atlas_page(models("b" * 300))).found}


def test_same_atlas_same_bytes():
    assert atlas_page(lb.atlas(DW, W, rank=2), curves=CURVES) == atlas_page(ATLAS, curves=CURVES)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: atlas_page(3), "found must be what lb.atlas or lb.atlas_checkpoints returned, got 3"),
        (lambda: atlas_page(lb.compare(DW, [lb.Global()], 40)), "found must be what lb.atlas"),
        (lambda: atlas_page(ATLAS, title=3), "title must be a str, got 3"),
        (lambda: atlas_page(ATLAS, details={"a": 1}), "details must be a dict of str to str, got {'a': 1}"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(TypeError, match=message):
        call()
