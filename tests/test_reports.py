"""Reports say the same in every form, to the last digit where a machine reads."""

import csv
import io
import sys
from dataclasses import asdict, fields
from types import SimpleNamespace

import numpy as np
import pytest
from parsing import Cells, from_csv, strict
from registry import GENERIC, KINDS, SMALL, each

import lowrank_blocks as lb
from lowrank_blocks._tables import show

COLUMNS = [
    "label",
    "allocation",
    "ranks",
    "n_parameters",
    "slack",
    "error",
    "relative_error",
    "captured",
    "guarantee",
    "gap",
    "partition",
    "n_with_positions",
    "plain_relative_error",
    "file",
]
SHOWN = COLUMNS[:-4]  # to people: no row is a best partition, or has positions
STRUCTURES = [lb.Global(), lb.DiagonalLocal(2), lb.Localized(2)]


def example(scale=1.0):
    return lb.compare(GENERIC["ragged"] * scale, STRUCTURES, 77)


def row(label, relative_error, n_parameters):
    return lb.Row(
        label, "adaptive", (1,), n_parameters, 0, relative_error, relative_error, 0.0, "optimal ranks"
    )


def comparison(*rows):
    return lb.Comparison((4, 4), 16, 1.0, rows)


# Rows.


@each(targets={name: SMALL[name] for name in ("ragged", "identity", "zeros", "1×1")})
def test_rows_say_what_the_approximations_say(kind, W):
    structure, budget = kind.make(*W.shape), W.size // 2
    report = lb.compare(W, [structure], budget)

    assert (report.shape, report.budget) == (W.shape, budget)
    assert report.norm == pytest.approx(np.linalg.norm(W), rel=1e-14)
    for line in report.rows:
        answer = lb.approximate(W, structure, budget, allocate=getattr(lb, line.allocation))
        assert line.label == repr(structure)
        assert line.ranks == tuple(answer.ranks)
        assert (line.n_parameters, line.slack) == (answer.n_parameters, budget - answer.n_parameters)
        assert line.slack >= 0
        # A row's errors come from spectra, those of an approximation of given ranks from its factors.
        assert line.error == pytest.approx(answer.error, rel=1e-13, abs=1e-14)
        assert line.relative_error == pytest.approx(answer.relative_error, rel=1e-13, abs=1e-14)
        assert line.captured == pytest.approx(answer.captured, rel=0, abs=1e-13)
        assert line.guarantee == answer.guarantee


def test_rows_come_in_the_order_asked_for():
    assert [(r.label, r.allocation) for r in example().rows] == [
        ("Global()", "adaptive"),
        ("DiagonalLocal(2)", "uniform"),
        ("DiagonalLocal(2)", "adaptive"),
        ("Localized(2)", "uniform"),
        ("Localized(2)", "adaptive"),
    ]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_one_block_gives_one_row(kind):
    structure = kind.make(10, 10)
    report = lb.compare(SMALL["ones"][:1, :1] * np.ones((10, 10)), [structure], 50)

    assert len(report.rows) == (1 if len(structure.layout((10, 10)).block_shapes) == 1 else 2)


def test_other_allocations_keep_their_rows():
    def nothing(spectra, costs, budget):
        return [0] * len(spectra)

    one = lb.compare(np.eye(4), [lb.Global()], 9, allocate=[lb.uniform, nothing])
    two = lb.compare(np.eye(4), [lb.Global()], 9, allocate=[nothing, lb.adaptive, lb.uniform])

    assert [r.allocation for r in one.rows] == ["uniform", "nothing"]
    assert [r.allocation for r in two.rows] == ["nothing", "adaptive"]


def test_an_allocation_without_a_name_goes_by_its_repr():
    class Nothing:
        def __call__(self, spectra, costs, budget):
            return [0] * len(spectra)

        def __repr__(self):
            return "Nothing()"

    assert lb.compare(np.eye(4), [lb.Global()], 9, allocate=[Nothing()]).rows[0].allocation == "Nothing()"


def test_structures_may_be_any_iterable():
    assert lb.compare(np.eye(4), iter(STRUCTURES), 9).rows == lb.compare(np.eye(4), STRUCTURES, 9).rows


def test_rows_hold_plain_values():
    for line in example().rows:
        assert [type(getattr(line, name)) for name in COLUMNS] == [
            str,
            str,
            tuple,
            int,
            int,
            float,
            float,
            float,
            str,
            float if line.allocation == "adaptive" else type(None),
            str,
            type(None),
            type(None),
            str,
        ]
        assert all(type(rank) is int for rank in line.ranks)


# The best.


def test_the_best_has_the_least_error():
    assert comparison(row("a", 0.5, 9), row("b", 0.4, 16), row("c", 0.6, 1)).best.label == "b"


def test_among_equals_the_best_stores_fewest_numbers():
    assert (
        comparison(row("a", 0.4, 12), row("b", 0.4 + 5e-13, 9), row("c", 0.4 - 4e-13, 16)).best.label == "b"
    )
    assert comparison(row("a", 0.4, 12), row("b", 0.4 + 2e-12, 9)).best.label == "a"
    assert comparison(row("a", 0.4, 12), row("b", 0.4, 12)).best.label == "a"


def test_the_best_of_a_matrix_of_zeros():
    assert lb.compare(np.zeros((4, 4)), STRUCTURES, 16).best.n_parameters == 0


# Forms.


def test_text_holds_every_row_under_its_column():
    lines = example().to_text().splitlines()

    assert "13×11 matrix" in lines[0]
    assert "budget 77 of 143 numbers" in lines[0]
    assert lines[1].split() == SHOWN
    assert len(lines) == 3 + 5
    assert str(example()) == "\n".join(lines)
    starts = [lines[1].index(name) for name in ("label", "allocation", "ranks")]
    for line, values in zip(lines[3:], example().rows, strict=True):
        assert line[starts[0] :].startswith(values.label)
        assert line[starts[1] :].startswith(values.allocation)
        assert line[starts[2] :].startswith(show(values.ranks))


def markdown_rows(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert set("".join(cells[1])) <= set(":-")
    return cells[0], cells[2:]


def test_markdown_parses_back():
    head, rows = markdown_rows(example().to_markdown())

    assert head == SHOWN
    assert rows == [[show(getattr(r, name)) for name in SHOWN] for r in example().rows]
    for cells, values in zip(rows, example().rows, strict=True):
        assert float(cells[5]) == pytest.approx(values.error, rel=5e-4)
        assert int(cells[3]) == values.n_parameters


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e300])
def test_csv_parses_back_to_the_rows(scale):
    records = list(csv.DictReader(io.StringIO(example(scale).to_csv())))

    assert list(records[0]) == COLUMNS == [field.name for field in fields(lb.Row)]
    assert tuple(map(from_csv, records)) == example(scale).rows


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e300])
def test_json_is_strict_and_complete(scale):
    report = example(scale)
    document = strict(report.to_json())

    assert (document["shape"], document["budget"], document["norm"]) == ([13, 11], 77, report.norm)
    assert document["rows"] == [asdict(r) | {"ranks": list(r.ranks)} for r in report.rows]


def test_a_dataframe_has_one_row_a_row():
    pytest.importorskip("pandas", reason="pandas is an extra; the next test stands in for it")
    frame = example().to_dataframe()

    assert list(frame.columns) == COLUMNS
    assert frame["error"].tolist() == [r.error for r in example().rows]
    assert frame["ranks"].tolist() == [list(r.ranks) for r in example().rows]


def test_a_dataframe_is_made_from_all_rows(monkeypatch):
    made = SimpleNamespace(DataFrame=lambda records, columns: (records, columns))
    monkeypatch.setitem(sys.modules, "pandas", made)

    records, columns = example().to_dataframe()

    assert columns == COLUMNS
    assert records == strict(example().to_json())["rows"]


def test_without_pandas_the_error_names_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(ModuleNotFoundError, match=r"needs pandas: pip install 'lowrank_blocks\[pandas\]'"):
        example().to_dataframe()


def test_html_shows_what_the_text_shows():
    found = Cells(example()._repr_html_()).found

    assert found["th"] == SHOWN
    assert found["td"] == [show(getattr(r, name)) for r in example().rows for name in SHOWN]
    assert found["caption"] == [example().to_text().splitlines()[0]]


def test_representations_name_the_matrix_and_the_best():
    assert f"best {example().best.label}" in repr(example())
    assert "13×11" in repr(example())
    assert (
        repr(lb.decompose(np.eye(4), lb.Localized(2)))
        == "Decomposition(Localized(2) of a 4×4 matrix, 4 blocks)"
    )
