"""Names from files reach the terminal, reports and pictures as text, and pictures are named after them."""

import csv
import io
import json
import os
from urllib.parse import unquote

import numpy as np
import pytest
from command import refused, run
from markdown_it import MarkdownIt

import lowrank_blocks as lb
from lowrank_blocks._escaping import printable
from lowrank_blocks.cli._pictures import bars, picture_names

HOSTILE = "<script>alert(1)</script>\n\n## forged\x1b[31m [x](http://example.org) \u202e`|`"
PARSER = MarkdownIt("commonmark").enable("table")


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, **{HOSTILE: np.eye(5), f"{HOSTILE}, 1-D": np.ones(3)})
    return path


def are_lines_for_a_terminal(text):
    return all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize("form", ["text", "markdown", "csv", "json"])
def test_no_name_controls_the_terminal(form, archive, capsys):
    assert run("compare", archive, "--format", form) == 0
    out, err = capsys.readouterr()

    assert are_lines_for_a_terminal(out)
    assert err == f"lowrank-blocks: passed over {archive}[{printable(HOSTILE)}, 1-D], which is not 2-D\n"


def test_no_refusal_controls_the_terminal(tmp_path, capsys):
    (tmp_path / "x.npz").write_bytes(b"")
    np.savez(tmp_path / "y.npz", **{HOSTILE: np.array([[np.nan]])})
    wrong = ["compare", tmp_path / "none\x1b[31m\n.npy"], ["compare", "--\x1b[31m"], ["\x1b[31m\n"]
    for args in (*wrong, ["compare", tmp_path / "y.npz"], ["compare", "--format", "\x1b"]):
        assert are_lines_for_a_terminal(refused(capsys, *args))


def test_reports_hold_the_same_name_in_every_form(archive, tmp_path):
    assert run("compare", archive, "--out", tmp_path / "report", "--plot") == 0
    report, name = tmp_path / "report", f"{archive}[{printable(HOSTILE)}]"

    tokens = PARSER.parse((report / "report.md").read_text())
    inlines = [child for token in tokens if token.type == "inline" for child in token.children]
    assert sum(token.type == "heading_open" for token in tokens) == 3
    assert not any(token.type.startswith(("html", "link")) for token in [*tokens, *inlines])
    assert "".join(c.content for c in tokens[4].children) == name
    assert list(json.loads((report / "report.json").read_text())["matrices"]) == [name]
    rows = list(csv.DictReader(io.StringIO((report / "report.csv").read_text())))
    assert {row["matrix"] for row in rows} == {name}


def test_pictures_are_named_after_the_matrix_and_linked(tmp_path):
    keys = {"model/layers.0.weight": 1, "слой 中": 2, "Query": 3, "query": 4, "?": 5, ".": 6}
    path = tmp_path / "W.npz"
    np.savez(path, **{key: k * np.eye(5) for key, k in keys.items()})
    np.save(tmp_path / "W.npy", np.eye(6))

    assert run("compare", path, tmp_path / "W.npy", "--out", tmp_path / "report", "--plot") == 0

    pictures = ["W-model-layers.0.weight", "W-слой-中", "W-Query", "W-query-2", "W", "W-2", "W-3"]
    names = [f"comparison-{name}.png" for name in pictures]
    found = {name for name in os.listdir(tmp_path / "report") if name.endswith(".png")}
    tokens = PARSER.parse((tmp_path / "report" / "report.md").read_text())
    images = [c for t in tokens if t.type == "inline" for c in t.children if c.type == "image"]
    assert found == set(names)
    assert [unquote(image.attrs["src"]) for image in images] == names
    assert [image.children[0].content for image in images] == [
        *(f"{path}[{key}]" for key in keys),
        f"{tmp_path / 'W.npy'}",
    ]


def test_names_of_pictures_differ_where_case_and_form_of_letters_do_not_count():
    names = ["a", "A", "a-2", "a", "é", "e\u0301", "x" * 300, "x" * 299, "", "..", "con"]

    pictures = picture_names(names)

    assert len({p.casefold() for p in pictures}) == len(names)
    assert pictures[0] == "comparison-a.png"
    assert all(len(p.encode()) <= 255 and not p.startswith(".") for p in pictures)
    assert picture_names(names) == pictures


@pytest.mark.parametrize("name", ["W", "$\\frac{$", "a_b^c $x$", "中", "\x1b\n", "x" * 500, ""])
def test_the_title_of_a_picture_holds_the_name(name, monkeypatch):
    figures = []
    monkeypatch.setattr("lowrank_blocks.cli._pictures.png", lambda figure: figures.append(figure) or b"")
    comparison = lb.compare(np.eye(8), [lb.Global()], 16)
    bars(name, comparison)

    title, *rest = figures[0].axes[0].get_title().split("\n")
    assert title == printable(name) if len(printable(name)) <= 60 else title == f"{'x' * 29}…{'x' * 29}"
    assert rest == lb.plot_comparison(comparison).get_title().split("\n")
    monkeypatch.undo()
    assert bars(name, comparison).startswith(b"\x89PNG")


def test_two_matrices_under_one_name_are_refused(tmp_path, capsys):
    np.savez(tmp_path / "x.npz", a=np.eye(5))
    np.save(tmp_path / "x.npz[a]", np.eye(5))
    (tmp_path / "x.npz[a].npy").rename(tmp_path / "x.npz[a]")

    line = refused(capsys, "compare", tmp_path / "x.npz", tmp_path / "x.npz[a]")

    assert f"{tmp_path / 'x.npz[a]'} must name one matrix, got two that are shown by this name." in line


def test_a_picture_behind_a_folder_is_refused_before_the_work(archive, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lowrank_blocks.cli.compare.compare", None)
    np.save(tmp_path / "dW.npy", np.eye(5))
    (tmp_path / "comparison-dW.png").mkdir()

    line = refused(capsys, "compare", tmp_path / "dW.npy", "--plot", "--out", tmp_path)

    assert f"{tmp_path / 'comparison-dW.png'} is a folder" in line


def test_values_are_judged_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lowrank_blocks.cli.compare.compare", None)
    np.savez(tmp_path / "x.npz", a=np.eye(5), b=np.full((5, 5), np.nan))

    assert "x.npz[b][0, 0] = nan" in refused(capsys, "compare", tmp_path / "x.npz")
