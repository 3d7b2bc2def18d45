"""Spectra, ranks, truncation: the one solver behind every structure."""
