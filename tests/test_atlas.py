"""The atlas: all families at one budget, as a table, a picture and a command."""

import json
from itertools import pairwise

import numpy as np
import pytest
from command import refused, run

import lowrank_blocks as lb
from lowrank_blocks._escaping import html
from lowrank_blocks.peft.registry import ENTRIES, largest

P = lb.peft
SHAPES = [(12, 12), (8, 24), (24, 8), (9, 7), (1, 1), (2, 5)]


def pair(m, n):
    rng = np.random.default_rng([m, n])
    return rng.standard_normal((m, n)), rng.standard_normal((m, n))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    "budget", [7, 60, *(pytest.param(b, marks=pytest.mark.exhaustive) for b in (1, 1000))]
)
def test_rows_are_the_fits_within_the_budget(shape, budget):
    dW, W = pair(*shape)

    found = lb.atlas(dW, W, budget=budget)

    assert [row.relative_error for row in found.rows] == sorted(row.relative_error for row in found.rows)
    for row in found.rows:
        fit = eval(row.label, vars(P)).nearest(dW, base=W)
        assert row.n_parameters + row.slack == budget
        assert 0 < row.n_parameters == fit.n_parameters <= budget
        assert (row.error, row.guarantee) == (fit.error, fit.guarantee.value)
        assert row.gap is None if fit.lower_bound is None else row.gap >= 0
        assert row.file == ("none" if fit.family.unwritten else "as LoRA" if fit.family.packed else "PEFT")
    left = found.note.partition(": ")[2].split(", ") if found.note else []
    assert len(found.rows) + len([name for name in ENTRIES if name in found.note]) >= len(ENTRIES), left


def settings(name, shape):
    """Return all settings of some families by trying them."""
    makes = {
        "LoRA": [P.LoRA(r) for r in range(1, 40)],
        "GraLoRA, k = 2": [P.GraLoRA(r, k=2) for r in range(2, 40, 2)],
        "BD-LoRA, A": [P.BDLoRA(r, k=4) for r in range(4, 80, 4)],
        "C3A": [P.C3A(b) for b in range(1, 40)],
        "OFT": [P.OFT(b) for b in range(2, 40)],
        "RandLoRA": [P.RandLoRA(r) for r in range(1, 40)],
        "MiSS mini": [P.MiSS(r, mini=k) for r in range(1, 40) for k in range(1, shape[0])],
        "HRA": [P.HRA(r) for r in range(1, 40)],
        "FourierFT": [P.FourierFT(k) for k in range(1, 700)],
    }
    for family in makes[name]:
        try:
            family.check(shape)
        except ValueError:
            continue
        yield family


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    "name",
    ["LoRA", "GraLoRA, k = 2", "BD-LoRA, A", "C3A", "OFT", "RandLoRA", "MiSS mini", "HRA", "FourierFT"],
)
def test_the_largest_setting_is_taken(name, shape):
    for budget in (0, 1, 5, 20, 47, 100, 333, 10**6):
        within = [n for f in settings(name, shape) if (n := f.n_parameters(shape)) <= budget]
        found = largest(ENTRIES[name], shape, budget)
        assert (found is None) == (not within)
        assert found is None or found.n_parameters(shape) == max(within)


def test_without_the_base():
    dW, W = pair(12, 12)

    found, whole = lb.atlas(dW, rank=2), lb.atlas(dW, W, rank=2)

    assert {row.label for row in found.rows} < {row.label for row in whole.rows}
    assert all(not eval(row.label, vars(P)).needs_base for row in found.rows)
    assert "IA3, rows (needs base)" in found.note
    assert "needs base" not in whole.note


def test_it_is_a_comparison_in_every_form():
    dW, W = pair(12, 12)
    found = lb.atlas(dW, W, rank=2)

    assert isinstance(found, lb.Comparison)
    head = found.to_text().splitlines()[1].split()
    assert head[:3] == ["label", "n_parameters", "slack"]
    assert "file" in head
    assert "allocation" not in head
    records = json.loads(found.to_json())["rows"]
    assert [record["label"] for record in records] == [row.label for row in found.rows]
    assert {record["n_with_positions"] for record in records} == {None, 96}
    assert found.best.label in repr(found)
    assert "  " not in repr(found)
    assert len(found.to_csv().splitlines()) == len(found.rows) + 1


def test_planted_members_win():
    dW, W = pair(12, 12)
    for family in (P.C3A(4), P.LoKr(3), P.OFT(4), P.RoAd(2), P.GraLoRA(4, k=4)):
        planted = family.nearest(dW, base=W).to_dense()
        best = lb.atlas(planted, W, budget=family.n_parameters((12, 12))).best
        assert best.relative_error <= 1e-12
        assert family.n_parameters((12, 12)) >= best.n_parameters


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "budget must be a non-negative integer, or rank=8 stand in its place"),
        ({"budget": 0}, "budget must buy an adapter of some family, got 0"),
        ({"budget": 3, "rank": 1}, "must not both be given"),
        ({"base": np.eye(3), "rank": 1}, "base must have the shape of dW"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        lb.atlas(np.eye(4), **arguments)


# Whole models.


def models(flipped=False):
    rng = np.random.default_rng(3)
    shapes = {"q.weight": (12, 12), "k.weight": (9, 12)}
    base = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    tuned = {name: W + 0.1 * rng.standard_normal(W.shape) for name, W in base.items()}
    return ({name: W.T.copy() for name, W in side.items()} if flipped else side for side in (base, tuned))


def test_sums_over_matrices():
    base, tuned = models()
    found = lb.atlas_checkpoints(base, tuned, rank=2)

    assert list(found.comparisons) == list(base)
    updates = {name: tuned[name] - base[name] for name in base}
    for name, comparison in found.comparisons.items():
        assert comparison.rows == lb.atlas(updates[name], base[name], rank=2).rows
    rows = {row[0]: row[1:] for row in found.table.rows}
    assert list(rows) == sorted(rows, key=lambda name: rows[name][2])
    total = np.sqrt(sum(np.vdot(dW, dW) for dW in updates.values()))
    errors = [P.LoRA(2).nearest(dW).error for dW in updates.values()]
    assert rows["LoRA"] == (2, 2 * 24 + 2 * 21, pytest.approx(np.hypot(*errors) / total))
    missed, error = np.linalg.norm(updates["k.weight"]), P.GraLoRA(2, k=2).nearest(updates["q.weight"]).error
    assert rows["GraLoRA, k = 2"] == (1, 48, pytest.approx(np.hypot(missed, error) / total))
    document = json.loads(found.to_json())
    assert [family["family"] for family in document["families"]] == list(rows)
    assert set(document["matrices"]) == set(base)
    assert "## q.weight" in found.to_markdown()
    assert found.to_csv().splitlines()[0] == "family,matrices,n_parameters,relative_error"
    assert repr(found).startswith("ModelAtlas(2 matrices, best ")
    assert str(found) + "\n" == found.to_text()


def test_transposed_weights_of_checkpoints():
    straight, turned = (
        lb.atlas_checkpoints(*models(flipped), rank=2, fan_in_fan_out=flipped or None)
        for flipped in (False, True)
    )

    for a, b in zip(straight.table.rows, turned.table.rows, strict=True):
        assert a[:3] == b[:3]
        assert a[3] == pytest.approx(b[3], rel=1e-9)


# The picture.


def test_picture_has_a_mark_and_a_name_for_every_family():
    dW, W = pair(12, 12)
    found = lb.atlas(dW, W, rank=2)

    ax = lb.plot_atlas(found, curves=[lb.error_curve(dW, lb.Global())])

    marks = [line for line in ax.lines if line.get_linestyle() == "None"]
    points = {(x, y) for line in marks for x, y in zip(*line.get_data(), strict=True)}
    assert points == {(row.n_parameters, row.relative_error) for row in found.rows}
    assert sorted(text.get_text() for text in ax.texts) == sorted(row.label for row in found.rows)
    places = [text.xyann[1] for text in ax.texts]
    assert all(later - earlier >= 0.9 / len(places) for earlier, later in pairwise(places))
    assert min(places) >= -1e-9
    assert max(places) <= 1 + 1e-9
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {
        "Global()",
        *(row.guarantee for row in found.rows),
    }


def test_pictures_of_other_comparisons_are_refused():
    with pytest.raises(TypeError, match=r"comparison must be what lb.atlas returned"):
        lb.plot_atlas(lb.compare(np.eye(4), [lb.Global()], 8))
    with pytest.raises(TypeError, match="ax must be a matplotlib Axes"):
        lb.plot_atlas(lb.atlas(np.eye(4), rank=1), ax=3)


# The command.


@pytest.fixture
def files(tmp_path):
    dW, W = pair(12, 12)
    np.save(tmp_path / "dW.npy", dW)
    np.save(tmp_path / "W.npy", W)
    base, tuned = models()
    np.savez(tmp_path / "base.npz", **base)
    np.savez(tmp_path / "tuned.npz", **tuned)
    return tmp_path


def test_command(files, capsys):
    dW, W = np.load(files / "dW.npy"), np.load(files / "W.npy")
    folder = files / "out"

    assert run("atlas", files / "dW.npy", "--weight", files / "W.npy", "--rank", 2, "--out", folder) == 0

    found = lb.atlas(dW, W, rank=2)
    assert capsys.readouterr().out == found.to_text()
    assert (folder / "atlas.md").read_text(encoding="utf-8") == found.to_markdown()
    assert (folder / "atlas.csv").read_text(encoding="utf-8") == found.to_csv()
    assert (folder / "atlas.json").read_text(encoding="utf-8") == found.to_json()
    page = (folder / "atlas.html").read_text(encoding="utf-8")
    assert all(f">{html(row.label)}<" in page for row in found.rows)
    assert (folder / "atlas.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("form", ["text", "markdown", "csv", "json"])
def test_command_without_the_weight_at_a_budget(form, files, capsys):
    assert run("atlas", files / "dW.npy", "--budget", 50, "--format", form) == 0

    found = lb.atlas(np.load(files / "dW.npy"), budget=50)
    assert capsys.readouterr().out == getattr(found, f"to_{form}")()


def test_command_on_checkpoints(files, capsys):
    base, tuned, folder = files / "base.npz", files / "tuned.npz", files / "out"

    assert run("atlas", "--base", base, "--tuned", tuned, "--rank", 1, "--include", "q", "--out", folder) == 0

    found = lb.atlas_checkpoints(base, tuned, rank=1, include="q")
    assert capsys.readouterr().out == found.to_text()
    assert sorted(path.name for path in folder.iterdir()) == [
        "atlas.csv",
        "atlas.html",
        "atlas.json",
        "atlas.md",
    ]
    assert (folder / "atlas.json").read_text(encoding="utf-8") == found.to_json()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--base", "base.npz"], "--base and --tuned must both be given"),
        (["--include", "q"], "--include must come with --base and --tuned"),
        (["dW.npy", "--base", "base.npz", "--tuned", "tuned.npz"], "FILE must not be given with --base"),
        (["--budget", "3", "--base", "base.npz", "--tuned", "tuned.npz"], "--budget must not be given with"),
        (["base.npz"], "base.npz must hold one matrix, got 2"),
        (["dW.npy", "--budget", "0"], "budget must buy an adapter of some family"),
        (["nothing.npy"], "nothing.npy"),
    ],
)
def test_command_refuses(arguments, message, files, capsys, monkeypatch):
    monkeypatch.chdir(files)

    assert message in refused(capsys, "atlas", *arguments)
