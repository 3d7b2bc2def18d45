"""Names are shown as they are in every format, and inject nothing into any."""

import csv
import io
import json
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from parsing import Cells

import lowrank_blocks as lb
from lowrank_blocks._escaping import file_stem, markdown, printable
from lowrank_blocks._tables import Table

MARKS = st.text("\\`*_{}[]<>()#+-.!|~:@$&;/=\"' \n\r\t\x1b\x7f\x85\u202e\u2066\u2028\ufeff\udcffaé1中")
HOSTILE = [
    "<script>alert(1)</script>",
    "a\n# forged\n",
    "a\r\n\r\n| x |",
    "\x1b[31mred\x1b[0m\x07",
    "gnp.\u202eexe\u2066",
    "[x](http://example.org) ![y](z)",
    "`a` **b** _c_ __d__ a_b_c ~~e~~ $f$",
    "&lt;b&gt; &#60; & ;",
    "a | b \\| c \\",
    "<http://example.org>",
    "# #",
    "a\udcffb\ud800",
]
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def text_of(inline):
    """Return the text of an inline token, which must hold nothing else."""
    assert {child.type for child in inline.children} <= {"text"}
    return "".join(child.content for child in inline.children)


def every(check):
    for text in HOSTILE:
        check = example(text)(check)
    return check


@every
@given(MARKS)
def test_printable_is_one_line_that_a_terminal_takes_as_text(text):
    shown = printable(text)

    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in shown)
    assert printable(shown) == shown
    assert shown == text or not text.isprintable()
    assert len(shown.splitlines()) <= 1
    shown.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("layers.0.weight é 中", "layers.0.weight é 中"),
        ("a\n\t\x1b\x7f", "a\\n\\t\\x1b\\x7f"),
        ("\u202e\u2028", "\\u202e\\u2028"),
        ("\udcff\ud800", "\\xff\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("a\\nb", "a\\nb"),
    ],
)
def test_printable_writes_escapes_as_python_does(text, shown):
    assert printable(text) == shown


@every
@given(MARKS)
def test_a_heading_in_markdown_holds_the_text(text):
    tokens = PARSER.parse(f"## {markdown(text)}\n\nafter\n")

    kinds = ["heading_open", "inline", "heading_close", "paragraph_open", "inline", "paragraph_close"]
    assert [token.type for token in tokens] == kinds
    assert text_of(tokens[1]) == printable(text).strip(" ")


@every
@given(MARKS)
def test_an_image_in_markdown_is_described_by_the_text(text):
    (_, inline, _) = PARSER.parse(f"![{markdown(text)}](a.png)\n")

    (image,) = inline.children
    assert (image.type, image.attrs["src"], image.content) == ("image", "a.png", markdown(text))
    assert "".join(child.content for child in image.children or []) == printable(text)
    assert {child.type for child in image.children or []} <= {"text"}


@every
@given(MARKS)
def test_a_table_holds_the_text_in_every_form(text):
    table = Table((f"c{text}", "n"), ((text, 1), ("b", 2)), f"t{text}")
    shown = printable(text)

    inlines = [token for token in PARSER.parse(table.to_markdown()) if token.type == "inline"]
    assert [text_of(token) for token in inlines[1:]] == [
        f"c{shown}".strip(" "),
        "n",
        shown.strip(" "),
        "1",
        "b",
        "2",
    ]
    found = Cells(table.to_html()).found
    assert "".join(found["caption"]) == f"t{shown}"
    assert "".join(found["td"]) == f"{shown}1b2"
    assert list(csv.reader(io.StringIO(table.to_csv(), newline=""))) == [
        [f"c{shown}", "n"],
        [shown, "1"],
        ["b", "2"],
    ]
    assert len(table.to_text().splitlines()) == 5
    assert all(line.isprintable() for line in table.to_text().splitlines())


def test_words_are_left_as_people_write_them():
    for plain in ("relative_error", "layer_0.query__weight", "a & b", "12×9 matrix, 3 of 4", "Localized(4)"):
        assert markdown(plain) == plain


@every
@given(MARKS)
def test_stems_of_files_are_safe(text):
    stem = file_stem(text)

    assert all(c.isalnum() or c in "_.-" for c in stem)
    assert not stem.startswith((".", "-"))
    assert not stem.endswith((".", "-"))
    assert len(stem) <= 50


@pytest.mark.parametrize("name", HOSTILE)
def test_reports_show_names_and_are_not_forged(name):
    comparison = lb.compare(np.eye(4), [lb.Global()], 8)
    report = lb.Report({name: comparison, "b": comparison})
    plain = lb.Report({"a": comparison, "b": comparison})
    shown = printable(name)

    assert report.to_text() == plain.to_text().replace("a: 4×4", f"{shown}: 4×4")
    tokens = PARSER.parse(report.to_markdown())
    assert [t.type for t in tokens] == [t.type for t in PARSER.parse(plain.to_markdown())]
    assert text_of(tokens[4]) == shown
    assert [row["matrix"] for row in csv.DictReader(io.StringIO(report.to_csv()))] == [shown, "b"]
    assert list(json.loads(report.to_json())["matrices"]) == [name, "b"]
    assert repr(report) == f"Report(2 matrices: {shown}, b)"
    assert report._repr_html_() == plain._repr_html_()
