"""Language modelling: how a text goes on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.data.dataset import Columns, Dataset
from zoo.data.splits import Batch
from zoo.specs import ModelSpec, Preprocess, Problem, Recipe, TextPreprocess
from zoo.tasks.base import Baseline, Prepared, Scores
from zoo.tasks.generation import Sampling, write_on
from zoo.tasks.text import StreamSplit, encode_stream, fit_stream, token_input, token_output
from zoo.tokenizers import Tokenizer, open_tokenizer

CHUNK = 1 << 20  # tokens that are counted at once


@dataclass(frozen=True)
class LanguageModeling:
    """The next token from those before it: cross-entropy, bits per byte."""

    name: str = "language-modeling"

    def fit(self, dataset: Dataset, spec: ModelSpec, recipe: Recipe) -> Preprocess:
        """The recipe's tokenizer; windows as long as the data says, unless the recipe says otherwise."""
        return fit_stream(dataset, recipe)

    def problem(self, dataset: Dataset, preprocess: Preprocess) -> Problem:
        """Windows of tokens in and out."""
        preprocess = cast(TextPreprocess, preprocess)
        return dataset.problem.replace(input=token_input(preprocess), output=token_output(preprocess))

    def encode(
        self, columns: Columns, preprocess: Preprocess, problem: Problem, *, training: bool
    ) -> StreamSplit:
        """Windows of `length + 1` tokens that overlap by one, so that each token is predicted once."""
        return encode_stream(columns, cast(TextPreprocess, preprocess))

    def augment(self, batch: Batch, recipe: Recipe, problem: Problem) -> Batch:
        """Nothing is varied."""
        return batch

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """All tokens of a window but the last, `[B, T]`."""
        return (batch["tokens"][:, :-1],)

    def loss(self, output: Tensor, batch: Batch, recipe: Recipe) -> Tensor:
        """Mean cross-entropy of `logits[B, T, V]` over the tokens, in nats."""
        targets = batch["tokens"][:, 1:]
        return F.cross_entropy(
            output.flatten(0, 1).float(), targets.flatten(), label_smoothing=recipe.label_smoothing
        )

    def weight(self, batch: Batch, recipe: Recipe) -> Tensor:
        """The tokens to be foretold."""
        tokens = batch["tokens"]
        return torch.tensor(float(tokens[:, 1:].numel()), device=tokens.device)

    def scores(self, output: Tensor, batch: Batch, scale: float) -> Scores:
        """`bits_per_byte`: what the window costs over the bytes it stands for; `token_accuracy`.

        The first compares models with different tokenizers, the second does not.
        """
        targets = batch["tokens"][:, 1:]  # [B, T]
        nats = F.cross_entropy(output.transpose(1, 2).float(), targets, reduction="none").sum(dim=1)
        size = batch["bytes"].clamp_min(1).float()
        right = (output.argmax(dim=2) == targets).float().mean(dim=1)
        return {
            "bits_per_byte": (nats / math.log(2) / size, size),
            "token_accuracy": (right, torch.ones_like(right)),
        }

    def scale(self, dataset: Dataset) -> float:
        """Nothing is measured against the training data."""
        return 1.0

    def baseline(self, prepared: Prepared, split: str) -> Baseline:
        """Each token by its frequency in the training split alone."""
        train, judged = (cast(StreamSplit, prepared.splits[name]) for name in ("train", split))
        counts = _count(train) + 1.0
        occurring = _count(judged)
        bits = -np.log2(counts / counts.sum()) @ occurring
        size = int(judged.sizes.numpy() @ occurring)
        return Baseline(name="unigram entropy", metrics={"bits_per_byte": float(bits / max(1, size))})

    def read(self, items: Sequence[str], preprocess: Preprocess, batch_size: int) -> Iterator[Batch]:
        """Texts to go on with, one at a time: those of unequal length cannot share a batch unpadded."""
        tokenizer = open_tokenizer(cast(TextPreprocess, preprocess))
        for text in items:
            (tokens,) = tokenizer.encode([text])
            yield {"tokens": torch.tensor([[tokenizer.end, *tokens.tolist()]])}  # as a new document begins

    @torch.no_grad()
    def predict(
        self,
        model: nn.Module,
        batch: Batch,
        *,
        labels: Sequence[str],
        preprocess: Preprocess,
        length: int = 200,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float = 1.0,
        seed: int = 0,
        stream: Callable[[str], None] | None = None,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """The text and how it goes on, to its end or `length` tokens, drawn as `Sampling` says.

        `stream` gets a single text piece by piece: the prompt, then each whole character as it is written.
        """
        sampling = Sampling(
            temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=repetition_penalty
        )
        preprocess = cast(TextPreprocess, preprocess)
        tokenizer, tokens = open_tokenizer(preprocess), batch["tokens"]  # [B, T]
        on = write_on(
            model, tokens, context=preprocess.length, sampling=sampling, end=tokenizer.end, seed=seed
        )
        drawn: Iterator[Tensor] = itertools.islice(on, length)
        if stream is not None:
            stream(tokenizer.decode(tokens[0, 1:].tolist()))
            drawn = as_told(drawn, tokenizer, stream)
        written = torch.cat([tokens[:, :0].cpu(), *drawn], dim=1)
        return [
            {"prompt": tokenizer.decode(prompt[1:]), "text": tokenizer.decode(text)}
            for prompt, text in zip(tokens.tolist(), written.tolist(), strict=True)
        ]


def as_told(drawn: Iterator[Tensor], tokenizer: Tokenizer, stream: Callable[[str], None]) -> Iterator[Tensor]:
    """The same tokens `[1, 1]`, told as text; a character waits until all of its bytes are there."""
    tokens: list[int] = []
    told = ""
    for token in drawn:
        yield token
        tokens += token[0].tolist()
        text = tokenizer.decode(tokens).rstrip("\ufffd")
        stream(text[len(told) :])
        told = text


def _count(split: StreamSplit) -> np.ndarray:
    """How often each token is in a stream, which may be a mapped file."""
    counts = np.zeros(len(split.sizes))
    for tokens in torch.split(split.stream, CHUNK):
        counts += np.bincount(tokens.numpy(), minlength=len(counts))
    return counts


language_modeling = LanguageModeling()
