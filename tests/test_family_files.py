"""What is not understood of an adapter's files: the file, the field or tensor, and the value are named."""

import numpy as np
import pytest
from family_directories import CONFIG, MADE, NAMES, TENSORS, edited, with_tensors, written

import lowrank_blocks as lb
from lowrank_blocks.checkpoints.tensors import CheckpointError
from lowrank_blocks.peft.family import TellsShape

P = lb.peft
FIELDS = [
    ("lora", {"peft_type": "XLORA"}, "peft_type must be one of ADALORA, BOFT, .*, got 'XLORA'"),
    ("lora", {"peft_type": "PSOFT"}, "peft_type must be one of .*, got 'PSOFT'"),
    ("lora", {"use_qalora": True}, r"use_qalora must be off for LoRA\(r=3\), got True"),
    ("lora", {"something_new": 3}, r"something_new must be off for LoRA\(r=3\), got 3"),
    ("lora", {"lora_bias": True}, "lora_bias must be off"),
    ("lora", {"init_lora_weights": "pissa"}, "init_lora_weights must be True for .*, got 'pissa'"),
    ("lora", {"r": "8"}, "r must be a positive integer, got '8'"),
    ("lora", {"r": ...}, "must have the field r, got none"),
    ("lora", {"lora_alpha": None}, "lora_alpha must be a finite number, got None"),
    ("lora", {"lora_alpha": True}, "lora_alpha must be a finite number, got True"),
    ("lora", {"alpha_pattern": {"(": 3}}, "alpha_pattern must have regular expressions as keys"),
    ("lora", {"use_dora": True, "use_rslora": True}, r"use_dora must be False for RsLoRA\(r=3\), got True"),
    ("kasa", {"kasa_config": True}, "kasa_config must be an object, got True"),
    ("bdlora A", {"use_bdlora": True}, "use_bdlora must be an object, got True"),
    (
        "bdlora A",
        {"use_bdlora": {"nblocks": 3, "target_modules_bd_a": ["q"], "target_modules_bd_b": []}},
        "use_bdlora must have parts of 'layers.1.mlp.up' in one of its two lists, got {'nblocks': 3",
    ),
    ("bdlora A", {"use_bdlora": {"nblocks": 3}}, "use_bdlora must have the field target_modules_bd_a"),
    ("bdlora A", {"r": 7}, "k must divide the rank r, 7, got 3"),
    ("adalora", {"rank_pattern": {"query": [True]}}, "rank_pattern must be off"),
    ("deft", {"decomposition_method": "qr"}, "decomposition_method must be 'relu' for DEFT.*, got 'qr'"),
    ("para", {"decomposition_method": "relu"}, "decomposition_method must be 'qr' for PaRa.*, got 'relu'"),
    ("gralora 2", {"hybrid_r": 2}, r"hybrid_r must be 0 for GraLoRA\(r=4, k=2\), got 2"),
    ("osf", {"effective_rank": 12}, "effective_rank must be below the smaller side .*, 12, got 12"),
    ("osf", {"effective_rank": 0.5}, "effective_rank must be a positive integer, got 0.5"),
    ("oft", {"use_cayley_neumann": True}, "use_cayley_neumann must be False for OFT.*, got True"),
    ("oft", {"use_cayley_neumann": ...}, "."),
    ("oft", {"coft": True}, "coft must be False"),
    ("boft", {"boft_n_butterfly_factor": 2}, "boft_n_butterfly_factor must be 1 for BOFT.*, got 2"),
    ("hra", {"apply_GS": False}, r"apply_GS must be True for HRA\(r=2\), got False"),
    ("hra", {"apply_GS": ...}, r"apply_GS must be True for HRA\(r=2\), got none"),
    ("road 1", {"variant": "road_3"}, "variant must be one of road_1, road_2, road_4, got 'road_3'"),
    ("road 1", {"group_size": 5}, "group_size must be even, got 5"),
    ("glora vector", {"config_A_B": "lora"}, "config_A_B must be one of vector, constant, got 'lora'"),
    ("glora vector", {"config_C": "vector"}, "config_C must be 'none'"),
    ("waveft", {"wavelet_family": "db2"}, "wavelet_family must be 'db1' for WaveFT.*, got 'db2'"),
    ("waveft", {"use_idwt": False}, "use_idwt must be True"),
    ("waveft", {"proportional_parameters": True}, "proportional_parameters must be off"),
    ("fourierft", {"random_loc_seed": None}, "random_loc_seed must be a non-negative integer, got None"),
    ("fourierft", {"n_frequency": 145}, "n_frequency must be at most the entries of the matrix, 144"),
    ("vera", {"save_projection": False}, "save_projection must be True for VeRA.*, got False"),
    ("miss mini", {"mini_r": 0}, "mini_r must be a positive integer, got 0"),
    ("miss bat", {"r": 5}, "r must divide the rows of the matrix, 12, got 5"),
    ("c3a", {"block_size_pattern": {"query": 2}}, "block_size_pattern must be off"),
    ("shira", {"mask_type": "other"}, "mask_type must be 'random'"),
    ("lokr", {"decompose_both": True}, "decompose_both must be False"),
    ("lokr", {"decompose_factor": -1}, "decompose_factor must be a positive integer, got -1"),
]


@pytest.mark.parametrize(("name", "fields", "message"), FIELDS)
def test_fields_that_are_not_understood_are_named(tmp_path, name, fields, message):
    base, _ = written(tmp_path / "a", MADE[name])
    edited(tmp_path / "a", **fields)
    if message == ".":  # what is missing is off, as here
        lb.convert(tmp_path / "a", tmp_path / "b", P.LoRA(1), base=base)
        return

    with pytest.raises(CheckpointError, match=message) as caught:
        lb.convert(tmp_path / "a", tmp_path / "b", P.LoRA(1), base=base)

    assert CONFIG in str(caught.value)
    assert not (tmp_path / "b").exists()


KEY = "base_model.model.layers.0.query."


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "lora",
            lambda t: t.pop(KEY + "lora_B.weight"),
            r"must have the tensors of LoRA\(r=3\), got {'lora_A",
        ),
        ("hira", lambda t: t.pop(KEY + "hira_B"), "must have a tensor 'hira_B' for HiRA.*, got hira_A"),
        ("lora", lambda t: t.update({KEY + "lora_C": np.ones(2)}), "must have no tensor 'lora_C' for LoRA"),
        ("lokr", lambda t: t.update({KEY + "lokr_w2": np.ones(2)}), "must have the tensors of LoKr"),
        (
            "hra",
            lambda t: t.update({KEY + "hra_u": np.ones((11, 2))}),
            r"'hra_u' of \(12, 2\) .*, got \(11, 2\)",
        ),
        (
            "vera",
            lambda t: t.update({"base_model.vera_A": np.ones((5, 9))}),
            r"'base_model.vera_A' of \(5, 12\)",
        ),
        ("vera", lambda t: t.pop("base_model.vera_A"), "must have a tensor 'base_model.vera_A'"),
        ("lora", lambda t: t.update({"other": np.ones(2)}), "'other' must be named base_model.model..."),
        (
            "lora",
            lambda t: t.clear() or t.update({"base_model.model.a": np.ones(2)}),
            "hold tensors named ...lora_",
        ),
    ],
)
def test_tensors_that_are_not_understood_are_named(tmp_path, name, change, message):
    base, _ = written(tmp_path / "a", MADE[name])
    with_tensors(tmp_path / "a", change)
    told = isinstance(MADE[name], TellsShape)

    with pytest.raises(CheckpointError, match=message) as caught:
        lb.convert(tmp_path / "a", tmp_path / "b", P.LoRA(1), base=None if told else base)

    assert TENSORS in str(caught.value)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("lora", lambda t: t[KEY + "lora_A.weight"].fill(np.nan), "lora_A.weight' must be finite"),
        ("shira", lambda t: t[KEY + "shira_indices"].fill(12), "must fit SHiRA"),
        ("shira", lambda t: t[KEY + "shira_indices"].fill(-1), "must fit SHiRA"),
    ],
)
def test_numbers_that_cannot_be_used_leave_one_matrix_out(tmp_path, name, change, message):
    base, _ = written(tmp_path / "a", MADE[name])
    with_tensors(tmp_path / "a", change)

    made = lb.convert(tmp_path / "a", tmp_path / "b", P.LoRA(12), base=base)

    assert list(made.failed) == [NAMES[0]]
    assert message in made.failed[NAMES[0]]
    assert [row[0] for row in made.table.rows] == [NAMES[1]]


def test_the_base_must_be_that_of_the_adapter(tmp_path):
    written(tmp_path / "a", P.LoRA(2))
    for base, message in [
        ({NAMES[0]: np.eye(12)}, f"must hold '{NAMES[1]}', which the adapter is for"),
        ({name: np.ones(12) for name in NAMES}, "must be a matrix, got shape"),
        ({name: np.eye(11) for name in NAMES}, r"'lora_A.weight' of \(2, 11\)"),
    ]:
        with pytest.raises(CheckpointError, match=message):
            lb.convert(tmp_path / "a", tmp_path / "b", P.LoRA(1), base=base)
