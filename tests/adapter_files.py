"""What adapter directories hold, by the formulas of the formats: without the package and without torch."""

import json
from itertools import product

import ml_dtypes
import numpy as np
from safetensors.numpy import load_file

NAME = "encoder.layer.0.query.weight"
KEY = "base_model.model.encoder.layer.0.query."


def config_of(folder):
    return json.loads((folder / "adapter_config.json").read_text())


def tensors_of(folder):
    assert ml_dtypes.bfloat16  # numpy needs it to read them
    return {k: v.astype(np.float64) for k, v in load_file(folder / "adapter_model.safetensors").items()}


def lora(tensors, config):
    return (
        config["lora_alpha"] / config["r"] * tensors[KEY + "lora_B.weight"] @ tensors[KEY + "lora_A.weight"]
    )


def gralora(tensors, config):
    """Output o of part i gets, over all parts j, B[i, rank, o] of the ranks that part i has in A[j]."""
    a, b = tensors[KEY + "gralora_A"], tensors[KEY + "gralora_B"]
    parts, r = config["gralora_k"], config["r"]
    share, p, q = r // parts, b.shape[2], a.shape[1]
    dense = np.zeros((parts * p, parts * q))
    for i, j, o, c in product(range(parts), range(parts), range(p), range(q)):
        ranks_b, ranks_a = b[i, j * share : (j + 1) * share, o], a[j, c, i * share : (i + 1) * share]
        dense[i * p + o, j * q + c] = ranks_b @ ranks_a
    return config["alpha"] / r * dense


def diagonal(stacked, parts):
    blocks = np.split(stacked, parts)
    (p, q), dense = blocks[0].shape, np.zeros((len(stacked), parts * stacked.shape[1]))
    for k, block in enumerate(blocks):
        dense[k * p : (k + 1) * p, k * q : (k + 1) * q] = block
    return dense


def bdlora(tensors, config):
    a, b, blocks = tensors[KEY + "lora_A.weight"], tensors[KEY + "lora_B.weight"], config["use_bdlora"]
    if blocks["target_modules_bd_a"]:
        a = diagonal(a, blocks["nblocks"])
    else:
        b = diagonal(b, blocks["nblocks"])
    return config["lora_alpha"] / config["r"] * b @ a


ORACLES = {"lora": lora, "gralora": gralora, "bdlora": bdlora}
