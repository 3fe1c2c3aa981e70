"""BiLSTM with max pooling (Conneau et al., "Supervised learning of universal representations", 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from zoo_lstm.recurrent import PADDING, BiLSTM, real_lengths, real_steps


def classifier(
    problem: zoo.Problem,
    *,
    embedding: int = 32,
    units: int = 128,
    layers: int = 1,
    patch: int = 4,
    dropout: float = 0.3,
) -> nn.Module:
    """One network for text and series: tokens `[B, T]` or series `[B, T, C]` to logits `[B, K]`.

    Tokens become vectors of `embedding` numbers; series are numbers already. The LSTM reads `patch`
    steps at once: it is that much faster, and has fewer steps to remember over (Chan et al. 2016 join
    steps likewise). `units` are the cells of each direction of each of `layers`; `dropout` lies between
    layers and before the head. Normalisation before the pooling is an addition to the paper's network.

    Raises `zoo.SpecError` for a problem without classes, or one of images.
    """
    vectors: nn.Embedding | None = None
    if isinstance(problem.input, zoo.SeriesInput):
        series, classes = problem.expect("classifier", zoo.SeriesInput, zoo.Classes)
        size = series.channels
    else:
        tokens, classes = problem.expect("classifier", zoo.TokenInput, zoo.Classes)
        vectors, size = nn.Embedding(tokens.vocab_size, embedding, padding_idx=PADDING), embedding
    return Classifier(vectors, size, classes.count, units, layers, patch, dropout)


class Classifier(nn.Module):
    """Bidirectional LSTMs, and each feature's maximum over the steps that are real."""

    def __init__(
        self,
        embedding: nn.Embedding | None,
        size: int,
        classes: int,
        units: int,
        layers: int,
        patch: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.patch = patch
        inputs = [patch * size, *[2 * units] * (layers - 1)]
        self.layers = nn.ModuleList(BiLSTM(count, units) for count in inputs)
        self.norm = nn.LayerNorm(2 * units)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * units, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Tokens `[B, T]` or series `[B, T, C]` to logits `[B, K]`; padding after a text changes nothing."""
        states, lengths = self._read(inputs)  # [B, P, patch * size], [B]
        for number, layer in enumerate(self.layers):
            states = layer(self.dropout(states) if number else states, lengths)  # [B, P, 2 units]
        beyond = ~real_steps(lengths, states.shape[1])[:, :, None]  # [B, P, 1]
        peaks = self.norm(states).masked_fill(beyond, -torch.inf).amax(dim=1)  # [B, 2 units]
        logits: Tensor = self.head(self.dropout(peaks))
        return logits

    def _read(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors of each patch, and how many patches are real; vectors of padding are all zero."""
        if self.embedding is None:
            vectors, lengths = inputs, inputs.new_full(inputs.shape[:1], inputs.shape[1], dtype=torch.int64)
        else:
            vectors, lengths = self.embedding(inputs), real_lengths(inputs)
        vectors = F.pad(vectors, (0, 0, 0, -vectors.shape[1] % self.patch))  # to whole patches
        patches = vectors.reshape(len(vectors), -1, self.patch * vectors.shape[2])  # [B, P, patch * size]
        return patches, (lengths + self.patch - 1) // self.patch
