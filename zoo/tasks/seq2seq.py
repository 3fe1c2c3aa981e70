"""Sequence to sequence: one text turned into another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.data.alike import hashes
from zoo.data.dataset import Columns, Dataset
from zoo.data.splits import Batch, batched
from zoo.specs import ModelSpec, Preprocess, Problem, Recipe, TextPreprocess
from zoo.tasks.base import Baseline, Prepared, Scores
from zoo.tasks.generation import search_beams
from zoo.tasks.text import TextSplit, encode_targets, encode_texts, fit_pairs, token_input, token_output
from zoo.tokenizers import PADDING, open_tokenizer


@dataclass(frozen=True)
class Seq2Seq:
    """A text from a text, trained with the right beginning given: cross-entropy, exact match."""

    name: str = "seq2seq"

    def fit(self, dataset: Dataset, spec: ModelSpec, recipe: Recipe) -> Preprocess:
        """The recipe's tokenizer, and room for the data's longest texts."""
        return fit_pairs(dataset, recipe)

    def problem(self, dataset: Dataset, preprocess: Preprocess) -> Problem:
        """Tokens in, tokens out."""
        preprocess = cast(TextPreprocess, preprocess)
        return dataset.problem.replace(input=token_input(preprocess), output=token_output(preprocess))

    def encode(
        self, columns: Columns, preprocess: Preprocess, problem: Problem, *, training: bool
    ) -> TextSplit:
        """`source[N, S]`; `target[N, T]` framed in begin and end, where there is one."""
        preprocess = cast(TextPreprocess, preprocess)
        encoders = {"source": encode_texts, "target": encode_targets}
        encoded = {
            name: encode(cast(Sequence[str], columns[name]), preprocess)
            for name, encode in encoders.items()
            if name in columns
        }
        return TextSplit(
            texts={name: texts for name, (texts, _) in encoded.items()},
            cut={name: (texts.length, cut) for name, (texts, cut) in encoded.items()},
        )

    def augment(self, batch: Batch, recipe: Recipe, problem: Problem) -> Batch:
        """Nothing is varied."""
        return batch

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """The source, and the target from its begin token to the last but one."""
        return batch["source"], batch["target"][:, :-1]

    def loss(self, output: Tensor, batch: Batch, recipe: Recipe) -> Tensor:
        """Mean cross-entropy of `logits[B, T, V]` over the tokens that are not padding."""
        return F.cross_entropy(
            output.flatten(0, 1).float(),
            batch["target"][:, 1:].flatten(),
            ignore_index=PADDING,
            label_smoothing=recipe.label_smoothing,
        )

    def weight(self, batch: Batch, recipe: Recipe) -> Tensor:
        """The tokens to be written."""
        return (batch["target"][:, 1:] != PADDING).sum().float()

    def scores(self, output: Tensor, batch: Batch, scale: float) -> Scores:
        """`exact_match` and `token_accuracy`.

        A greedy decoder writes the whole target exactly when each of its tokens is the likeliest
        after the true ones before it, so no decoding is needed to know how often it does.
        """
        targets = batch["target"][:, 1:]
        counted = targets != PADDING
        right = (output.argmax(dim=2) == targets) & counted
        size = counted.sum(dim=1).float()
        return {
            "exact_match": ((right.sum(dim=1) == size).float(), torch.ones_like(size)),
            "token_accuracy": (right.sum(dim=1) / size.clamp_min(1), size),
        }

    def details(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        """`cross_entropy` of the whole target, in nats."""
        nats = F.cross_entropy(
            output.transpose(1, 2).float(), batch["target"][:, 1:], ignore_index=PADDING, reduction="none"
        )
        return {"cross_entropy": nats.sum(dim=1)}

    def scale(self, dataset: Dataset) -> float:
        """Nothing is measured against the training data."""
        return 1.0

    def baseline(self, prepared: Prepared, split: str) -> Baseline:
        """Always the most frequent target of the training split."""
        train, judged = (hashes(prepared.dataset.splits[name]["target"]) for name in ("train", split))
        targets, first, counts = np.unique(train, return_index=True, return_counts=True)
        answer = targets[np.lexsort((first, -counts))[0]]
        return Baseline(
            name="most frequent target", metrics={"exact_match": float((judged == answer).mean())}
        )

    def read(self, items: Sequence[str], preprocess: Preprocess, batch_size: int) -> Iterator[Batch]:
        """Source texts."""
        for chunk in batched(items, batch_size):
            texts, _ = encode_texts(chunk, cast(TextPreprocess, preprocess))
            yield {"source": texts.take(torch.arange(len(chunk)))}

    @torch.no_grad()
    def predict(
        self,
        model: nn.Module,
        batch: Batch,
        *,
        labels: Sequence[str],
        preprocess: Preprocess,
        beams: int = 1,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """The likeliest text, of `beams` that are followed at a time; with one, token by token."""
        preprocess = cast(TextPreprocess, preprocess)
        tokenizer, source = open_tokenizer(preprocess), batch["source"]
        length = preprocess.target_length or preprocess.length
        target = search_beams(
            model, source, begin=tokenizer.begin, end=tokenizer.end, length=length, beams=beams
        )
        return [
            {"source": tokenizer.decode(question), "text": tokenizer.decode(answer)}
            for question, answer in zip(source.tolist(), target.tolist(), strict=True)
        ]


seq2seq = Seq2Seq()
