"""LSTM encoder-decoder with attention (Luong, Pham & Manning, "Effective approaches to attention", 2015)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from zoo_lstm.recurrent import BiLSTM, last_states, lstm, real_lengths, real_steps, run_lstm


def seq2seq(
    problem: zoo.Problem, *, embedding: int = 64, units: int = 128, dropout: float = 0.1
) -> nn.Module:
    """Source `[B, S]` and the target so far `[B, T]` to logits `[B, T, V]` of the tokens that follow.

    The encoder reads the source from both ends (Bahdanau, Cho & Bengio 2015). The decoder starts from
    where the encoder ended, and each of its states looks up what it needs of the source: global
    attention with the "general" score, scaled, and the attentional state of Luong's equation 5. A
    state is not told what the one before it looked up (no input feeding), so the whole target runs
    through torch's fused LSTM in one go when it is known, as in training.

    `embedding` is the size of a token's vector, `units` of the decoder's state and of each of the
    encoder's two; `dropout` lies on the vectors and before the head.

    Raises `zoo.SpecError` for a problem that does not go from tokens to tokens.
    """
    source, target = problem.expect("seq2seq", zoo.TokenInput, zoo.TokenOutput)
    return Seq2Seq(source.vocab_size, target.vocab_size, embedding, units, dropout)


class Seq2Seq(nn.Module):
    """An encoder, a decoder and the attention of the one to the other."""

    def __init__(
        self, source_size: int, target_size: int, embedding: int, units: int, dropout: float
    ) -> None:
        super().__init__()
        self.source_embedding = nn.Embedding(source_size, embedding)
        self.target_embedding = nn.Embedding(target_size, embedding)
        self.encoder = BiLSTM(embedding, units)
        self.bridge = nn.Linear(2 * units, units)
        self.decoder = lstm(embedding, units)
        self.query = nn.Linear(units, 2 * units, bias=False)
        self.attentional = nn.Linear(3 * units, units)
        self.head = nn.Linear(units, target_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Source `[B, S]` and target `[B, T]` to logits `[B, T, V]`.

        Padding after the source changes nothing, and no logits depend on a later token of the target.
        """
        lengths = real_lengths(source)  # [B]
        memory = self.encoder(self.dropout(self.source_embedding(source)), lengths)  # [B, S, 2 units]
        first = self.bridge(last_states(memory, lengths)).tanh()[None]  # [1, B, units]
        embedded = self.dropout(self.target_embedding(target))
        states = run_lstm(self.decoder, embedded, (first, torch.zeros_like(first)))  # [B, T, units]
        real = real_steps(lengths, source.shape[1])[:, None]  # [B, 1, S]
        found = F.scaled_dot_product_attention(self.query(states), memory, memory, attn_mask=real)
        joined = self.attentional(torch.cat([found, states], dim=2)).tanh()  # [B, T, units]
        logits: Tensor = self.head(self.dropout(joined))
        return logits
