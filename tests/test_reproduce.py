"""The formal comparison agrees with direct singular values, and is the same every time."""

import csv
import io
from functools import cache

import numpy as np
import pytest
from oracles import block_spectra, diagonal, grid

import lowrank_blocks as lb
from lowrank_blocks.cli import main
from lowrank_blocks.experiments import formal as reproduce

FILES = {
    "report.md",
    "results.csv",
    "curves.csv",
    "winners.png",
    "curves-synthetic.png",
    "curves-genuine.png",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("formal")
    assert main(["reproduce", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def results(written):
    return list(csv.DictReader(io.StringIO((written / "results.csv").read_text())))


@pytest.mark.exhaustive
def test_all_files_are_written(written):
    assert {path.name for path in written.iterdir()} == FILES == set(reproduce.FILES)
    for picture in ("winners.png", "curves-synthetic.png", "curves-genuine.png"):
        assert f"]({picture})" in (written / "report.md").read_text()
        assert (written / picture).read_bytes().startswith(b"\x89PNG")


@cache
def spectra_of(name, K):
    """Return the singular values of the whole, of the diagonal blocks and of the grid, and the norm."""
    W = reproduce.matrices()[name].astype(np.float64)
    m, n = W.shape
    places = {"G": grid(1, 1, m, n), "D": diagonal(K, m, n), "L": grid(K, K, m, n)}
    return {letter: block_spectra(W, blocks) for letter, blocks in places.items()}, W


@pytest.mark.exhaustive
def test_results_agree_with_direct_singular_values(results):
    for row in results:
        K, r = int(row["K"]), int(row["r"])
        spectra, W = spectra_of(row["matrix"], K)
        for letter, rank in {"G": r, "D": r, "L": r // K}.items():
            kept = sum(np.sum(s[:rank] ** 2) for s in spectra[letter])
            error = np.sqrt(max(np.sum(W**2) - kept, 0) / np.sum(W**2))
            assert float(row[letter]) == pytest.approx(error, abs=1e-7)
        assert int(row["n_parameters"]) == r * sum(W.shape)


@pytest.mark.exhaustive
def test_winners_follow_from_the_numbers(results):
    for row in results:
        errors = {letter: float(row[letter]) for letter in "GDL"}
        names = row["least"].split("=")
        assert all(errors[n] == pytest.approx(min(errors.values()), abs=2e-12) for n in names)
        assert all(errors[n] > min(errors.values()) for n in set(errors) - set(names))


@pytest.mark.exhaustive
def test_free_ranks_are_set_against_free_ranks(results):
    for row in results:
        errors = {"G": float(row["G"]), "D": float(row["D_free"]), "L": float(row["L_free"])}
        least = {name for name, error in errors.items() if error <= min(errors.values()) + 1e-12}
        assert set(row["least_free"].split("=")) == least


@pytest.mark.exhaustive
def test_free_ranks_are_the_best(results):
    """All blocks cost the same here, so the best ranks keep the largest singular values of all."""
    for row in results:
        K = int(row["K"])
        spectra, W = spectra_of(row["matrix"], K)
        for letter in "DL":
            values = np.sort(np.concatenate(spectra[letter]))[::-1]
            kept = np.sum(values[: K * int(row["r"])] ** 2)  # each costs (m + n) / K of the r * (m + n)
            error = np.sqrt(max(np.sum(W**2) - kept, 0) / np.sum(W**2))
            assert float(row[f"{letter}_free"]) == pytest.approx(error, abs=1e-7)


@pytest.mark.exhaustive
def test_every_family_size_and_rank_is_there(results):
    cases = {(row["matrix"], int(row["K"]), int(row["r"])) for row in results}
    assert len(cases) == len(results) == 17 * 9
    assert {k for _, k, _ in cases} == {2, 4, 8}
    assert sum(name.startswith("genuine") for name in {m for m, _, _ in cases}) == 6


@pytest.mark.exhaustive
def test_two_runs_write_the_same_numbers(written, tmp_path):
    assert main(["reproduce", "--out", str(tmp_path)]) == 0
    for name in ("results.csv", "curves.csv", "report.md"):
        assert (tmp_path / name).read_bytes() == (written / name).read_bytes()


@pytest.mark.exhaustive
def test_the_report_records_the_seed_and_counts_the_winners(written, results):
    text = (written / "report.md").read_text()
    assert f"seed {reproduce.SEED}" in text
    assert (
        f"Of {len(results)} cases, G alone has the least error in {sum(r['least'] == 'G' for r in results)}"
        in text
    )


@pytest.mark.exhaustive
def test_curves_hold_every_step(written):
    rows = list(csv.DictReader(io.StringIO((written / "curves.csv").read_text())))
    query = [r for r in rows if r["matrix"] == "genuine: query" and r["structure"] == "Global()"]
    curve = lb.error_curve(lb.load_example()["query"], lb.Global())
    assert [int(r["n_parameters"]) for r in query] == curve.n_parameters.tolist()
    assert [float(r["relative_error"]) for r in query] == pytest.approx(
        curve.relative_error.tolist(), rel=1e-9
    )


def test_out_is_judged_before_the_work(tmp_path, monkeypatch, capsys):
    def work():
        raise AssertionError("the work began")

    monkeypatch.setattr("lowrank_blocks.cli.reproduce.reproduced", work)
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "winners.png").mkdir()
    before = sorted(tmp_path.iterdir())
    for out in (tmp_path / "file" / "formal", tmp_path, tmp_path / "new" / ("x" * 300)):
        assert main(["reproduce", "--out", str(out)]) == 2
        err = capsys.readouterr().err
        assert f"--out must be a folder that can be written, got {out}: " in err
        assert err.count("\n") == 1
        assert sorted(tmp_path.iterdir()) == before


def test_out_is_required(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["reproduce"])
    assert "--out" in capsys.readouterr().err


def test_plot_writes_a_picture_of_each_comparison(tmp_path, capsys):
    assert main(["compare", "--out", str(tmp_path), "--plot"]) == 0
    pictures = sorted(path.name for path in tmp_path.glob("*.png"))
    assert pictures == sorted(f"comparison-{name}.png" for name in lb.load_example())
    assert all(f"]({name})" in (tmp_path / "report.md").read_text() for name in pictures)


def test_plot_needs_out(capsys):
    assert main(["compare", "--plot"]) == 2
    assert capsys.readouterr().err == "lowrank-blocks: --plot must come with --out DIR, got no --out.\n"
