"""What kind of file it is that holds no arrays, and what to do with it."""

from __future__ import annotations

import codecs
from collections.abc import Iterable

ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_SAVE = "save its matrices in Python with np.savez('matrices.npz', name=matrix)"
_TENSORS = "np.savez('matrices.npz', **{{k: v.float().numpy() for k, v in {}.items()}})"
_TORCH = _TENSORS.format("torch.load(path, weights_only=True)")
_SAFETENSORS = _TENSORS.format("safetensors.torch.load_file(path)")
_OLD_TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the number that torch.save wrote first, pickled
_BY_START = {
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"MATLAB 5.0 MAT-file": "a MATLAB file",
    b"GGUF": "a GGUF file",
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "a file compressed by gzip",
    b"BZh": "a file compressed by bzip2",
    b"\xfd7zXZ\x00": "a file compressed by xz",
    b"\x28\xb5\x2f\xfd": "a file compressed by zstd",
    b"\x89PNG": "a PNG picture",
    b"%PDF": "a PDF document",
}


def kind_of_file(head: bytes) -> str:
    """Return what a file is by its first bytes, and what to do, as the end of a message."""
    for start, kind in _BY_START.items():
        if head.startswith(start):
            return f"{kind}; {_SAVE}"
    if not head:
        return "an empty file"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 40:
        return f"a safetensors file; convert it in Python: {_SAFETENSORS}"
    if head[:1] == b"\x80" and head[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        return _kind_of_pickle(head)
    if _is_text(head):
        delimiter = ", delimiter=','" if b"," in head else ""
        return f"text; a table of numbers becomes one with np.save('matrix.npy', np.loadtxt(path{delimiter}))"
    return f"a file of another kind, which begins with the bytes {head[:8].hex(' ')}; {_SAVE}"


def kind_of_archive(members: Iterable[str]) -> str | None:
    """Return what an archive without arrays is by the names of its members, or None."""
    if any(name.rsplit("/", 1)[-1] == "data.pkl" for name in members):
        return f"a PyTorch file; convert it in Python, if it holds a state dict: {_TORCH}"
    return None


def _kind_of_pickle(head: bytes) -> str:
    if head[2:].startswith(_OLD_TORCH):
        return f"a PyTorch file; convert it in Python, if it holds a state dict: {_TORCH}"
    return f"a pickle, which is not read because loading one can run any code; {_SAVE}"


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c in "\t\r\n\f\xa0" for c in text)
