"""Weights in: tensors of checkpoints, read one at a time, and the updates between two of them."""
