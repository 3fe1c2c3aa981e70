"""Language modelling: how a text goes on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.data.dataset import Columns, Dataset
from zoo.data.splits import Batch, WindowSplit
from zoo.specs import ModelSpec, Preprocess, Problem, Recipe, TextPreprocess, TokenInput, TokenOutput
from zoo.tasks.base import Baseline, Prepared, Scores
from zoo.tasks.classification import fit_text
from zoo.tasks.text import END, VOCAB_SIZE, check_tokenizer, decode_tokens, encode_stream, encode_text


@dataclass(frozen=True)
class LanguageModeling:
    """The next token from those before it: cross-entropy, bits per byte."""

    name: str = "language-modeling"

    def fit(self, dataset: Dataset, spec: ModelSpec, recipe: Recipe) -> Preprocess:
        """Windows as long as the data says, unless the recipe says otherwise."""
        return fit_text(dataset, spec, recipe)

    def problem(self, dataset: Dataset, preprocess: Preprocess) -> Problem:
        """Windows of tokens in and out."""
        shape = {"vocab_size": VOCAB_SIZE, "length": preprocess.length}  # type: ignore[union-attr]
        return dataset.problem.replace(input=TokenInput(**shape), output=TokenOutput(**shape))

    def encode(
        self, columns: Columns, preprocess: Preprocess, problem: Problem, *, training: bool
    ) -> WindowSplit:
        """Windows of `length + 1` tokens that overlap by one, so that each token is predicted once."""
        preprocess = cast(TextPreprocess, preprocess)
        check_tokenizer(preprocess)
        stream = encode_stream(cast(Sequence[str], columns["text"]))
        return WindowSplit(stream, {"tokens": preprocess.length + 1}, stride=preprocess.length)

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

    def scores(self, output: Tensor, batch: Batch, scale: float) -> Scores:
        """`bits_per_byte`: what the window costs over the bytes it stands for; `token_accuracy`."""
        targets = batch["tokens"][:, 1:]  # [B, T]
        nats = F.cross_entropy(output.transpose(1, 2).float(), targets, reduction="none").sum(dim=1)
        size = (targets <= 256).sum(dim=1).clamp_min(1).float()  # the end of a document is no byte
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
        train, judged = (prepared.splits[name].stream.numpy() for name in ("train", split))  # type: ignore[attr-defined]
        counts = np.bincount(train, minlength=VOCAB_SIZE) + 1.0
        bits = -np.log2(counts / counts.sum())[judged].sum()
        size = int((judged <= 256).sum())
        return Baseline(name="unigram entropy", metrics={"bits_per_byte": float(bits / max(1, size))})

    def read(self, items: Sequence[str], preprocess: Preprocess, batch_size: int) -> Iterator[Batch]:
        """Texts to go on with, one at a time: those of unequal length cannot share a batch unpadded."""
        for text in items:
            yield {"tokens": torch.tensor([[END, *encode_text(text).tolist()]])}  # as a new document begins

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
        seed: int = 0,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """The text and how it goes on: `length` tokens drawn at `temperature` (0: the likeliest)."""
        generator = torch.Generator().manual_seed(seed)
        context = cast(TextPreprocess, preprocess).length
        tokens = batch["tokens"]  # [B, T]
        start = tokens.shape[1]
        for _ in range(length):
            logits = model(tokens[:, -context:])[:, -1].float().cpu()  # [B, V]
            logits[:, 0] = -torch.inf  # padding is never written
            if temperature > 0:
                drawn = torch.multinomial((logits / temperature).softmax(dim=1), 1, generator=generator)
            else:
                drawn = logits.argmax(dim=1, keepdim=True)
            tokens = torch.cat([tokens, drawn.to(tokens.device)], dim=1)
        return [
            {"prompt": decode_tokens(row[1:start]), "text": decode_tokens(row[start:])}
            for row in tokens.tolist()
        ]


language_modeling = LanguageModeling()
