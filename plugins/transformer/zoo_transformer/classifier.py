"""A classifier of texts: an encoder (Vaswani et al., "Attention is all you need", NeurIPS 2017) over bytes.

Before the encoder a convolution gathers neighbouring bytes, as in CANINE (Clark et al., TACL 2022).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from zoo_transformer.block import Transformer
from zoo_transformer.problems import check_heads
from zoo_transformer.tokens import embedding, real_tokens


def classifier(
    problem: zoo.Problem,
    *,
    dim: int = 96,
    depth: int = 3,
    heads: int = 4,
    stride: int = 2,
    dropout: float = 0.1,
) -> nn.Module:
    """Tokens `[B, T]` to logits `[B, K]`.

    `dim` is the size of a token's vector, `depth` the number of blocks, `heads` that of attention heads,
    `dropout` the share of what a block adds that is left out. The blocks see one vector for every
    `stride` tokens, which a convolution makes of twice as many: a byte says little by itself, and
    attention costs less where there is less to attend to. At 1 it takes pairs of neighbours.

    Raises `zoo.SpecError` for a problem without tokens or classes, or a `dim` that does not divide into
    heads.
    """
    tokens, classes = problem.expect("classifier", zoo.TokenInput, zoo.Classes)
    check_heads("classifier", dim, heads)
    return Classifier(tokens.vocab_size, classes.count, dim, depth, heads, stride, dropout)


class Classifier(nn.Module):
    """Token vectors, gathered, encoded and averaged."""

    def __init__(
        self, vocab_size: int, classes: int, dim: int, depth: int, heads: int, stride: int, dropout: float
    ) -> None:
        super().__init__()
        self.stride = stride
        self.embedding = embedding(vocab_size, dim)
        self.gather = nn.Conv1d(dim, dim, 2 * stride, stride)
        self.encoder = Transformer(dim, depth, heads, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dim, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `[B, T]` to logits `[B, K]`; the amount of padding on the right does not matter."""
        tokens = F.pad(tokens, (0, -tokens.shape[1] % self.stride))
        real = real_tokens(tokens)  # [B, T]
        vectors = self.embedding(tokens).masked_fill(~real[:, :, None], 0).transpose(1, 2)  # [B, D, T]
        gathered = self.gather(F.pad(vectors, (0, self.stride))).transpose(1, 2)  # [B, N, D]
        real = real.view(real.shape[0], -1, self.stride).any(dim=2)  # [B, N]
        hidden = self.encoder(self.dropout(gathered), keep=real)
        logits: Tensor = self.head(self.dropout(masked_mean(hidden, real)))
        return logits


def masked_mean(hidden: Tensor, keep: Tensor) -> Tensor:
    """The mean of those of `hidden[B, T, D]` where `keep[B, T]`, at least one in each row: `[B, D]`."""
    weights = keep / keep.sum(dim=1, keepdim=True)  # [B, T]
    return (hidden * weights[:, :, None]).sum(dim=1)
