"""A comparison as a page: its contents, that it loads nothing else, and that no name can inject markup."""

import re
from collections import Counter

import numpy as np
import pytest
from html_pages import Read, rows_of
from models_of import HOSTILE, compared, layers

import lowrank_blocks as lb
from lowrank_blocks._escaping import printable
from lowrank_blocks._tables import show
from lowrank_blocks.reports._curve import curve_figure
from lowrank_blocks.reports._words import verdict
from lowrank_blocks.reports.modules import module_grid
from lowrank_blocks.reports.page import to_page

MODEL = compared(*layers(3))
PAGE = to_page(MODEL, title="A model", details={"command": "a <b> & 'c'", "versions": "1"})


def test_nothing_is_loaded_and_only_one_script_may_run():
    read = Read(PAGE)
    policy = read.of("meta", http_equiv="Content-Security-Policy")[0][1]["content"]

    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]+'$", policy)
    assert len(read.of("script")) == 1
    assert "//" not in PAGE.replace("</", "")
    assert not re.search(r"url\(|@import|https?:|data:", PAGE)
    for tag, attributes, *_ in read.found:
        assert not {"src", "href", "srcset", "action"} & attributes.keys(), tag
        assert not [name for name in attributes if name.startswith("on")], tag


def test_head():
    read = Read(PAGE)

    assert read.of("html")[0][1] == {"lang": "en"}
    assert read.of("title")[0][2] == read.of("h1")[0][2] == "A model"
    assert read.of("meta", name="viewport")
    facts = dict(
        zip((e[2] for e in read.of("dt")), (e[2] for e in read.of("dd")), strict=True),
    )
    assert facts["matrices"] == "6"
    assert facts["budget"] == "96 of 384 numbers, as rank 1 of Global() everywhere"
    assert (facts["command"], facts["versions"]) == ("a <b> & 'c'", "1")


def test_same_comparison_same_bytes():
    compared.cache_clear()
    again = compared(*layers(3))

    assert again is not MODEL
    assert to_page(again).encode() == to_page(MODEL).encode()


def test_every_matrix_in_every_way_with_every_digit():
    rows = rows_of(Read(PAGE), {"id": "matrices"})
    expected = MODEL.matrices.rows

    assert len(rows) == len(expected) == 6 * len(MODEL.plans)
    for row, cells in zip(rows, expected, strict=True):
        assert [text for text, _ in row] == [show(cell) for cell in cells]
        hints = [attributes.get("title") for _, attributes in row]
        for hint, cell in zip(hints, cells, strict=True):
            if isinstance(cell, float):
                assert float(hint) == cell
            elif isinstance(cell, tuple):
                assert tuple(map(int, hint.split())) == cell


def test_rows_know_their_way():
    rows = Read(PAGE).of("tr")
    ways = [int(attributes["data-way"]) for _, attributes, *_ in rows if "data-way" in attributes]
    options = {e[1]["value"]: e[2] for e in Read(PAGE).of("option")}

    assert ways == [k for k in range(len(MODEL.plans)) for _ in range(6)]
    assert options == {"": "all"} | {str(k): label for k, label in enumerate(MODEL.plans)}
    assert [e[2] for e in Read(PAGE).of("option") if "selected" in e[1]] == [MODEL.best]


def test_ways_are_the_table():
    ways = rows_of(Read(PAGE), {})[: len(MODEL.plans)]

    assert [[text for text, _ in row] for row in ways] == [[show(c) for c in row] for row in MODEL.table.rows]


def test_left_out_tensors_have_reasons():
    assert [[text for text, _ in row] for row in rows_of(Read(PAGE), {})[len(MODEL.plans) :]] == [
        ["norm.weight", MODEL.skipped["norm.weight"]]
    ]


def test_maps_say_in_text_who_wins_and_what_is_stored():
    rows = rows_of(Read(PAGE), {"class": "map"})
    codes = {"Global()": "G", "DiagonalLocal(2)": "D(2)", "Localized(2)": "L(2)"}
    best = MODEL.plans[MODEL.best]

    assert len(rows) == 6
    for k, (winners, ranks) in enumerate(zip(rows[:3], rows[3:], strict=True)):
        assert winners[0][0] == ranks[0][0] == str(k)
        for cell, rank, kind in zip(winners[1:], ranks[1:], ("attn.q", "mlp.up"), strict=True):
            name = f"model.layers.{k}.{kind}.weight"
            errors = {s: MODEL.plans[f"{s}, same rank"].relative_errors[name] for s in codes}
            least = min(errors.values())
            winners_here = " = ".join(codes[s] for s in codes if errors[s] < least + 1e-12)
            assert cell[0] == f"{winners_here}{least:.2f}"
            assert rank[0] == f"{best.stored[name] / 16:.4g}"
            assert name in cell[1]["title"]
            assert name in rank[1]["title"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_wherever_they_stand(name):
    found = compared(name, "b")
    read = Read(to_page(found, title=name, details={name: name}))
    harmless = "x.1.y" if re.search(r"\.\d\.", name) else "a"
    plain = Read(to_page(compared(harmless, "b"), title="a", details={"a": "a"}))

    assert Counter(e[0] for e in read.found) - Counter({"wbr": 99}) == Counter(
        e[0] for e in plain.found
    ) - Counter({"wbr": 99})
    assert [e[1].keys() - {"title"} for e in read.of("td")] == [
        e[1].keys() - {"title"} for e in plain.of("td")
    ]
    assert rows_of(read, {"id": "matrices"})[0][0][0] == printable(name)
    assert read.of("h1")[0][2] == read.of("title")[0][2] == printable(name)
    assert read.of("dt")[-1][2] == read.of("dd")[-1][2] == printable(name)


def test_curves_are_drawn_to_what_was_found():
    read = Read(curve_figure(MODEL))
    hints = [e[2] for e in read.of("title")]

    for label in ("Global(), ranks across", "Localized(2), ranks across", "plan"):
        found = MODEL.plans[label]
        assert (
            f"{label}: {found.n_parameters:,} numbers, relative error {show(found.relative_error)}" in hints
        )
    colours = [e[1]["stroke"] for e in read.of("g")]
    assert colours[:4] == ["#0072B2", "#009E73", "#D55E00", "currentColor"]
    assert "budget 96" in [e[2] for e in read.of("text")]
    numbers = [float(x) for e in read.of("path") for x in re.findall(r"-?[\d.]+", e[1]["d"])]
    assert 0 <= min(numbers) <= max(numbers) <= 860


def test_one_structure_and_updates_of_zero():
    zero = {"a": np.zeros((4, 4)), "b": np.zeros((4, 4))}
    moved = {"a": np.zeros((4, 4)), "b": np.ones((4, 4))}
    for tuned, structures in ((moved, [lb.Localized(2)]), (moved, [lb.Global()])):
        found = lb.compare_checkpoints(zero, tuned, structures, rank=1)
        Read(to_page(found))


@pytest.mark.parametrize("budget", [0, 1, 15])
def test_a_budget_that_buys_no_rank_says_so(budget):
    base, tuned = {"a": np.zeros((8, 8))}, {"a": np.eye(8)}
    found = lb.compare_checkpoints(base, tuned, [lb.Global()], budget=budget)

    assert found.table.note in Read(to_page(found)).of("body")[0][2]


def planted(*blocks):
    """Return checkpoints whose update is of rank 1 on each of 2×2 blocks named by (row, column)."""
    dW = np.zeros((8, 8))
    for i, j in blocks:
        dW[4 * i : 4 * i + 4, 4 * j : 4 * j + 4] = np.outer([1, 2, 3, 4], [4, 3, 2, 1 + i])
    return {"a": np.zeros((8, 8))}, {"a": dW}


def test_words_name_the_winner():
    structures = [lb.Global(), lb.DiagonalLocal(2)]
    diagonal = lb.compare_checkpoints(*planted((0, 0), (1, 1)), structures, rank=1)
    dense = {"a": np.zeros((8, 8))}, {"a": np.ones((8, 8))}
    whole = lb.compare_checkpoints(*dense, structures, rank=1)

    assert "DiagonalLocal(2) wins: less than 1e-12, 100 % less than Global()" in " ".join(verdict(diagonal))
    assert "Global() wins: less than 1e-12, 100 % less than DiagonalLocal(2)" in " ".join(verdict(whole))
    assert "No other single structure is better here than a global" in " ".join(verdict(whole))
    alone = lb.compare_checkpoints(*dense, [lb.DiagonalLocal(2), lb.Localized(2)], rank=1)
    assert "A global factorisation was not compared." in verdict(alone)


@pytest.mark.parametrize("seed", range(4))
def test_words_claim_no_more_than_the_guarantee(seed):
    found = compared(*layers(2), seed=seed)
    best = found.plans[found.best]
    proof = verdict(found)[1]

    assert f"({best.guarantee})" in proof
    assert ("gives a smaller error" in proof) == (best.guarantee == "optimal ranks")
    if best.guarantee == "greedy ranks":
        bound, gain = map(float, re.findall(r"below (\S+), so that at most (\S+) could", proof)[0])
        assert bound <= best.lower_bound < bound * 1.001
        assert gain >= best.gap


@pytest.mark.parametrize(
    ("names", "rows", "columns"),
    [
        (["q"], ("–",), ("q",)),
        (["h.0.q.weight"], ("0",), ("q.weight",)),
        (["h.2.q", "h.10.q", "h.2.k"], ("2", "10"), ("q", "k")),
        (["a.0.b", "0.a.b"], ("0",), ("a.*", "*.a")),
        (["m.l.0.x.weight", "m.head.weight"], ("0", "–"), ("l.*.x", "head")),
        (["h.1.e.0.up", "h.1.e.1.up"], ("1",), ("0", "1")),
        ([f"m{k}" for k in range(13)], tuple(f"m{k}" for k in range(13)), ("–",)),
        (["h." + "9" * 5000 + ".q"], ("–",), ("h." + "9" * 5000 + ".q",)),
    ],
)
def test_layers_and_kinds_are_read_from_names(names, rows, columns):
    grid = module_grid(names)

    assert (grid.rows, grid.columns) == (rows, columns)
    assert len(set(grid.places.values())) == len(names)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: to_page(3), "comparison must be what lb.compare_checkpoints returned, got 3"),
        (lambda: to_page(MODEL, title=3), "title must be a str, got 3"),
        (lambda: to_page(MODEL, details=["a"]), r"details must be a dict of str to str, got \['a'\]"),
        (lambda: to_page(MODEL, details={"a": 1}), "details must be a dict of str to str, got {'a': 1}"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(TypeError, match=message):
        call()
