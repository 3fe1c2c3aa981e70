"""BiLSTM with max pooling (Conneau et al., "Supervised learning of universal representations", 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from zoo_lstm.lengths import PADDING, embed, last_states, real_lengths, real_steps
from zoo_lstm.recurrent import Plan, Stack, read

POOLINGS = ("max", "attention", "last")


def classifier(
    problem: zoo.Problem,
    *,
    cell: str = "lstm",
    embedding: int = 32,
    units: int = 128,
    layers: int = 1,
    bidirectional: bool = True,
    pooling: str = "max",
    patch: int = 4,
    dropout: float = 0.3,
    variational: bool = False,
    weight_dropout: float = 0.0,
    residual: bool = False,
    projection: int = 0,
    remember: int = 0,
) -> nn.Module:
    """One network for text and series: tokens `[B, T]` or series `[B, T, C]` to logits `[B, K]`.

    Tokens become vectors of `embedding` numbers; series are numbers already. The network reads `patch`
    steps at once: it is that much faster, and has fewer steps to remember over (Chan et al. 2016 join
    steps likewise). `units` are those of each direction of each of `layers`; `dropout` lies between
    layers and before the head. Normalisation before the pooling is an addition to the paper's network.

    `pooling` makes one vector of all states: `max` takes each feature's maximum, `attention` a mean with
    learnt weights (Yang et al. 2016), `last` each direction's state at its end. The other options are
    those of `zoo_lstm.recurrent.Plan`.

    Raises `zoo.SpecError` for a problem without classes, or one of images, and for options that do not fit.
    """
    if pooling not in POOLINGS:
        raise zoo.SpecError("classifier", [f"pooling = {pooling!r}: known: {', '.join(POOLINGS)}"])
    plan = Plan(
        model="classifier",
        cell=cell,
        units=(units,) * layers,
        dropout=dropout,
        variational=variational,
        weight_dropout=weight_dropout,
        residual=residual,
        projection=projection,
        remember=remember,
        bidirectional=bidirectional,
    )
    vectors: nn.Embedding | None = None
    if isinstance(problem.input, zoo.SeriesInput):
        series, classes = problem.expect("classifier", zoo.SeriesInput, zoo.Classes)
        size = series.channels
    else:
        tokens, classes = problem.expect("classifier", zoo.TokenInput, zoo.Classes)
        vectors, size = nn.Embedding(tokens.vocab_size, embedding, padding_idx=PADDING), embedding
    return Classifier(plan, vectors, size, classes.count, pooling, patch)


class Classifier(nn.Module):
    """Recurrent layers, and one vector of the states of those steps that are real."""

    def __init__(
        self, plan: Plan, embedding: nn.Embedding | None, size: int, classes: int, pooling: str, patch: int
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.patch = patch
        self.bidirectional = plan.bidirectional
        self.layers = Stack(plan, patch * size)
        self.norm = nn.LayerNorm(plan.width)
        self.pooling = pooling
        self.attention = Attention(plan.width) if pooling == "attention" else None
        self.dropout = nn.Dropout(plan.dropout)
        self.head = nn.Linear(plan.width, classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Tokens `[B, T]` or series `[B, T, C]` to logits `[B, K]`; padding after a text changes nothing."""
        patches, lengths = self._patches(inputs)  # [B, P, patch * size], [B]
        states, _ = read(self.layers, patches, lengths=lengths)  # [B, P, width]
        pooled = self._pool(self.norm(states), lengths)  # [B, width]
        logits: Tensor = self.head(self.dropout(pooled))
        return logits

    def _pool(self, states: Tensor, lengths: Tensor) -> Tensor:
        if self.pooling == "last":
            return last_states(states, lengths, bidirectional=self.bidirectional)
        real = real_steps(lengths, states.shape[1])[:, :, None]  # [B, P, 1]
        if self.attention is not None:
            pooled: Tensor = self.attention(states, real)
            return pooled
        return states.masked_fill(~real, -torch.inf).amax(dim=1)

    def _patches(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors of each patch, and how many patches are real; vectors of padding are all zero."""
        if self.embedding is None:
            vectors, lengths = inputs, inputs.new_full(inputs.shape[:1], inputs.shape[1], dtype=torch.int64)
        else:
            vectors, lengths = embed(self.embedding, inputs), real_lengths(inputs)
        vectors = F.pad(vectors, (0, 0, 0, -vectors.shape[1] % self.patch))  # to whole patches
        batch, steps, size = vectors.shape
        patches = vectors.reshape(batch, steps // self.patch, self.patch * size)  # [B, P, patch * size]
        return patches, (lengths + self.patch - 1) // self.patch


class Attention(nn.Module):
    """A mean of states whose weights are learnt (Yang et al., "Hierarchical attention networks", 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.look = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, states: Tensor, real: Tensor) -> Tensor:
        """States `[B, T, width]`, of which `real[B, T, 1]` count, to their mean `[B, width]`."""
        scores = self.score(self.look(states).tanh()).masked_fill(~real, -torch.inf)  # [B, T, 1]
        mean: Tensor = (scores.softmax(dim=1) * states).sum(dim=1)
        return mean
