"""The best partition of a matrix, with a proof."""
