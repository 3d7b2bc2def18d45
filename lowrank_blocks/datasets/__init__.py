"""Synthetic targets with known optima, and a genuine update."""
