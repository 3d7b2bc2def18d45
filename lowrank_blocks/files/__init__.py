"""Matrices in from .npy and .npz files, and files out, whole or not at all."""

from lowrank_blocks.files._finding import DEFAULT_MEMORY, find_matrices, read_array
from lowrank_blocks.files._stored import StoredMatrix
from lowrank_blocks.files._writing import require_writable, write_files

__all__ = [
    "DEFAULT_MEMORY",
    "StoredMatrix",
    "find_matrices",
    "read_array",
    "require_writable",
    "write_files",
]
