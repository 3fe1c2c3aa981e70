"""BERT (Devlin, Chang, Lee & Toutanova, NAACL 2019), and the encoders that were made of it.

DistilBERT (Sanh, Debut, Chaumond & Wolf 2019) has no segments; sentence encoders (Reimers & Gurevych,
EMNLP 2019) have the mean of all tokens for an answer, in which MiniLM (Wang et al. 2020) is smaller.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from zoo_transformer.block import Style, Transformer
from zoo_transformer.classifier import masked_mean
from zoo_transformer.problems import check_names
from zoo_transformer.published import WITH_THE_LAST, check_options, initialise
from zoo_transformer.tokens import real_tokens

POOLINGS = ("first", "mean")
POOLERS = ("tanh", "relu", "none")


def bert(
    problem: zoo.Problem,
    *,
    dim: int = 768,
    depth: int = 12,
    heads: int = 12,
    hidden: int | None = None,
    positions: int = 512,
    segments: int = 2,
    activation: str = "gelu",
    eps: float = 1e-12,
    pooling: str = "first",
    pooler: str = "tanh",
    normalize: bool = False,
    dropout: float = 0.1,
) -> nn.Module:
    """Tokens `[B, T]` to logits `[B, K]`, or to the features themselves, `[B, D]`, where a vector is wanted.

    `dim` is the size of a token's vector, `depth` the number of blocks, `heads` that of attention heads,
    `hidden` the width of the MLPs (by default four times `dim`), `positions` the longest sequence,
    `segments` how many kinds of token there are, of which the first is used: 0 for none. `pooling` takes
    the `first` token's vector or the `mean` of all; `pooler` is the layer on it: `tanh` as in BERT, `relu`
    as in DistilBERT, where it belongs to the head, or `none`. `normalize` makes embeddings 1 long.
    `dropout` is the share of what a block adds, of the embeddings and of the features that is left out.

    Encoders are published without a head, for a vector of `dim` numbers, and get one for classes.

    Raises `zoo.SpecError` for a problem of another kind, or options that do not fit one another.
    """
    tokens, classes = _expect(problem, dim)
    check_options(
        "bert", dim=dim, heads=heads, activation=activation, length=tokens.length, positions=positions
    )
    check_names("bert", pooling=(pooling, POOLINGS))
    check_names("bert", pooler=(pooler, POOLERS))
    style = Style(
        rotary=False, bias=True, post_norm=True, activation=activation, hidden=hidden or 4 * dim, eps=eps
    )
    module = Bert(
        Embeddings(tokens.vocab_size, dim, positions, segments, style, dropout),
        Transformer(dim, depth, heads, dropout=dropout, style=style),
        classes=classes,
        pooling=pooling,
        pooler=pooler,
        normalize=normalize,
        dropout=dropout,
    )
    return module.apply(initialise)


class Embeddings(nn.Module):
    """Vectors for tokens and places, and for the first segment where there are segments."""

    def __init__(
        self, vocab_size: int, dim: int, positions: int, segments: int, style: Style, dropout: float
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocab_size, dim)
        self.positions = nn.Embedding(positions, dim)
        self.segments = nn.Embedding(segments, dim) if segments else None
        self.norm = style.make_norm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `[B, T]` to vectors `[B, T, D]`."""
        vectors = self.tokens(tokens)
        if self.segments is not None:
            vectors = vectors + self.segments.weight[0]
        vectors = vectors + self.positions.weight[: tokens.shape[1]]
        out: Tensor = self.dropout(self.norm(vectors))
        return out


class Bert(nn.Module):
    """Embeddings, blocks, a vector for the whole text, and a head."""

    def __init__(
        self,
        embeddings: Embeddings,
        encoder: Transformer,
        *,
        classes: int | None,
        pooling: str,
        pooler: str,
        normalize: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        dim = embeddings.tokens.embedding_dim
        self.pooling, self.normalize = pooling, normalize
        self.embeddings = embeddings
        self.encoder = encoder
        self.pooler = nn.Linear(dim, dim) if pooler == "tanh" else None
        self.head = Head(dim, classes, hidden=pooler == "relu", dropout=dropout) if classes else None

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `[B, T]` to logits `[B, K]`, or features `[B, D]`; padding on the right does not matter."""
        features = self.features(tokens)
        if self.head is not None:
            logits: Tensor = self.head(features)
            return logits
        return F.normalize(features, dim=1) if self.normalize else features

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Which parameters belong to which layer, in timm's words, for learning rates that fall by layer."""
        blocks = r"^encoder" if coarse else r"^encoder\.blocks\.(\d+)"
        return {"stem": r"^embeddings", "blocks": [(blocks, None), (r"^pooler", WITH_THE_LAST)]}

    def features(self, tokens: Tensor) -> Tensor:
        """What the head is given, `[B, D]`."""
        real = real_tokens(tokens)  # [B, T]
        hidden = self.encoder(self.embeddings(tokens), keep=real)  # [B, T, D]
        pooled = masked_mean(hidden, real) if self.pooling == "mean" else hidden[:, 0]
        if self.pooler is not None:
            pooled = torch.tanh(self.pooler(pooled))
        return pooled


class Head(nn.Module):
    """Features to logits, through a `hidden` layer where there is one."""

    def __init__(self, dim: int, classes: int, *, hidden: bool, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Linear(dim, dim) if hidden else None
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(dim, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Features `[B, D]` to logits `[B, K]`."""
        if self.hidden is not None:
            features = F.relu(self.hidden(features))
        logits: Tensor = self.out(self.dropout(features))
        return logits


def _expect(problem: zoo.Problem, dim: int) -> tuple[zoo.TokenInput, int | None]:
    """The input, and the number of classes; None where a vector is wanted."""
    if isinstance(problem.output, zoo.Vector):
        tokens, vector = problem.expect("bert", zoo.TokenInput, zoo.Vector)
        if vector.size != dim:
            raise zoo.SpecError("bert", [f"dim = {dim}: not the {vector.size} numbers that are wanted"])
        return tokens, None
    tokens, classes = problem.expect("bert", zoo.TokenInput, zoo.Classes)
    return tokens, classes.count
