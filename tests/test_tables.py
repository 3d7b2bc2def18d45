"""Tables in every form."""

import csv
import io

import pytest
from parsing import Cells

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
    ],
)
def test_cells_as_a_person_reads_them(cell, text):
    assert show(cell) == text
