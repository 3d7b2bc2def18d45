"""Second moments of the inputs of the linear layers of a torch model, as weights of their updates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Moments = dict[str, NDArray[np.float64]]


def second_moments(model: Any, batches: Iterable[Any], *, include: str | None = None) -> Moments:
    """Run a model on batches, and return the mean of ``x x^T`` over the inputs x of every linear layer.

    With these as column weights, the error of an update is the error of the outputs of its layer.

    Parameters
    ----------
    model : torch.nn.Module
        Its `torch.nn.Linear` layers, and those of transformers' Conv1D, are looked at. It is run as it is:
        call ``model.eval()`` before.
    batches : iterable
        Each is a dict, passed as keywords, a tuple, passed as arguments, or one argument.
    include : str, optional
        Regular expression that must be found in the name of a weight.

    Returns
    -------
    dict of str to (n, n) array
        By the name of the weight, as checkpoints have it. Of a layer that never ran there is none.

    Raises
    ------
    ModuleNotFoundError
        If torch is not installed.
    ValueError
        If no linear layer has a name that `include` finds, or there is no batch.

    Examples
    --------
    With torch, where `model` and `batches` are your own::

        moments = lb.second_moments(model.eval(), batches)
        best = lb.approximate(dW, lb.Global(), rank=16, col_weights=moments[name])
    """
    import torch

    pattern = re.compile(include or "")
    layers = {
        f"{name}.weight": module
        for name, module in model.named_modules()
        if (isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D")
        and pattern.search(f"{name}.weight")
    }
    if not layers:
        raise ValueError(f"include must find the weight of a linear layer, got {include!r}.")
    sums: dict[str, tuple[Any, int]] = {}
    hooks = [module.register_forward_pre_hook(_summing(sums, name)) for name, module in layers.items()]
    count = 0
    try:
        with torch.no_grad():
            for batch in batches:
                _run(model, batch)
                count += 1  # batches may be none
    finally:
        for hook in hooks:
            hook.remove()
    if not count:
        raise ValueError("batches must hold at least one batch, got none.")
    return {name: (total / samples).cpu().numpy() for name, (total, samples) in sums.items()}


def _summing(sums: dict[str, tuple[Any, int]], name: str) -> Any:
    def hook(_: Any, inputs: tuple[Any, ...]) -> None:
        x = inputs[0].detach().double().reshape(-1, inputs[0].shape[-1])
        total, samples = sums.get(name, (0.0, 0))
        sums[name] = total + x.T @ x, samples + len(x)

    return hook


def _run(model: Any, batch: Any) -> None:
    if isinstance(batch, Mapping):
        model(**batch)
    elif isinstance(batch, tuple):
        model(*batch)
    else:
        model(batch)
