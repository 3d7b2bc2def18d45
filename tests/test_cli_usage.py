"""Usage: what was meant by a wrong word, and a hint where two weights were given for their difference."""

import numpy as np
import pytest
from command import refused, run

from lowrank_blocks.cli._arguments import memory

RNG = np.random.default_rng(5)
HINT = "lowrank-blocks: hint: {} and {} were compared each by itself; if they are weights before and after"


@pytest.mark.parametrize(
    ("args", "guess"),
    [
        (
            ["comapre"],
            "COMMAND must be one of compare, extract, convert, atlas, reproduce, got 'comapre'; "
            "did you mean compare?\n",
        ),
        (["Reproduce"], "got 'Reproduce'; did you mean reproduce?\n"),
        (["dW.npy"], "got 'dW.npy'; did you mean 'lowrank-blocks compare dW.npy'?\n"),
        (["xyz"], "COMMAND must be one of compare, extract, convert, atlas, reproduce, got 'xyz'\n"),
        ([], "a COMMAND must be given, one of compare, extract, convert, atlas, reproduce, got none.\n"),
        (["--verison"], "lowrank-blocks: unrecognized arguments: --verison; did you mean --version?\n"),
        (["compare", "--blcoks", "4"], "compare: unrecognized arguments: --blcoks; did you mean --blocks?\n"),
        (["compare", "--rnak=4"], "unrecognized arguments: --rnak=4; did you mean --rank?\n"),
        (["compare", "--ouput", "x", "--polt"], "did you mean --out, --plot?\n"),
        (["compare", "--zzzzzz"], "compare: unrecognized arguments: --zzzzzz\n"),
        (["reproduce", "--otu", "x", "--out", "y"], "unrecognized arguments: --otu x; did you mean --out?\n"),
        (["reproduce", "--out", "y", "dW.npy"], "reproduce: unrecognized arguments: dW.npy\n"),
    ],
)
def test_what_was_meant(args, guess, capsys):
    assert guess in refused(capsys, *args)


@pytest.mark.parametrize("option", ["--rank", "--budget", "--blocks"])
def test_a_number_of_5000_digits(option, capsys):
    line = refused(capsys, "compare", option, "9" * 5000)

    assert line == f"lowrank-blocks compare: argument {option}: must have at most 100 digits, got 5000\n"


def test_what_is_no_number_is_not_repeated_at_length(capsys):
    assert len(refused(capsys, "compare", "--rank", "x" * 5000)) < 200


def test_a_number_of_100_digits(tmp_path, capsys):
    np.save(tmp_path / "dW.npy", np.eye(5))

    assert run("compare", tmp_path / "dW.npy", "--rank", "9" * 100) == 0
    assert "relative_error" in capsys.readouterr().out


@pytest.mark.parametrize("size", ["8", "8g", "0.5G", "-1G", "G", "", "²G", "9" * 5000 + "G"])
def test_sizes_that_are_none(size, capsys):
    line = refused(capsys, "compare", f"--memory={size}")

    assert "argument --memory: must be a size such as 500M or 8G, got " in line
    assert len(line) < 200


@pytest.mark.parametrize(("text", "power"), [("3K", 10), ("3M", 20), ("3G", 30), ("3T", 40)])
def test_units_of_memory(text, power):
    assert memory(text) == 3 * 2**power


def test_the_memory_that_is_allowed(tmp_path, capsys):
    path = tmp_path / "dW.npy"
    np.save(path, np.eye(64))  # 32 KiB

    assert run("compare", path, "--memory", "32K") == 0
    capsys.readouterr()
    assert f"{path} must need at most 2.96e-05 GiB of memory" in refused(
        capsys, "compare", path, "--memory", "31K"
    )


# Two weights in place of their difference.


def weights(folder, one, two, *, rank=None, shape=(40, 30)):
    """Save two matrices: full of noise like weights, or of low rank like updates."""
    for name in (one, two):
        inner = min(shape) if rank is None else rank
        W = RNG.standard_normal((shape[0], inner)) @ RNG.standard_normal((inner, shape[1]))
        (folder / name).parent.mkdir(exist_ok=True)
        np.save(folder / name, W)
    return [folder / one, folder / two]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("base.npy", "tuned.npy"),
        ("W_after.npy", "W_before.npy"),
        ("pretrained.npy", "fine-tuned.npy"),
        ("init/W.npy", "final/W.npy"),
    ],
)
def test_names_of_weights_bring_the_hint(one, two, tmp_path, capsys):
    paths = weights(tmp_path, one, two, rank=1)

    assert run("compare", *paths) == 0
    out, err = capsys.readouterr()

    assert err.startswith(HINT.format(*paths))
    assert err.endswith("compare their difference: np.save('dW.npy', tuned - base)\n")
    assert err.count("\n") == 1
    assert "hint" not in out


def test_two_matrices_of_full_rank_bring_the_hint(tmp_path, capsys):
    paths = weights(tmp_path, "a.npy", "b.npy", shape=(200, 200))

    assert run("compare", "--rank", 4, *paths) == 0
    assert capsys.readouterr().err.startswith(HINT.format(*paths))


def test_two_archives_of_weights_bring_the_hint(tmp_path, capsys):
    paths = [tmp_path / "base.npz", tmp_path / "tuned.npz"]
    for path in paths:
        np.savez(path, query=np.eye(6), key=np.eye(8))

    assert run("compare", *paths) == 0
    assert capsys.readouterr().err.startswith(HINT.format(*paths))


def test_two_weights_in_one_archive_bring_the_hint(tmp_path, capsys):
    np.savez(tmp_path / "W.npz", base=np.eye(6), tuned=np.eye(6))
    np.savez(tmp_path / "base_tuned.npz", query=np.eye(6), key=np.eye(6))

    assert run("compare", tmp_path / "W.npz") == 0
    assert capsys.readouterr().err.startswith(HINT.format("base", "tuned"))
    assert run("compare", tmp_path / "base_tuned.npz") == 0
    assert capsys.readouterr().err == ""


def test_what_names_share_is_no_reason_for_a_hint(tmp_path, capsys):
    paths = weights(tmp_path, "base_to_tuned/query.npy", "base_to_tuned/key.npy", rank=1)

    assert run("compare", *paths) == 0
    assert capsys.readouterr().err == ""


def test_no_hint_without_reason(tmp_path, capsys):
    updates = weights(tmp_path, "query.npy", "key.npy", rank=1)
    other = weights(tmp_path, "base.npy", "tuned.npy", rank=1)[1]
    np.save(tmp_path / "base.npy", np.eye(7))  # of another shape than tuned.npy
    np.savez(tmp_path / "base.npz", q=np.eye(6), k=np.eye(6))
    np.savez(tmp_path / "tuned.npz", v=np.eye(6), o=np.eye(6))
    for paths in (
        updates,
        [tmp_path / "base.npy", other],
        [*updates, other],
        [other],
        [tmp_path / "base.npz", tmp_path / "tuned.npz"],
    ):
        assert run("compare", *paths) == 0
        assert capsys.readouterr().err == ""


def test_no_hint_where_the_budget_buys_nothing(tmp_path, capsys):
    paths = weights(tmp_path, "query.npy", "key.npy", rank=1)

    assert run("compare", "--budget", 0, *paths) == 0
    assert "hint" not in capsys.readouterr().err
