"""Weights for images with other channels: the first convolution summed or repeated, as timm does it."""

from __future__ import annotations

from timm.models import adapt_input_conv
from torch import Tensor, nn


def adapt_channels(tensors: dict[str, Tensor], module: nn.Module) -> dict[str, str]:
    """Fits the first convolution, `[maps, channels, height, width]`, to the channels of the images."""
    name = next(name for name, layer in module.named_modules() if isinstance(layer, nn.Conv2d))
    key, channels = f"{name}.weight", module.get_submodule(name).in_channels
    given = tensors.get(key)
    if given is None or given.shape[1] == channels:
        return {}
    tensors[key] = adapt_input_conv(channels, given, base_chans=given.shape[1])
    return {key: f"{given.shape[1]} to {channels} input channels"}
