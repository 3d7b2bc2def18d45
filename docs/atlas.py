"""Draw docs/atlas.png: the atlas of the embedded update, with the curves of two optima behind it."""

from pathlib import Path

import lowrank_blocks as lb
from lowrank_blocks.plotting.png import new_figure, png


def drawing() -> bytes:
    """Return the picture."""
    dW = lb.load_example()["query"]
    curves = [lb.error_curve(dW, lb.Global()), lb.partition_curve(dW, max_depth=3)]
    figure = new_figure(8.2, 5.0)
    lb.plot_atlas(lb.atlas(dW, rank=8), curves=curves, ax=figure.subplots())
    return png(figure)


if __name__ == "__main__":
    Path(__file__).with_name("atlas.png").write_bytes(drawing())
