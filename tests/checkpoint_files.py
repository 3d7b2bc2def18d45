"""Checkpoint files written by the formats' definitions, whatever they hold."""

import json
import struct


def raw_safetensors(path, header, data=b""):
    """Write a file by the format's definition: length of the header, header, data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def stored(path, tensors):
    """Write tensors of any type, by the format's definition."""
    names = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16",
             "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "int64": "I64"}  # fmt: skip
    header, data = {}, b""
    for name, array in tensors.items():
        end = len(data) + array.nbytes
        header[name] = {
            "dtype": names[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [len(data), end],
        }
        data += array.tobytes()
    raw_safetensors(path, header, data)
