"""A genuine fine-tuning update that ships with the package."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def load_example() -> dict[str, NDArray[np.float32]]:
    """Return six genuine weight updates of one encoder layer, fine-tuned minus pre-trained.

    They come from layer 0 of the BERT in rxnfp 0.1.0, rounded to float16; rows are output
    features, as in ``torch.nn.Linear.weight``. Their licence is in the same folder.

    Returns
    -------
    dict of str to (m, n) array of float32
        query, key, value and attention_output, 256×256; intermediate, 512×256; output, 256×512.
        New arrays at every call.

    References
    ----------
    Schwaller et al., Nature Machine Intelligence 3 (2021), doi 10.1038/s42256-020-00284-w.

    Examples
    --------
    >>> import lowrank_blocks as lb
    >>> {name: dW.shape for name, dW in lb.load_example().items()}["intermediate"]
    (512, 256)
    """
    from importlib.resources import files  # costs more to import than the rest of this module

    path = files("lowrank_blocks.datasets") / "data" / "rxnfp_layer0.npz"
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        return {name: archive[name].astype(np.float32) for name in archive.files}
