"""Multinomial logistic regression: one dense layer over the pixels."""

from collections import OrderedDict

from torch import nn

import zoo


def linear(problem: zoo.Problem, *, dropout: float = 0.0) -> nn.Module:
    """Images `[B, C, H, W]` to logits `[B, K]`; raises `zoo.SpecError` for a problem of another kind."""
    image, classes = problem.expect("linear", zoo.ImageInput, zoo.Classes)
    pixels = image.channels * image.height * image.width
    head = nn.Linear(pixels, classes.count)  # [B, C * H * W] to [B, K]
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), dropout=nn.Dropout(dropout), head=head))
