"""The formal comparison on synthetic and genuine matrices."""
