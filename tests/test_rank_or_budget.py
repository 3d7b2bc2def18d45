"""A rank may stand for a budget; a budget that buys no rank says so; a share is at most the whole."""

import inspect
import json
import re

import numpy as np
import pytest
from command import run

import lowrank_blocks as lb

W = np.random.default_rng(0).standard_normal((12, 20))
TALL = np.random.default_rng(0).standard_normal((29, 3))  # of the same m + n
PARTS = lb.decompose(W, lb.Localized(2))
LAYERS = {"a": lb.decompose(W, lb.Global()), "b": lb.decompose(W[:7, :5], lb.Localized(1, 2))}
CALLS = {  # by budget or by rank; what they give, in plain values
    "approximate": lambda **b: facts(lb.approximate(W, lb.Localized(2), **b)),
    "uniform": lambda **b: facts(lb.approximate(W, lb.Localized(2), allocate=lb.uniform, **b)),
    "compare": lambda **b: lb.compare(W, [lb.Global(), lb.Localized(2)], **b),
    "compare best": lambda **b: lb.compare(TALL, [lb.Global()], best=True, **b),
    "best_partition": lambda **b: facts(lb.best_partition(W, max_depth=1, **b)),
    "at": lambda **b: lb.error_curve(W, lb.Localized(2)).at(**b),
    "within": lambda **b: facts(PARTS.within(**b)),
    "choose_ranks": lambda **b: PARTS.choose_ranks(**b).ranks.tolist(),
}


def facts(answer):
    return answer.ranks.tolist(), answer.n_parameters, answer.error, answer.budget


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("rank", [0, 1, np.int8(3), 10**20])
def test_a_rank_stands_for_the_budget_of_a_global_rank(call, rank):
    assert call(rank=rank) == call(budget=int(rank) * (12 + 20))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_exactly_one_of_both(call):
    with pytest.raises(TypeError, match=r"budget and rank must not both be given, got budget=64 and rank=2"):
        call(budget=64, rank=2)
    with pytest.raises(TypeError, match=r"budget must be a non-negative integer, .*rank=.*, got None"):
        call()
    with pytest.raises(TypeError, match=r"rank must be a non-negative integer, got 2\.0"):
        call(rank=2.0)
    with pytest.raises(ValueError, match=r"rank must be a non-negative integer, got -1"):
        call(rank=-1)
    with pytest.raises(TypeError, match=r"got the bool True"):
        call(rank=True)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_share_where_a_count_belongs_is_shown_the_call(call):
    with pytest.raises(TypeError, match=r"got 0\.25; .*lb\.fraction_budget\(dW\.shape, 0\.25\)"):
        call(budget=0.25)


def test_the_budget_may_still_come_third():
    parameters = list(inspect.signature(lb.approximate).parameters.values())

    assert [p.name for p in parameters] == [
        *("dW", "structure", "budget", "rank", "allocate"),
        *("row_weights", "col_weights"),
    ]
    assert parameters[3].kind is inspect.Parameter.KEYWORD_ONLY
    assert lb.approximate(W, lb.Global(), 64).n_parameters == 64


# Budgets that buy nothing.

SQUARE = np.random.default_rng(1).standard_normal((256, 256))
EIGHT = "budget 8 buys no rank: one unit of rank costs 512; rank_budget(dW.shape, 8) is 4096"


def test_a_rank_given_as_a_budget_is_told():
    best = lb.approximate(SQUARE, lb.Global(), 8)

    assert best.n_parameters == 0
    assert EIGHT in repr(best)
    assert best.note == EIGHT


NOTES = [  # structure, allocation, budget, note
    (lb.Global(), lb.adaptive, 511, "budget 511 buys no rank: one unit of rank costs 512"),
    (lb.Global(), lb.adaptive, 512, ""),
    (lb.Global(), lb.adaptive, 256, "one unit of rank costs 512; rank_budget(dW.shape, 256) is 131072"),
    (lb.Global(), lb.adaptive, 0, "budget 0 buys no rank: one unit of rank costs 512"),
    (lb.Localized(4), lb.adaptive, 127, "one unit of rank costs 128; rank_budget(dW.shape, 127) is 65024"),
    (lb.Localized(4), lb.adaptive, 128, ""),
    (lb.Localized(4), lb.uniform, 2047, "budget 2047 buys no rank: one unit of rank costs 2048"),
    (lb.Localized(4), lb.uniform, 2048, ""),
    (lb.Localized((0, 200, 256)), lb.adaptive, 111, "one unit of rank costs 112; rank_budget"),
    (lb.Localized((0, 200, 256)), lb.adaptive, 112, ""),
]


@pytest.mark.parametrize(("structure", "allocate", "budget", "note"), NOTES)
def test_notes_name_the_price_of_what_is_not_bought(structure, allocate, budget, note):
    for best in (
        lb.approximate(SQUARE, structure, budget, allocate=allocate),
        lb.decompose(SQUARE, structure).within(budget, allocate=allocate),
    ):
        assert best.ranks.any() == (note == "")
        assert (note in best.note) if note else best.note == ""
        assert ("buys no rank" in repr(best)) == (note != "")
        assert ("; rank_budget" in best.note) == (note != "" and 0 < budget <= 256)
        assert best.T.note == best.note


def test_zeros_that_are_not_bought_are_no_fault_of_the_budget():
    best = lb.approximate(np.zeros((256, 256)), lb.Global(), 4096)

    assert (best.n_parameters, best.note) == (0, "")
    assert lb.best_partition(np.zeros((8, 8)), 100).note == ""


def test_ranks_that_were_given_have_no_budget():
    given = PARTS.truncate([0, 0, 0, 0])

    assert (given.budget, given.note) == (None, "")


def test_the_best_partition_names_the_smallest_candidate():
    W = SQUARE[:64, :32]
    assert "budget 5 buys no rank: one unit of rank costs 6" in repr(lb.best_partition(W, 5, max_depth=4))
    found = lb.best_partition(W, 6, max_depth=4)
    assert (found.note, found.budget) == ("", 6)
    assert lb.best_partition(W, 10**9, max_depth=0).budget == 10**9
    assert found.n_parameters == 6


STRUCTURES = [lb.Global(), lb.DiagonalLocal(4), lb.Localized(4)]


def test_reports_name_the_rows_that_buy_nothing():
    report = lb.compare(SQUARE, STRUCTURES, 8)
    note = (
        "budget 8 buys no rank for Global() adaptive (one unit of rank costs 512), DiagonalLocal(4) uniform "
        "(512), DiagonalLocal(4) adaptive (128), Localized(4) uniform (2048), Localized(4) adaptive (128); "
        "rank_budget(dW.shape, 8) is 4096"
    )

    assert report.note == note
    assert report.to_text().splitlines()[-1] == note
    assert str(report).endswith(note)
    assert report.to_markdown().splitlines()[-1] == note
    assert note in report._repr_html_()
    assert json.loads(report.to_json())["note"] == note
    assert "buys" not in report.to_csv()  # a table for machines, and nothing else
    assert "buys no rank" in repr(report)
    many = lb.Report({"a": report, "b": lb.compare(SQUARE, STRUCTURES, 4096)})
    assert "1 of 2 budgets buy no rank in some rows" in many.summary.to_text()
    assert "1 of 2 budgets buy no rank in some rows" in many._repr_html_()
    assert lb.Report({"b": many.comparisons["b"]}).summary.note == ""
    assert note in many.to_text()
    assert note in many.to_markdown()
    assert json.loads(many.to_json())["matrices"]["a"]["note"] == note
    assert json.loads(many.to_json())["matrices"]["b"]["note"] == ""


def test_only_some_rows_buy_nothing():
    report = lb.compare(SQUARE, STRUCTURES, 600)

    assert report.note == "budget 600 buys no rank for Localized(4) uniform (one unit of rank costs 2048)"
    assert lb.compare(SQUARE, STRUCTURES, 4096).note == ""
    assert lb.compare(np.zeros((8, 8)), [lb.Global()], 64).note == ""
    best = lb.compare(SQUARE[:64, :64], [lb.Global()], 3, best=True)
    assert "Global() adaptive (one unit of rank costs 128), best partition adaptive (4)" in best.note


@pytest.mark.parametrize("form", ["text", "markdown", "json", "csv"])
def test_the_command_says_so(form, tmp_path, capsys):
    path = tmp_path / "dW.npy"
    np.save(path, SQUARE)

    assert run("compare", path, "--budget", 8, "--format", form) == 0

    out, err = capsys.readouterr()
    assert ("budget 8 buys no rank" in out) == (form != "csv")
    if form == "csv":
        assert err.startswith(f"lowrank-blocks: {path}: budget 8 buys no rank for Global() adaptive")
        assert err.count("\n") == 1
    else:
        assert err == ""


# Shares and errors above the whole.


@pytest.mark.parametrize("fraction", [1.0000001, 2, 25, 1e300, np.float32(1.5)])
def test_a_fraction_above_one_is_refused(fraction):
    text = re.escape(f"{float(fraction)}")
    with pytest.raises(ValueError, match=rf"fraction must be at most 1, .*, got {text}; .*fraction / 100"):
        lb.fraction_budget((10, 10), fraction)


def test_a_fraction_of_one_is_the_dense_count():
    assert lb.fraction_budget((10, 7), 1) == lb.fraction_budget((10, 7), 1.0) == 70


@pytest.mark.parametrize("error", [1.5, 6656, 1 + 2**-52])
def test_an_error_above_one_is_refused(error):
    curve = lb.error_curve(W, lb.Localized(2))
    with pytest.raises(ValueError, match=r"relative_error must be at most 1, .*; .*\.at\(.*\)"):
        curve.budget_for(error)
    assert curve.budget_for(1) == 0
