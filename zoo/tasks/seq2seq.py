"""Sequence to sequence: one text turned into another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.data.dataset import Columns, Dataset
from zoo.data.splits import Batch, TensorSplit, batched
from zoo.errors import DataError
from zoo.specs import ModelSpec, Preprocess, Problem, Recipe, TextPreprocess, TokenInput, TokenOutput
from zoo.tasks.base import Baseline, Prepared, Scores
from zoo.tasks.text import BEGIN, END, PADDING, VOCAB_SIZE, check_tokenizer, decode_tokens, encode_texts


@dataclass(frozen=True)
class Seq2Seq:
    """A text from a text, trained with the right beginning given: cross-entropy, exact match."""

    name: str = "seq2seq"

    def fit(self, dataset: Dataset, spec: ModelSpec, recipe: Recipe) -> Preprocess:
        """Bytes, as long as the data says."""
        source, target = dataset.problem.input, dataset.problem.output
        if not isinstance(source, TokenInput) or not isinstance(target, TokenOutput):
            raise DataError(f"data {dataset.name!r} holds no pairs of texts")
        return TextPreprocess(length=recipe.length or source.length, target_length=target.length)

    def problem(self, dataset: Dataset, preprocess: Preprocess) -> Problem:
        """Tokens in, tokens out."""
        preprocess = cast(TextPreprocess, preprocess)
        return dataset.problem.replace(
            input=TokenInput(vocab_size=VOCAB_SIZE, length=preprocess.length),
            output=TokenOutput(vocab_size=VOCAB_SIZE, length=preprocess.target_length or preprocess.length),
        )

    def encode(
        self, columns: Columns, preprocess: Preprocess, problem: Problem, *, training: bool
    ) -> TensorSplit:
        """`source[N, S]`; `target[N, T]` framed in begin and end, where there is one."""
        preprocess = cast(TextPreprocess, preprocess)
        check_tokenizer(preprocess)
        tensors = {"source": encode_texts(cast(Sequence[str], columns["source"]), preprocess.length)}
        if "target" in columns:
            length = preprocess.target_length or preprocess.length
            tensors["target"] = encode_texts(cast(Sequence[str], columns["target"]), length, ends=True)
        return TensorSplit(tensors)

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

    def scale(self, dataset: Dataset) -> float:
        """Nothing is measured against the training data."""
        return 1.0

    def baseline(self, prepared: Prepared, split: str) -> Baseline:
        """Always the most frequent target of the training split."""
        columns = prepared.dataset.splits
        answer = Counter(columns["train"]["target"]).most_common(1)[0][0]
        hits = [target == answer for target in columns[split]["target"]]
        return Baseline(name="most frequent target", metrics={"exact_match": sum(hits) / len(hits)})

    def read(self, items: Sequence[str], preprocess: Preprocess, batch_size: int) -> Iterator[Batch]:
        """Source texts."""
        for chunk in batched(items, batch_size):
            yield {"source": encode_texts(chunk, cast(TextPreprocess, preprocess).length)}

    @torch.no_grad()
    def predict(
        self,
        model: nn.Module,
        batch: Batch,
        *,
        labels: Sequence[str],
        preprocess: Preprocess,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """The likeliest text, token by token."""
        preprocess = cast(TextPreprocess, preprocess)
        target_length = preprocess.target_length or preprocess.length
        source = batch["source"]
        target = torch.full((len(source), 1), BEGIN, device=source.device)
        for _ in range(target_length - 1):
            step = model(source, target)[:, -1].argmax(dim=1, keepdim=True)  # [B, 1]
            target = torch.cat([target, step], dim=1)
            if bool((target == END).any(dim=1).all()):
                break
        return [
            {"source": decode_tokens(question), "text": decode_tokens(answer)}
            for question, answer in zip(source.tolist(), target.tolist(), strict=True)
        ]


seq2seq = Seq2Seq()
