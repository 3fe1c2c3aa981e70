"""Writing on, token after token: what is drawn from a model's logits, and the likeliest of several ways."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from zoo.errors import SpecError
from zoo.tokenizers import PADDING

SHORTER = 5.0  # of Wu et al. 2016, equation 14: how little the first tokens count for a text's length


@runtime_checkable
class Stepper(Protocol):
    """What a model that writes may offer, so that what it has read is not read anew for every token.

    A module whose state holds a limited number of tokens says so by an attribute `step_limit`. A state that
    was given is used up: only the one that comes back counts.
    """

    def start(self, *inputs: Any) -> Any:
        """The state before the first token: of `source[B, S]` in seq2seq, of nothing in a language model."""
        ...

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """More tokens `[B, T]` to logits `[B, T, V]`, and the state to go on from."""
        ...

    def choose(self, state: Any, rows: Tensor) -> Any:
        """The state of some rows of the batch, int64 `[N]`: in any order, left out or repeated."""
        ...


class Rereading:
    """A model without a state as a `Stepper`: it reads the last `context` tokens anew each time."""

    def __init__(self, model: nn.Module, context: int | None = None) -> None:
        self._model, self._context = model, context

    def start(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The inputs; tokens are added at the end."""
        return (*inputs, torch.empty(0))

    def step(self, tokens: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The logits of all that is read, of which those of `tokens` are the last."""
        *inputs, before = state
        read = torch.cat([before, tokens], dim=1) if before.numel() else tokens
        seen = read if self._context is None else read[:, -self._context :]
        return self._model(*inputs, seen), (*inputs, read)

    def choose(self, state: tuple[Tensor, ...], rows: Tensor) -> tuple[Tensor, ...]:
        """All inputs of those rows, and what they have read."""
        return tuple(part[rows] if part.numel() else part for part in state)


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
    model: nn.Module,
    tokens: Tensor,
    *,
    context: int,
    sampling: Sampling,
    end: int | None = None,
    seed: int = 0,
) -> Iterator[Tensor]:
    """Tokens `[B, 1]` that go on from `tokens[B, T]`, on the CPU; endlessly, or each row to its `end` token.

    A row that has ended is padding from then on, and computed no further. A model sees `context` tokens at
    most. One that is a `Stepper` is told each token once; where its state holds no more of them it reads the
    later half of the context anew.
    """
    generator = torch.Generator().manual_seed(seed)
    reading = _Reading(model, context)
    count, live = len(tokens), torch.arange(len(tokens))  # the rows that go on
    while len(live):
        logits = reading.logits_after(tokens).float().cpu()  # [live, V]
        logits[:, PADDING] = -torch.inf  # never written
        drawn = sampling.draw(logits, tokens.cpu(), generator)  # [live, 1]
        yield drawn if len(live) == count else drawn.new_full((count, 1), PADDING).index_copy_(0, live, drawn)
        tokens = torch.cat([tokens, drawn.to(tokens.device)], dim=1)
        if end is None:
            continue
        going_on = (drawn[:, 0] != end).nonzero()[:, 0]
        if len(going_on) < len(live):
            live, rows = live[going_on], going_on.to(tokens.device)
            tokens = tokens[rows]
            reading.choose(rows)


class _Reading:
    """What a language model has read of texts that grow, within what its state can hold."""

    def __init__(self, model: nn.Module, context: int) -> None:
        self._stepper = model if isinstance(model, Stepper) else Rereading(model, context)
        self._limit: int | None = getattr(self._stepper, "step_limit", None)
        self._room = context if self._limit is None else min(context, self._limit)
        self._state, self._read, self._held = self._stepper.start(), 0, 0

    def logits_after(self, tokens: Tensor) -> Tensor:
        """The logits `[B, V]` after `tokens[B, T]`, which begin with those that were given before."""
        new = tokens[:, self._read :]
        if self._limit is not None and self._held + new.shape[1] > self._room:
            kept = self._room if self._read == 0 else max(1, self._room // 2)
            new, self._held, self._state = tokens[:, -kept:], 0, self._stepper.start()
        logits, self._state = self._stepper.step(new, self._state)
        self._read, self._held = tokens.shape[1], self._held + new.shape[1]
        return logits[:, -1]

    def choose(self, rows: Tensor) -> None:
        """Goes on with some of the texts."""
        self._state = self._stepper.choose(self._state, rows)


def search_beams(
    model: nn.Module, source: Tensor, *, begin: int, end: int, length: int, beams: int
) -> Tensor:
    """The likeliest targets `[B, T]` that a beam search finds for `source[B, S]`, `T` at most `length`.

    A target's score is the logarithm of its probability over a power of its length (Wu et al. 2016,
    equation 14, with 0.6), by which longer ones are not at a disadvantage. One beam is greedy search. What
    comes after an `end` is padding, and not computed. Raises `SpecError` for fewer than one beam.
    """
    if beams < 1:
        raise SpecError("sampling", [f"beams = {beams!r}: expected 1 or more"])
    stepper = model if isinstance(model, Stepper) else Rereading(model)
    rows = torch.arange(len(source), device=source.device).repeat_interleave(beams)  # each beam's source
    state = stepper.choose(stepper.start(source), rows)
    found = _Beams(len(source), beams, begin=begin, end=end, device=source.device)
    for _ in range(length - 1):
        logits, state = stepper.step(found.tokens[found.live, -1:], state)
        rows = found.extend(logits[:, -1].float().log_softmax(dim=1))
        if not len(rows):
            break
        if len(rows) < len(logits) or beams > 1:
            state = stepper.choose(state, rows)
    return found.best()


class _Beams:
    """The likeliest beginnings of targets, `tokens[B * beams, T]`; the rows `live` have no end yet."""

    def __init__(self, count: int, beams: int, *, begin: int, end: int, device: torch.device) -> None:
        self.tokens = torch.full((count * beams, 1), begin, device=device)
        self.live = torch.arange(count * beams, device=device)
        self._scores = torch.full((count, beams), -torch.inf, device=device)
        self._scores[:, 0] = 0.0  # all beams begin alike
        self._ended = torch.zeros(count * beams, dtype=torch.bool, device=device)
        self._end = end

    def extend(self, likelihood: Tensor) -> Tensor:
        """Goes on with the likeliest by `likelihood[live, V]`; gives the rows of it that they come from."""
        (count, beams), vocabulary = self._scores.shape, likelihood.shape[1]
        shares = likelihood.new_full((count * beams, vocabulary), -torch.inf)
        shares[self.live] = likelihood
        shares[:, PADDING] = torch.where(self._ended, 0.0, -torch.inf)  # which comes after the end alone
        total = self._scores[:, :, None] + shares.view(count, beams, vocabulary)
        sizes = 1 + (self.tokens != PADDING).sum(dim=1) - self._ended.long()  # with the next, if any
        power = ((SHORTER + sizes) / (SHORTER + 1)) ** 0.6  # [B * beams]
        ranked = (total / power.view(count, beams, 1)).flatten(1).topk(beams, dim=1).indices
        self._scores = total.flatten(1).gather(1, ranked)
        starts = torch.arange(count, device=ranked.device)[:, None] * beams
        rows, drawn = (starts + ranked // vocabulary).flatten(), (ranked % vocabulary).flatten()
        self.tokens = torch.cat([self.tokens[rows], drawn[:, None]], dim=1)
        self._ended = self._ended[rows] | (drawn == self._end)
        places = self._ended.long().index_copy(0, self.live, torch.arange(len(self.live), device=rows.device))
        self.live = (~self._ended).nonzero()[:, 0]
        return places[rows[self.live]]

    def best(self) -> Tensor:
        """The likeliest of each source, `[B, T]`."""
        return self.tokens.view(*self._scores.shape, -1)[:, 0]  # `topk` sorts
