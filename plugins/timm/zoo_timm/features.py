"""An architecture that gives its feature maps in place of classes, as timm's `features_only` does."""

from __future__ import annotations

from functools import partial
from typing import Any

import timm
import torch
from torch import nn

import zoo


def as_features(model: Any, architecture: str, options: dict[str, Any], indices: Any) -> nn.Module:
    """The model, which from now on maps images `[B, C, H, W]` to a list of maps `[B, F, H', W']`.

    The maps are those that timm gives for `out_indices=indices`, by default those of its choice, and
    `feature_info` tells of each, as timm's does. All tensors stay where they are, the head's too, so that
    the file of an architecture's weights fits; timm's own models of this kind drop or rename some.

    Raises `zoo.SpecError` for indices that the architecture does not have, or where it has no such maps.
    """
    chosen = {} if indices is None else {"out_indices": indices}
    try:
        with torch.device("meta"):
            told: Any = timm.create_model(architecture, features_only=True, **chosen, **options)
        count = len(told.feature_info)
        taken = [range(count)[index] for index in told.feature_info.out_indices]  # counted from the first
    except (AssertionError, AttributeError, IndexError, KeyError, RuntimeError) as error:
        count = len(getattr(model, "feature_info", ()))
        if indices is not None and count and not _within(indices, count):
            fault = f"out_indices = {indices!r}: it has {count} feature maps, numbered 0 to {count - 1}"
        else:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            fault = f"features_only: timm gives no feature maps of it: {reason}"
        raise zoo.SpecError(architecture, [fault]) from None
    if not hasattr(model, "forward_intermediates"):
        raise zoo.SpecError(architecture, ["features_only: it has no feature maps to give"])
    model.feature_info = told.feature_info
    model.forward = partial(model.forward_intermediates, indices=taken, intermediates_only=True)
    module: nn.Module = model
    return module


def _within(indices: Any, count: int) -> bool:
    if isinstance(indices, int):
        return indices <= count
    return all(-count <= index < count for index in indices)
