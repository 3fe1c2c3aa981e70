"""LSTM language model (Zaremba, Sutskever & Vinyals 2014) whose head is its embedding (Press & Wolf 2017)."""

from __future__ import annotations

from torch import Tensor, nn

import zoo
from zoo_lstm.recurrent import lstm, run_lstm


def language_model(
    problem: zoo.Problem,
    *,
    embedding: int = 64,
    units: int = 256,
    layers: int = 1,
    dropout: float = 0.0,
) -> nn.Module:
    """A causal language model: tokens `[B, T]` to logits `[B, T, V]`, each of the token that follows.

    `embedding` is the size of a token's vector, `units` and `layers` that of the LSTM. `dropout` lies
    where Zaremba et al. put it: before, between and after the layers, never from one step to the next.
    Normalisation after the LSTM is an addition: it lets the network learn with larger steps.

    Raises `zoo.SpecError` for a problem that does not go from tokens to the same tokens.
    """
    tokens, following = problem.expect("language_model", zoo.TokenInput, zoo.TokenOutput)
    if tokens.vocab_size != following.vocab_size:
        sizes = f"{tokens.vocab_size} tokens in and {following.vocab_size} out"
        raise zoo.SpecError("language_model", [f"goes on with the tokens that it reads, not {sizes}"])
    return LanguageModel(tokens.vocab_size, embedding, units, layers, dropout)


class LanguageModel(nn.Module):
    """Embedding, LSTM, and the embedding again to tell which token follows."""

    def __init__(self, vocab_size: int, embedding: int, units: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding)
        nn.init.normal_(self.embedding.weight, std=embedding**-0.5)  # as the head wants it: logits of about 1
        self.scale = embedding**0.5  # as the LSTM wants it: numbers of about 1 (Vaswani et al. 2017)
        self.dropout = nn.Dropout(dropout)
        self.lstm = lstm(embedding, units, layers=layers, dropout=dropout)
        self.norm = nn.LayerNorm(units)
        self.project = nn.Linear(units, embedding)
        self.head = nn.Linear(embedding, vocab_size)
        self.head.weight = self.embedding.weight
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens `[B, T]` to logits `[B, T, V]`; no token sees a later one."""
        states = run_lstm(self.lstm, self.dropout(self.embedding(tokens) * self.scale))  # [B, T, units]
        logits: Tensor = self.head(self.project(self.dropout(self.norm(states))))
        return logits
