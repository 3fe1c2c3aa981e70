"""Encoder-decoder with attention (Luong, Pham & Manning, "Effective approaches to attention", 2015)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from zoo_lstm.cells import MINIMAL
from zoo_lstm.lengths import embed, last_states, real_lengths, real_steps
from zoo_lstm.recurrent import Plan, read, recurrence
from zoo_lstm.state import State, rows_of


def seq2seq(
    problem: zoo.Problem,
    *,
    cell: str = "lstm",
    embedding: int = 64,
    units: int = 128,
    attention: str = "luong",
    dropout: float = 0.1,
    weight_dropout: float = 0.0,
) -> nn.Module:
    """Source `[B, S]` and the target so far `[B, T]` to logits `[B, T, V]` of the tokens that follow.

    The encoder reads the source from both ends (Bahdanau, Cho & Bengio 2015). The decoder starts from
    where the encoder ended, and each of its states looks up what it needs of the source, by one of two
    scores: `luong` is the "general" one, scaled, `bahdanau` the additive one. What it finds goes into the
    attentional state of Luong's equation 5. A state is not told what the one before it looked up (no input
    feeding), so the whole target runs through a fused kernel in one go when it is known, as in training.

    `embedding` is the size of a token's vector, `units` of the decoder's state and of each of the
    encoder's two; `dropout` lies on the vectors and before the head, `weight_dropout` on recurrent weights.

    Raises `zoo.SpecError` for a problem that does not go from tokens to tokens, and for options that do not
    fit.
    """
    source, target = problem.expect("seq2seq", zoo.TokenInput, zoo.TokenOutput)
    if attention not in ATTENTIONS:
        raise zoo.SpecError("seq2seq", [f"attention = {attention!r}: known: {', '.join(ATTENTIONS)}"])
    plan = Plan(model="seq2seq", cell=cell, units=(units,), dropout=dropout, weight_dropout=weight_dropout)
    return Seq2Seq(plan, source.vocab_size, target.vocab_size, embedding, attention)


@dataclass(frozen=True)
class Memory:
    """What a decoder knows of the sources: `states[B, S, 2 units]`, of which `real[B, 1, S]` count."""

    states: Tensor
    real: Tensor

    def choose(self, rows: Tensor) -> Memory:
        """The memory of some of the sources, by their numbers `[N]`."""
        return Memory(self.states[rows], self.real[rows])


class Seq2Seq(nn.Module):
    """An encoder, a decoder and the attention of the one to the other."""

    def __init__(
        self, plan: Plan, source_size: int, target_size: int, embedding: int, attention: str
    ) -> None:
        super().__init__()
        (units,) = plan.units
        self.cell = plan.cell
        self.source_embedding = nn.Embedding(source_size, embedding)
        self.target_embedding = nn.Embedding(target_size, embedding)
        self.encoder = recurrence(replace(plan, bidirectional=True), embedding)
        self.bridge = nn.Linear(2 * units, units)
        self.decoder = recurrence(plan, embedding)
        self.query = nn.Linear(units, 2 * units, bias=False)
        self.score = ATTENTIONS[attention](2 * units)
        self.attentional = nn.Linear(3 * units, units)
        self.head = nn.Linear(units, target_size)
        self.dropout = nn.Dropout(plan.dropout)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Source `[B, S]` and target `[B, T]` to logits `[B, T, V]`.

        Padding after the source changes nothing, and no logits depend on a later token of the target.
        """
        return self.step(target, self.start(source))[0]

    def start(self, source: Tensor) -> tuple[Memory, State]:
        """What is known of `source[B, S]`, and the state from which the decoder starts."""
        lengths = real_lengths(source)  # [B]
        vectors = self.dropout(embed(self.source_embedding, source))
        states, _ = read(self.encoder, vectors, lengths=lengths)  # [B, S, 2 units]
        start = self.bridge(last_states(states, lengths, bidirectional=True))[None]  # [1, B, units]
        memory = Memory(states, real_steps(lengths, source.shape[1])[:, None])
        if self.cell in MINIMAL:  # whose states are positive
            return memory, start.sigmoid()
        start = start.tanh()
        return memory, (start, torch.zeros_like(start)) if self.cell == "lstm" else start

    def step(self, target: Tensor, state: tuple[Memory, State]) -> tuple[Tensor, tuple[Memory, State]]:
        """Some more tokens of the target `[B, T]` to logits `[B, T, V]`, and the state after them.

        Raises `zoo.DataError` for the state of another number of sources, and for tokens that are none.
        """
        memory, before = state
        vectors = self.dropout(embed(self.target_embedding, target))
        states, after = read(self.decoder, vectors, state=before)  # [B, T, units]
        found = self.score(self.query(states), memory.states, memory.real)  # [B, T, 2 units]
        joined = self.attentional(torch.cat([found, states], dim=2)).tanh()  # [B, T, units]
        logits: Tensor = self.head(self.dropout(joined))
        return logits, (memory, after)

    def choose(self, state: tuple[Memory, State], rows: Tensor) -> tuple[Memory, State]:
        """The state of some rows of the batch, `[N]`, in any order, left out or repeated."""
        memory, inner = state
        return memory.choose(rows), rows_of(inner, rows)

    @torch.inference_mode()
    def search(self, source: Tensor, *, begin: int, end: int, length: int, beams: int = 4) -> Tensor:
        """The likeliest target of at most `length` tokens that a beam of so many finds: `[B, length]`.

        For `source[B, S]`; `begin` and `end` are the tokens that frame a target. The answer has none of the
        first, and padding after the last. The module is in evaluation mode. With one beam it is the greedy
        answer that `zoo predict` gives. Raises `zoo.DataError` for no beams.
        """
        if beams < 1:
            raise zoo.DataError(f"a search with {beams} beams; give at least one")
        rows = torch.arange(len(source), device=source.device).repeat_interleave(beams)  # [B * beams]
        state = self.choose(self.start(source), rows)
        last = torch.full((len(rows), 1), begin, device=source.device)
        beam = Beam(len(source), beams, end, source.device)
        for _ in range(length):
            logits, state = self.step(last, state)
            state = self.choose(state, beam.extend(logits[:, -1].float().log_softmax(dim=1)))
            last = beam.tokens[:, -1:]
        return beam.best()


class Beam:
    """The likeliest beginnings of targets: `tokens[B * beams, T]` and the logarithms of their probability."""

    def __init__(self, batch: int, beams: int, end: int, device: torch.device) -> None:
        self.tokens = torch.zeros(batch * beams, 0, dtype=torch.int64, device=device)
        self._scores = torch.full((batch, beams), -torch.inf, device=device)
        self._scores[:, 0] = 0.0  # all beams begin alike: one of them counts
        self._done = torch.zeros(batch * beams, dtype=torch.bool, device=device)
        self._end = end

    def extend(self, likelihood: Tensor) -> Tensor:
        """Goes on with the likeliest of `likelihood[B * beams, V]`; gives the rows that they go on from."""
        batch, beams = self._scores.shape
        vocabulary = likelihood.shape[1]
        likelihood = likelihood.masked_fill(self._done[:, None], -torch.inf)
        likelihood[:, 0] = torch.where(self._done, 0.0, likelihood[:, 0])  # nothing but padding after the end
        scores = self._scores[:, :, None] + likelihood.view(batch, beams, vocabulary)
        self._scores, chosen = scores.flatten(1).topk(beams, dim=1)  # [B, beams]
        first = torch.arange(batch, device=chosen.device)[:, None] * beams
        came, drawn = (first + chosen // vocabulary).flatten(), (chosen % vocabulary).flatten()
        self.tokens = torch.cat([self.tokens[came], drawn[:, None]], dim=1)
        self._done = self._done[came] | (drawn == self._end)
        return came

    def best(self) -> Tensor:
        """The likeliest of each source: `[B, T]`."""
        batch, beams = self._scores.shape
        return self.tokens.view(batch, beams, -1)[:, 0]  # `topk` sorts


class Luong(nn.Module):
    """What scaled products of query and state find; the query holds the "general" score's matrix."""

    def __init__(self, size: int) -> None:
        super().__init__()

    def forward(self, query: Tensor, states: Tensor, real: Tensor) -> Tensor:
        """Queries `[B, T, size]` and states `[B, S, size]`, `real[B, 1, S]` of them, to `[B, T, size]`."""
        head = states[:, None]  # [B, 1, S, size]: one head, without which ONNX has no such attention
        return F.scaled_dot_product_attention(query[:, None], head, head, attn_mask=real[:, None])[:, 0]


class Bahdanau(nn.Module):
    """What the additive score `v tanh(W q + U h)` finds (Bahdanau, Cho & Bengio 2015)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.keys = nn.Linear(size, size)
        self.score = nn.Linear(size, 1, bias=False)

    def forward(self, query: Tensor, states: Tensor, real: Tensor) -> Tensor:
        """Queries `[B, T, size]` and states `[B, S, size]`, `real[B, 1, S]` of them, to `[B, T, size]`."""
        both = query[:, :, None] + self.keys(states)[:, None]  # [B, T, S, size]
        scores = self.score(both.tanh())[..., 0].masked_fill(~real, -torch.inf)  # [B, T, S]
        found: Tensor = scores.softmax(dim=2).to(states.dtype) @ states
        return found


ATTENTIONS: Mapping[str, Callable[[int], nn.Module]] = {"luong": Luong, "bahdanau": Bahdanau}
