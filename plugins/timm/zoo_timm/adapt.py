"""Weights for images of another size or with other channels, fitted as timm does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
import torch
from timm.models import adapt_input_conv
from torch import Tensor

ANY_CLASSES = -1  # no number of classes: timm leaves the classifier as it is initialised


def adapt(tensors: dict[str, Tensor], module: Any) -> dict[str, str]:
    """First convolutions summed or repeated to the image's channels, what has to do with its size resampled.

    Positions, relative positions and the like are resampled as the architecture's own code in timm does it;
    what that cannot do stays as it is. Changes `tensors` where shapes differ, and returns what was done to
    which.
    """
    wanted = {name: tensor.shape for name, tensor in module.state_dict().items()}
    told = _fit_channels(tensors, module, wanted)
    heads = tuple(f"{name}." for name in _named(module, "classifier"))
    differing = [
        name
        for name, tensor in tensors.items()
        if tensor.shape != wanted.get(name, tensor.shape) and not name.startswith(heads)
    ]
    fitted = _fit_sizes(tensors, module) if differing else {}
    for name in differing:
        if name in fitted:
            told[name] = f"resampled from {_shape(tensors[name])} to {_shape(fitted[name])}"
            tensors[name] = fitted[name]
    return told


def _fit_channels(
    tensors: dict[str, Tensor], module: Any, wanted: Mapping[str, torch.Size]
) -> dict[str, str]:
    told = {}
    for name in _named(module, "first_conv"):
        key = f"{name}.weight"
        given, channels = tensors.get(key), wanted[key][1] if key in wanted else 0
        if given is not None and channels and given.shape[1] != channels:
            tensors[key] = adapt_input_conv(channels, given, base_chans=given.shape[1])
            told[key] = f"{given.shape[1]} to {channels} input channels"
    return told


def _fit_sizes(tensors: dict[str, Tensor], module: Any) -> dict[str, Tensor]:
    """The tensors as a second model made by timm with the same arguments holds them; none if it cannot."""
    architecture, arguments = module.created_with
    given = {"state_dict": dict(tensors), "num_classes": ANY_CLASSES}
    try:
        twin = timm.create_model(architecture, pretrained=True, pretrained_cfg_overlay=given, **arguments)
    except RuntimeError:  # torch's, of shapes that still differ
        return {}
    return dict(twin.state_dict())


def _named(module: Any, part: str) -> tuple[str, ...]:
    """The modules that timm's configuration names as that part: none, one or several."""
    names = getattr(module, "pretrained_cfg", {}).get(part) or ()
    return (names,) if isinstance(names, str) else tuple(names)


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape))
