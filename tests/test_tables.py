"""Tables in every form."""

import csv
import io

import numpy as np
import pytest
from parsing import Cells

import lowrank_blocks as lb
from lowrank_blocks._tables import Table, show


def test_tables_escape_what_their_form_reserves():
    table = Table(("a<b", "n"), (("x|y & <z>", 1),), "t<u")

    assert Cells(table.to_html()).found == {"th": ["a<b", "n"], "td": ["x|y & <z>", "1"], "caption": ["t<u"]}
    assert "| x\\|y & \\<z> | 1 |" in table.to_markdown()
    assert next(csv.reader(io.StringIO(table.to_csv().splitlines()[1]))) == ["x|y & <z>", "1"]


def test_tables_align_text_left_and_numbers_right():
    table = Table(("name", "n"), (("a", 5), ("long name", 12345)))

    assert table.to_text() == ("name           n\n---------  -----\na              5\nlong name  12345\n")
    assert table.to_markdown().splitlines()[1] == "| :--- | ---: |"
    assert str(table) == table.to_text()[:-1]
    assert "caption" not in table.to_html()


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (0.0, "0"),
        (1.0, "1.000"),
        (0.63421, "0.6342"),
        (0.644, "0.6440"),
        (12345.678, "12346"),
        (0.001, "0.001000"),
        (0.00099, "9.900e-04"),
        (123.456, "123.5"),
        (1e5, "1.000e+05"),
        (-1e300, "-1.000e+300"),
        (7, "7"),
        ("x", "x"),
        ((2, 2), "2"),
        ((0, 5, 3), "0–5"),
        (None, "–"),
    ],
)
def test_cells_as_a_person_reads_them(cell, text):
    assert show(cell) == text


def test_a_note_stands_below_what_people_read():
    table = Table(("name", "n"), (("a", 5),), "title", "a < b, 2 | 3")

    assert table.to_text() == "title\nname  n\n----  -\na     5\na < b, 2 | 3\n"
    assert table.to_markdown().endswith("| a | 5 |\n\na \\< b, 2 \\| 3\n")
    assert "<p>a &lt; b, 2 | 3</p>" in table.to_html()
    assert table.to_csv() == "name,n\na,5\n"
    assert table.to_records() == [{"name": "a", "n": 5}]


def test_nothing_is_empty_for_machines_and_a_dash_for_people():
    table = Table(("name", "gap"), (("a", 0.5), ("b", None)))

    assert table.to_csv() == "name,gap\na,0.5\nb,\n"
    assert table.to_records()[1] == {"name": "b", "gap": None}
    assert table.to_text().splitlines()[2:] == ["a     0.5000", "b          –"]


def test_columns_that_are_empty_can_be_left_out():
    table = Table(("a", "b", "c", "d", "e"), (("", 0, "", None, None), ("x", 0, "", None, 1)), "t", "n")

    assert table.without_empty() == Table(("a", "b", "e"), (("", 0, None), ("x", 0, 1)), "t", "n")


@pytest.mark.parametrize("count", [0, 1, 24, 25, 12289])
def test_a_long_table_prints_its_head_and_its_tail(count):
    table = Table(("n", "name"), tuple((k, f"row {k}") for k in range(count)), "many", "a note")
    lines, cells = str(table).splitlines(), Cells(table._repr_html_()).found["td"]
    body = [line.split(maxsplit=1) for line in lines[3:-1]]

    shown = [*range(8), None, *range(count - 8, count)] if count > 24 else [*range(count)]
    assert body == [["…", "…"] if k is None else [str(k), f"row {k}"] for k in shown]
    assert cells == [cell for row in body for cell in row]
    assert lines[0] == "many"
    left_out = f"{count - 16} of {count} rows are not shown; to_text() and to_csv() give all; "
    assert lines[-1] == (left_out if count > 24 else "") + "a note"
    assert len(table.to_text().splitlines()) == count + 4
    assert len(table.to_csv().splitlines()) == count + 1
    assert len(table.to_records()) == count


def test_the_table_of_a_curve_prints_on_a_page():
    curve = lb.error_curve(np.diag(np.arange(1.0, 101)), lb.Localized(4))

    assert len(curve.n_parameters) == 101
    assert len(str(curve.table).splitlines()) == 21
    assert "85 of 101 rows are not shown" in str(curve.table)
    assert len(curve.to_csv().splitlines()) == 102
