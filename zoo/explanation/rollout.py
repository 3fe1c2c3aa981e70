"""Attention rollout (Abnar & Zuidema, "Quantifying attention flow in transformers", ACL 2020)."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.errors import ZooError
from zoo.explanation.questions import Question
from zoo.specs import ImageInput, TokenInput
from zoo.tokenizers import PADDING

EXTRA = 8  # tokens that may stand before an image's patches: a class token, registers


def attention_rollout(module: nn.Module, question: Question) -> Tensor:
    """What a stack of self-attention passes from each part of the input to its end (section 3)."""
    if question.decodes:
        raise ZooError("attention-rollout follows one stack, not encoder and decoder; say --method occlusion")
    with torch.no_grad(), seen_attention() as maps:
        question.ask(module, question.inputs)
    if not maps or any(seen.shape != maps[0].shape or seen.shape[0] != seen.shape[1] for seen in maps):
        raise ZooError(
            "attention-rollout needs a stack of self-attention over all of the input, which this model has "
            "not; say --method integrated-gradients"
        )
    joint = torch.eye(len(maps[0]), device=maps[0].device)
    for seen in maps:  # half of what goes on is what was there before: the shortcut around the attention
        joint = (seen + torch.eye(len(seen), device=seen.device)) / 2 @ joint
    return _spread(joint, question)


def _spread(joint: Tensor, question: Question) -> Tensor:
    """What the end of the stack has of each of its N elements, `joint[N, N]`, on the parts of the input."""
    inputs, count = question.inputs, len(joint)
    if isinstance(question.kind, ImageInput):
        extra, rows, columns = _grid(count, *inputs.shape[2:])
        share = joint[0] if extra else joint.mean(dim=0)  # a class token's, or that of the mean
        patches = share[extra:].view(1, 1, rows, columns)
        return F.interpolate(patches, inputs.shape[2:], mode="bilinear")[0, 0]
    length = inputs.shape[1]
    if isinstance(question.kind, TokenInput):
        width = math.ceil(length / count)  # tokens that an element stands for
        real = int((inputs[0] != PADDING).sum().clamp_min(1))
        share = joint[-1] if question.causal else joint[: math.ceil(real / width)].mean(dim=0)
        return share.repeat_interleave(width)[:real]
    share = joint.mean(dim=0)[None, None]
    return F.interpolate(share, length, mode="linear")[0, 0, :, None].expand(-1, inputs.shape[2])


def _grid(count: int, height: int, width: int) -> tuple[int, int, int]:
    """How many of `count` elements are no patches, and the rows and columns of those that are."""
    for extra in range(min(EXTRA, count)):
        rows = max(1, round(math.sqrt((count - extra) * height / width)))
        columns, left = divmod(count - extra, rows)
        if not left and abs(columns * height - rows * width) < max(height, width):
            return extra, rows, columns
    raise ZooError(
        f"attention-rollout finds no grid of patches in {count} elements; say --method integrated-gradients"
    )


@contextlib.contextmanager
def seen_attention() -> Iterator[list[Tensor]]:
    """Collects every attention that is computed, `[T, S]`: the mean over heads and batch.

    The function is exchanged by name, as models call it. Attention to the rows of the identity matrix is
    the attention itself, whatever mask and scale there are.
    """
    plain, maps = F.scaled_dot_product_attention, list[Tensor]()

    def attend(query: Tensor, key: Tensor, value: Tensor, *args: Any, **options: Any) -> Tensor:
        each = torch.eye(key.shape[-2], dtype=value.dtype, device=value.device)
        seen = plain(query, key, each.expand(*value.shape[:-2], -1, -1), *args, **options)
        maps.append(seen.float().flatten(0, -3).mean(dim=0))
        return plain(query, key, value, *args, **options)

    F.scaled_dot_product_attention = attend
    try:
        yield maps
    finally:
        F.scaled_dot_product_attention = plain
