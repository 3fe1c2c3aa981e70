"""TextCNN (Kim, "Convolutional neural networks for sentence classification", EMNLP 2014)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo

PADDING = 0


def textcnn(
    problem: zoo.Problem,
    *,
    embedding: int = 64,
    maps: int = 256,
    widths: Sequence[int] = (3, 4, 5),
    dropout: float = 0.5,
) -> nn.Module:
    """The paper's network over tokens that are embedded from scratch: tokens `[B, T]` to logits `[B, K]`.

    `embedding` is the size of a token's vector, `maps` the number of feature maps of each of the
    convolutions, `widths` how many tokens each of them sees. The paper has 300, 100 and (3, 4, 5)
    with words; the defaults are for bytes, of which there are few, in many combinations. Weight
    decay stands in for the paper's limit on the norm of the last layer's weights.

    Raises `zoo.SpecError` for a problem without tokens or classes.
    """
    tokens, classes = problem.expect("textcnn", zoo.TokenInput, zoo.Classes)
    return TextCNN(tokens.vocab_size, classes.count, embedding, maps, widths, dropout)


class TextCNN(nn.Module):
    """Convolutions side by side, each reduced to its maximum over the text (equations 1 to 4)."""

    def __init__(
        self,
        vocab_size: int,
        classes: int,
        embedding: int,
        maps: int,
        widths: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding, padding_idx=PADDING)
        self.convolutions = nn.ModuleList(nn.Conv1d(embedding, maps, width) for width in widths)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(maps * len(widths), classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `[B, T]` to logits `[B, K]`; neither the amount of padding nor its side matters."""
        padding = (tokens == PADDING)[:, None]  # [B, 1, T]
        embedded = self.embedding(tokens).transpose(1, 2).masked_fill(padding, 0)  # [B, E, T]
        peaks = [self._peak(convolution, embedded, padding) for convolution in self.convolutions]
        logits: Tensor = self.head(self.dropout(torch.cat(peaks, dim=1)))
        return logits

    def _peak(self, convolution: nn.Module, embedded: Tensor, padding: Tensor) -> Tensor:
        """The largest response of each map to a window that starts at a token, `[B, maps]`."""
        beyond = convolution.kernel_size[0] - 1  # so that there is a window at every token
        responses = convolution(F.pad(embedded, (0, beyond)))  # [B, maps, T]
        # ReLU follows, and leaves nothing under zero: zero changes no maximum, and is all that is
        # left of a text of nothing but padding.
        return responses.masked_fill(padding, 0).amax(dim=2).relu()
