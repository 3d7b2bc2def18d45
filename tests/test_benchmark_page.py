"""The page of benchmarks is written part by part."""

import sys
from pathlib import Path


def test_a_part_is_measured_again_and_the_others_are_kept(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent / "benchmarks")
    import bench

    try:
        page = bench.merged("", ["## Memory\n\nold\n", "## Import\n\nkept ## here\n"])
        page = bench.merged(page, ["## One block: leading factors\n\nfirst\n", "## Memory\n\nnew\n"])
    finally:
        for name in ("bench", "measures", "rivals", "timing"):
            sys.modules.pop(name, None)
    assert page.startswith("# Benchmarks\n\nWritten by")
    assert page.count("# Benchmarks\n") == 1
    assert page.endswith(
        "\n## One block: leading factors\n\nfirst\n\n## Memory\n\nnew\n\n## Import\n\nkept ## here\n"
    )
