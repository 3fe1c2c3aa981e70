"""timm's own constructor (Wightman, "PyTorch Image Models") as a zoo builder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
import torch
from timm.models import PretrainedCfg, get_pretrained_cfg
from torch import Tensor, nn

import zoo
from zoo_timm.features import as_features
from zoo_timm.options import FEATURES, arguments_of


def build(problem: zoo.Problem, *, architecture: str, **options: Any) -> nn.Module:
    """The `architecture` of timm, newly initialised: images `[B, C, H, W]` to logits `[B, K]`.

    That is what `timm.create_model` gives for the problem's classes, channels and, where the
    architecture is built for one size of image, that size; `options` go there too, such as
    `drop_path_rate=0.1`, for which `drop_path` may stand. With `features_only=True` it gives feature maps in
    place of logits, of which `out_indices` choose some (`zoo_timm.features`). The few encoders that end in
    tokens or feature maps get a dense layer on their mean, named `head`, beside their own tensors.

    Raises `zoo.SpecError` for a problem without images or classes, for an architecture that the
    installed timm lacks, for a size of image that the architecture cannot do, and for options that make no
    sense.
    """
    image, classes = problem.expect(architecture, zoo.ImageInput, zoo.Classes)
    if not timm.is_model(architecture):
        raise zoo.SpecError(architecture, [f"no such architecture in timm {timm.__version__}"])
    arguments = arguments_of(architecture, options)
    features, indices = (arguments.pop(name, None) for name in FEATURES)
    cfg = config_of(architecture)
    if cfg.fixed_input_size:
        arguments = {"img_size": (image.height, image.width), **arguments}
    arguments = {"num_classes": classes.count, "in_chans": image.channels, **arguments}
    if (image.height, image.width) != tuple(cfg.input_size[1:]):
        _check_size(architecture, image, arguments)
    model = _create(architecture, arguments, asked=options)
    model.created_with = architecture, arguments  # by which `adapt` has weights of another size fitted
    if features:
        return as_features(model, architecture, arguments, indices)
    # The encoders have no classes, whatever they are asked for.
    made: nn.Module = model if model.num_classes else _with_head(model, classes.count)
    return made


def _create(architecture: str, arguments: dict[str, Any], *, asked: Mapping[str, Any]) -> Any:
    """As `timm.create_model`; raises `zoo.SpecError` for an architecture that leaves no paths out."""
    try:
        return timm.create_model(architecture, **arguments)
    except TypeError as error:
        if "drop_path" in asked and "'drop_path_rate'" in str(error):
            raise zoo.SpecError(architecture, ["has no drop_path; leave the option out"]) from None
        raise


def config_of(name: str) -> PretrainedCfg:
    """What timm says of an architecture, or of weights: the size of the images, the classes, the licence."""
    return get_pretrained_cfg(name) or PretrainedCfg()


def _check_size(architecture: str, image: zoo.ImageInput, options: dict[str, Any]) -> None:
    """Raises `zoo.SpecError` where a forward pass on the meta device, which costs little, fails.

    Many architectures can be built for sizes that they cannot do, and fail at their first image.
    """
    try:
        with torch.device("meta"), torch.no_grad():
            model = timm.create_model(architecture, **options).eval()
            model(torch.empty(1, image.channels, image.height, image.width))
    except (ArithmeticError, AssertionError, RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        size = f"{image.height} x {image.width}"
        raise zoo.SpecError(architecture, [f"cannot do images of {size} pixels: {reason}"]) from error


def _with_head(encoder: Any, classes: int) -> nn.Module:
    """The encoder with a classifier on the mean of what it gives.

    It is added from outside, so that the encoder's tensors keep the names they have in weights.
    """
    encoder.head = nn.Linear(encoder.head_hidden_size, classes)
    encoder.register_forward_hook(_classify)
    module: nn.Module = encoder
    return module


def _classify(encoder: Any, images: tuple[Tensor, ...], features: Tensor) -> Tensor:
    """Tokens `[B, N, F]` or feature maps `[B, F, H, W]` to logits `[B, K]`."""
    pooled = features.mean(dim=1) if features.dim() == 3 else features.mean(dim=(2, 3))  # [B, F]
    logits: Tensor = encoder.head(pooled)
    return logits
