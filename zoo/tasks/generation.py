"""Writing on, token after token: what is drawn from a model's logits, and the likeliest of several ways."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from zoo.errors import SpecError
from zoo.tokenizers import PADDING

LogitsAfter = Generator[Tensor, Tensor, None]
SHORTER = 5.0  # of Wu et al. 2016, equation 14: how little the first tokens count for a text's length


@runtime_checkable
class Stepper(Protocol):
    """What a language model may offer, so that the text so far is not read anew for every token.

    A module whose state holds a limited number of tokens says so by an attribute `step_limit`.
    """

    def step(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """More tokens `[B, T]` to logits `[B, T, V]`, and the state to go on from; the one given is gone."""
        ...


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a token is drawn from logits; raises `SpecError` for what makes no sense.

    `temperature` divides the logits, 0 takes the likeliest token. Only the `top_k` likeliest are drawn, and
    of these as few as have together a probability of `top_p` (Holtzman et al. 2020). `repetition_penalty`
    makes tokens that are in the text already less likely where it is above 1 (Keskar et al. 2019).
    """

    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        faults = []
        if not 0 <= self.temperature < float("inf"):
            faults.append(f"temperature = {self.temperature!r}: expected 0 or more")
        if self.top_k is not None and self.top_k < 1:
            faults.append(f"top_k = {self.top_k!r}: expected 1 or more")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            faults.append(f"top_p = {self.top_p!r}: expected a share above 0, up to 1")
        if not 0 < self.repetition_penalty < float("inf"):
            faults.append(f"repetition_penalty = {self.repetition_penalty!r}: expected more than 0")
        if faults:
            raise SpecError("sampling", faults)

    def draw(self, logits: Tensor, seen: Tensor, generator: torch.Generator) -> Tensor:
        """A token `[B, 1]` by `logits[B, V]` after the tokens `seen[B, T]`; all on the CPU."""
        logits = self._penalised(logits, seen)
        if self.temperature == 0:
            return logits.argmax(dim=1, keepdim=True)
        logits = self._nucleus(self._likeliest(logits / self.temperature))
        return torch.multinomial(logits.softmax(dim=1), 1, generator=generator)

    def _penalised(self, logits: Tensor, seen: Tensor) -> Tensor:
        if self.repetition_penalty == 1:
            return logits
        found = logits.gather(1, seen)
        less = torch.where(found > 0, found / self.repetition_penalty, found * self.repetition_penalty)
        return logits.scatter(1, seen, less)

    def _likeliest(self, logits: Tensor) -> Tensor:
        if self.top_k is None or self.top_k >= logits.shape[1]:
            return logits
        least = logits.topk(self.top_k, dim=1).values[:, -1:]
        return logits.masked_fill(logits < least, -torch.inf)

    def _nucleus(self, logits: Tensor) -> Tensor:
        if self.top_p is None:
            return logits
        ordered, places = logits.sort(dim=1, descending=True)
        shares = ordered.softmax(dim=1)
        before = shares.cumsum(dim=1) - shares  # of all that are likelier: 0 for the likeliest
        left_out = torch.zeros_like(logits, dtype=torch.bool).scatter(1, places, before >= self.top_p)
        return logits.masked_fill(left_out, -torch.inf)


def write_on(
    model: nn.Module, tokens: Tensor, *, context: int, sampling: Sampling, seed: int = 0
) -> Iterator[Tensor]:
    """Tokens `[B, 1]` without end that go on from `tokens[B, T]`, on the CPU.

    A model sees `context` tokens at most. One that is a `Stepper` is told each token once; where its state
    holds no more of them it reads the later half of the context anew.
    """
    generator = torch.Generator().manual_seed(seed)
    logits_after = _stepping(model, context) if isinstance(model, Stepper) else _reading(model, context)
    next(logits_after)
    while True:
        logits = logits_after.send(tokens).float().cpu()  # [B, V]
        logits[:, PADDING] = -torch.inf  # never written
        drawn = sampling.draw(logits, tokens.cpu(), generator)
        tokens = torch.cat([tokens, drawn.to(tokens.device)], dim=1)
        yield drawn


def _reading(model: nn.Module, context: int) -> LogitsAfter:
    """Is sent all tokens so far `[B, T]`, and gives the logits `[B, V]` after them."""
    logits = torch.empty(0)
    while True:
        tokens = yield logits
        logits = model(tokens[:, -context:])[:, -1]


def _stepping(model: Stepper, context: int) -> LogitsAfter:
    """The same, by the tokens that are new since the last time."""
    limit = getattr(model, "step_limit", None)
    room = context if limit is None else min(context, limit)
    logits, state, read, held = torch.empty(0), None, 0, 0
    while True:
        tokens = yield logits
        new = tokens[:, read:]
        if state is None or (limit is not None and held + new.shape[1] > room):
            state, held = None, 0
            kept = room if read == 0 else max(1, room // 2)
            new = tokens if limit is None else tokens[:, -kept:]
        found, state = model.step(new, state)
        logits, read, held = found[:, -1], tokens.shape[1], held + new.shape[1]


def search_beams(
    model: nn.Module, source: Tensor, *, begin: int, end: int, length: int, beams: int
) -> Tensor:
    """The likeliest targets `[B, T]` that a beam search finds for `source[B, S]`, `T` at most `length`.

    A target's score is the logarithm of its probability over a power of its length (Wu et al. 2016,
    equation 14, with 0.6), by which longer ones are not at a disadvantage. One beam is greedy search.
    Raises `SpecError` for fewer.
    """
    if beams < 1:
        raise SpecError("sampling", [f"beams = {beams!r}: expected 1 or more"])
    count, device = len(source), source.device
    repeated = source.repeat_interleave(beams, dim=0)  # [B * beams, S]
    targets = torch.full((count * beams, 1), begin, device=device)
    scores = torch.full((count, beams), -torch.inf, device=device)
    scores[:, 0] = 0.0  # all beams begin alike
    ended = torch.zeros(count * beams, dtype=torch.bool, device=device)
    for _ in range(length - 1):
        shares = model(repeated, targets)[:, -1].float().log_softmax(dim=1)  # [B * beams, V]
        shares[ended] = -torch.inf
        shares[ended, PADDING] = 0.0
        shares[~ended, PADDING] = -torch.inf
        vocabulary = shares.shape[1]
        total = scores[:, :, None] + shares.view(count, beams, vocabulary)
        sizes = 1 + (targets != PADDING).sum(dim=1).view(count, beams, 1) - ended.view(count, beams, 1).long()
        ranked = (total / ((SHORTER + sizes) / (SHORTER + 1)) ** 0.6).flatten(1).topk(beams, dim=1).indices
        scores = total.flatten(1).gather(1, ranked)
        rows = (torch.arange(count, device=device)[:, None] * beams + ranked // vocabulary).flatten()
        drawn = (ranked % vocabulary).flatten()
        targets = torch.cat([targets[rows], drawn[:, None]], dim=1)
        ended = ended[rows] | (drawn == end)
        if bool(ended.view(count, beams).all()):
            break
    return targets.view(count, beams, -1)[:, 0]
