"""How a language model goes on with a text, reading each token once."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from zoo_lstm.lengths import PADDING
from zoo_lstm.state import State


class Stepping(Protocol):
    """A language model that carries a state; all of this plugin do."""

    def step(self, tokens: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Tokens `[B, T]` to logits `[B, T, V]`, and the state after them."""
        ...


@torch.inference_mode()
def generate(
    model: Stepping, tokens: Tensor, length: int, *, temperature: float = 0.8, seed: int = 0
) -> Tensor:
    """The tokens `[B, length]` that follow `tokens[B, T]`, drawn at `temperature` (0: the likeliest).

    The texts are of equal length and have no padding, which is never written either. `model` is in evaluation
    mode. The state is carried along, so that a token costs the same however long the text has become.
    """
    generator = torch.Generator().manual_seed(seed)
    written, state = [], None
    for _ in range(length):
        logits, state = model.step(tokens, state)
        last = logits[:, -1].float().cpu()  # [B, V]
        last[:, PADDING] = -torch.inf
        if temperature > 0:
            drawn = torch.multinomial((last / temperature).softmax(dim=1), 1, generator=generator)
        else:
            drawn = last.argmax(dim=1, keepdim=True)
        tokens = drawn.to(tokens.device)  # [B, 1]
        written.append(tokens)
    return torch.cat([tokens[:, :0], *written], dim=1)
