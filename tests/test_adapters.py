"""Adapter directories: what the files hold, against the formulas of the formats, without torch."""

import json
import re

import numpy as np
import pytest
from adapter_files import KEY, NAME, ORACLES, config_of, lora, tensors_of
from drawn import normal
from safetensors.numpy import load_file

import lowrank_blocks as lb

UNIT = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
STRUCTURES = {
    "global": (lb.Global(), "lora"),
    "grid": (lb.Localized(3), "lora"),
    "small blocks": (lb.Localized(6, 12), "lora"),
    "uneven grid": (lb.Localized((0, 1, 18), (0, 5, 7, 24)), "lora"),
    "diagonal": (lb.DiagonalLocal(3), "lora"),
    "blocks": (lb.Blocks([([4, 2, 9], slice(0, 8)), (slice(10, 18), [23, 1, 0, 17]), ([0], [9])]), "lora"),
    "gralora": (lb.Localized(3), "gralora"),
    "one part": (lb.Global(), "gralora"),
    "columns": (lb.Localized(1, 4), "bdlora"),
    "rows": (lb.Localized(3, 1), "bdlora"),
}


@pytest.mark.parametrize("dtype", UNIT)
@pytest.mark.parametrize("rank", [1, 4, 18])
@pytest.mark.parametrize(("structure", "kind"), STRUCTURES.values(), ids=STRUCTURES)
def test_files_hold_the_approximation_and_its_rounding(tmp_path, structure, kind, rank, dtype):
    dW = normal(18, 24)
    best = lb.approximate(dW, structure, rank=rank)

    written = lb.write_adapter(tmp_path, {NAME: best}, format=kind, dtype=dtype)

    (matrix,) = written.matrices
    tensors, config = tensors_of(tmp_path), config_of(tmp_path)
    stored, norm = ORACLES[kind](tensors, config), np.linalg.norm(dW)
    moved = np.linalg.norm(np.asarray(best) - stored)
    assert abs(matrix.rounding - moved) <= 1e-13 * norm
    assert moved <= 4 * UNIT[dtype] * norm
    assert np.linalg.norm(dW - stored) <= matrix.error_bound
    assert matrix.stored == sum(array.size for array in tensors.values()) == written.stored
    assert matrix.n_parameters + matrix.padded == matrix.stored
    assert (matrix.error, matrix.norm) == (best.error, pytest.approx(norm))


def test_numbers_that_fill_up(tmp_path):
    dW = np.zeros((8, 12))
    dW[:4, :6] = normal(4, 2) @ normal(2, 6, seed=1)
    dW[4:, 6:] = np.outer(normal(4), normal(6, seed=2))
    best = lb.approximate(dW, lb.Localized(2), budget=30)
    assert best.ranks.tolist() == [2, 0, 0, 1]

    grid = lb.write_adapter(tmp_path / "grid", {NAME: best}, format="gralora")
    plain = lb.write_adapter(tmp_path / "plain", {NAME: best}, format="lora")

    assert (grid.matrices[0].rank, grid.n_parameters, grid.stored, grid.padded) == (4, 30, 80, 50)
    assert (plain.matrices[0].rank, plain.stored, plain.padded) == (3, 60, 30)
    assert lb.write_adapter(tmp_path / "chosen", {NAME: best}).format == "lora"


def test_gralora_has_one_rank_and_bdlora_one_for_each_module(tmp_path):
    grids = {f"m{k}.weight": lb.approximate(normal(8, 8), lb.Localized(2), rank=2 * k) for k in (1, 2)}
    stripes = {
        f"m{k}.weight": lb.approximate(normal(8, 8), lb.Localized(1, 2), rank=2 * k, allocate=lb.uniform)
        for k in (1, 2)
    }

    assert len({m.rank for m in lb.write_adapter(tmp_path / "g", grids, format="gralora").matrices}) == 1
    assert [m.rank for m in lb.write_adapter(tmp_path / "b", stripes, format="bdlora").matrices] == [2, 4]


RANKS = {
    "global": (lb.Global(), 5),
    "diagonal": (lb.DiagonalLocal(4), 20),
    "columns": (lb.Localized(1, 4), 20),
    "grid": (lb.Localized(2), 20),
    "rows are full": (lb.Localized(2, 8), 24),  # 8 blocks of rank 5 of 12 rows each
    "columns are full": (lb.Localized(8, 2), 24),
    "the matrix is full": (lb.HODLR(2), 24),  # rows and columns by themselves would take more
}


@pytest.mark.parametrize(("structure", "rank"), RANKS.values(), ids=RANKS)
def test_rank_of_joined_blocks(tmp_path, structure, rank):
    parts = lb.decompose(normal(24, 24), structure)
    best = parts.truncate([min(5, *shape) for shape in structure.layout((24, 24)).block_shapes])

    written = lb.write_adapter(tmp_path, {NAME: best}, format="lora")

    dense = np.asarray(best)
    assert written.matrices[0].rank == rank
    assert np.linalg.matrix_rank(dense) <= rank
    np.testing.assert_allclose(lora(tensors_of(tmp_path), config_of(tmp_path)), dense, atol=1e-5)


def test_factors_that_are_exactly_zero_are_left_out(tmp_path):
    best = lb.decompose(np.diag([2.0, 1, 0, 0]), lb.Global()).truncate([4])
    assert best.ranks.tolist() == [4]

    assert lb.write_adapter(tmp_path, {NAME: best}).matrices[0].rank == 2


def test_the_format_of_fewest_numbers(tmp_path):
    stripes = lb.approximate(normal(24, 24), lb.Localized(4, 1), rank=4, allocate=lb.uniform)
    grid = lb.approximate(normal(24, 24), lb.Localized(2), rank=4, allocate=lb.uniform)

    assert lb.write_adapter(tmp_path, {"a.weight": stripes}).format == "bdlora"
    assert lb.write_adapter(tmp_path, {"a.weight": grid}).format == "gralora"
    assert lb.write_adapter(tmp_path, {"a.weight": stripes, "b.weight": grid}).format == "lora"
    assert lb.write_adapter(tmp_path, {"a.weight": stripes}, flipped=["a.weight"]).format == "lora"


MODULES = ["q", "x.q", "y.x.q", "x.aq", "layer.1.q", "layer.11.q", "layerx1.q", "a+b.q", "layer.1.q.q"]


def test_patterns_match_their_own_modules_only(tmp_path):
    best = {f"{m}.weight": lb.approximate(normal(12, 12), lb.Global(), rank=k) for k, m in enumerate(MODULES)}

    written = lb.write_adapter(tmp_path, best)

    config = config_of(tmp_path)
    assert written.left_out == ("q.weight",)  # of rank 0
    assert config["alpha_pattern"] == config["rank_pattern"]
    assert config["r"] == config["lora_alpha"] == len(MODULES) - 1
    for k, module in enumerate(MODULES):
        assert bool(re.fullmatch(config["target_modules"], module)) == (k > 0)
        keys = [key for key in config["rank_pattern"] if re.match(rf"(.*\.)?({key})$", module)]
        assert [config["rank_pattern"][key] for key in keys] == ([k] if 0 < k < len(MODULES) - 1 else [])
    for other in ["z.q", "z.layer.1.q", "layer.1.qq", "ayer.1.q"]:
        assert not re.fullmatch(config["target_modules"], other)
        assert not any(re.match(rf"(.*\.)?({key})$", other) for key in config["rank_pattern"])


def test_the_same_input_gives_the_same_bytes(tmp_path):
    best = {f"m{k}.weight": lb.approximate(normal(9, 7, seed=k), lb.Localized(3), rank=k) for k in range(4)}
    for folder in ("first", "second"):
        lb.write_adapter(tmp_path / folder, best, metadata={"z": 1, "a": [2.5]}, rest={"n.bias": np.ones(3)})

    names = ["README.md", "adapter_config.json", "adapter_model.safetensors", "lowrank_blocks.json"]
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == names
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_the_record(tmp_path):
    best = {
        NAME: lb.approximate(normal(9, 7), lb.Localized(3), rank=2),
        "zero.weight": lb.approximate(normal(9, 7), lb.Global(), rank=0),
    }

    written = lb.write_adapter(tmp_path, best, base_model="some/base", metadata={"command": "extract"})

    record = json.loads((tmp_path / "lowrank_blocks.json").read_text())
    assert record["metadata"] == {"command": "extract"}
    assert record["versions"]["lowrank_blocks"] == lb.__version__
    assert record["left_out"] == ["zero.weight"]
    assert record["matrices"][0]["relative_error"] == best[NAME].relative_error
    assert record["stored"] == written.stored
    assert config_of(tmp_path)["base_model_name_or_path"] == record["base_model"] == "some/base"
    assert written.table.rows[0][0] == NAME
    assert "zero.weight" in str(written)
    assert repr(written).startswith("WrittenAdapter(lora, 1 matrix in float32, ")


def test_names_in_the_card_are_text(tmp_path):
    hostile = "a|b\n# title `x` <script>.weight"

    lb.write_adapter(
        tmp_path,
        {hostile: lb.approximate(np.eye(3), lb.Global(), rank=1)},
        base_model='x"\n---\ntags: <b>',
        rest={"<i>\n.bias": np.ones(1)},
    )

    card = (tmp_path / "README.md").read_text()
    assert "\n# title" not in card
    assert not re.search(r"(?<!\\)<(script|b|i)>", card.split("---\n", 2)[2])
    assert card.splitlines()[1] == r'base_model: "x\"\n---\ntags: <b>"'
    assert card.count("\n---\n") == 1


def test_tiny_and_huge_entries(tmp_path):
    for scale in (1e-60, 1e60):
        best = lb.approximate(normal(6, 8) * scale, lb.Global(), rank=2)

        (matrix,) = lb.write_adapter(tmp_path, {NAME: best}).matrices

        dense = tensors_of(tmp_path)
        moved = (lora(dense, config_of(tmp_path)) - np.asarray(best)) / scale
        assert matrix.rounding / scale == pytest.approx(np.linalg.norm(moved), rel=1e-6)


def test_whole_tensors_keep_their_type(tmp_path):
    best = lb.approximate(normal(6, 8), lb.Localized(2), rank=1)
    rest = {"n.weight": np.ones(3, np.float16), "n.bias": np.ones(3, ">f4"), "scale": np.float64(2.0)}

    lb.write_adapter(
        tmp_path, {NAME: best}, dtype="bfloat16", rest=rest | {"encoder.layer.0.query.bias": [1.5]}
    )

    stored = load_file(tmp_path / "adapter_model.safetensors")
    prefix = "base_model.model."
    assert stored[prefix + "n.weight"].dtype == np.float16
    assert stored[prefix + "n.bias"].dtype == np.float32
    assert stored[prefix + "scale"] == 2.0
    assert stored[KEY + "base_layer.bias"].tolist() == [1.5]
    assert config_of(tmp_path)["bias"] == "all"
    assert set(lb.load_adapter(tmp_path).rest) == {*rest, "encoder.layer.0.query.bias"}
