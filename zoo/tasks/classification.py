"""Classification of images, texts and series: one task, three kinds of input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.data.dataset import Columns, Dataset
from zoo.data.splits import Batch, PixelSplit, TensorSplit, batched
from zoo.specs import (
    Classes,
    ImageInput,
    ImagePreprocess,
    Input,
    ModelSpec,
    Preprocess,
    Problem,
    Recipe,
    SeriesInput,
    TextPreprocess,
)
from zoo.tasks.base import ANSWERS, Baseline, Prepared, Scores
from zoo.tasks.images import augment_images, encode_images, fit_images, read_images
from zoo.tasks.macro import macro_metrics
from zoo.tasks.series import encode_series, fit_series, read_series
from zoo.tasks.text import TextSplit, encode_texts, fit_texts, token_input


@dataclass(frozen=True, kw_only=True)
class Codec:
    """How one kind of input is prepared."""

    column: str
    fit: Callable[[Dataset, ModelSpec, Recipe], Preprocess]
    input: Callable[[Any], Input]
    encode: Callable[[Columns, Any], Tensor | TextSplit | PixelSplit]
    read: Callable[[Sequence[str], Any], Columns]


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Which of K classes a sample belongs to: cross-entropy, accuracy."""

    name: str
    codec: Codec

    def fit(self, dataset: Dataset, spec: ModelSpec, recipe: Recipe) -> Preprocess:
        """As the kind of input wants it."""
        return self.codec.fit(dataset, spec, recipe)

    def problem(self, dataset: Dataset, preprocess: Preprocess) -> Problem:
        """The data's classes, the preprocessed input's shape."""
        return dataset.problem.replace(input=self.codec.input(preprocess))

    def encode(
        self, columns: Columns, preprocess: Preprocess, problem: Problem, *, training: bool
    ) -> TensorSplit | TextSplit | PixelSplit:
        """`{column: inputs, "labels": int64 [N]}`; without labels where there are none."""
        labels = {}
        if "labels" in columns:
            labels["labels"] = torch.as_tensor(np.asarray(columns["labels"], dtype=np.int64))
        encoded = self.codec.encode(columns, preprocess)
        if isinstance(encoded, Tensor):
            return TensorSplit({self.codec.column: encoded, **labels})
        return replace(encoded, columns=labels)

    def augment(self, batch: Batch, recipe: Recipe, problem: Problem) -> Batch:
        """Images are varied; texts and series stay as they are."""
        if self.codec.column != "images" or not isinstance(problem.output, Classes):
            return batch
        return augment_images(batch, recipe, problem.output.count)

    def inputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """The one input."""
        return (batch[self.codec.column],)

    def loss(self, output: Tensor, batch: Batch, recipe: Recipe) -> Tensor:
        """Mean cross-entropy of `logits[B, K]`, weighed by class where the recipe says so.

        Labels are `[B]`, or `[B, K]` after mixing.
        """
        weights = recipe.class_weights
        return F.cross_entropy(
            output.float(),
            batch["labels"],
            weight=torch.tensor(weights, device=output.device) if isinstance(weights, tuple) else None,
            label_smoothing=recipe.label_smoothing,
        )

    def weight(self, batch: Batch, recipe: Recipe) -> Tensor:
        """The samples, each as much as its class counts."""
        labels = batch["labels"]
        if isinstance(recipe.class_weights, tuple) and not labels.is_floating_point():
            return torch.tensor(recipe.class_weights, device=labels.device)[labels].sum()
        return torch.tensor(float(len(labels)), device=labels.device)

    def scores(self, output: Tensor, batch: Batch, scale: float) -> Scores:
        """`accuracy` and `cross_entropy` (in nats); answers, for `macro_f1` and `balanced_accuracy`."""
        labels, predicted = batch["labels"], output.argmax(dim=1)
        ones = torch.ones_like(labels, dtype=torch.float32)
        return {
            "accuracy": ((predicted == labels).float(), ones),
            ANSWERS: (predicted, labels),
            "cross_entropy": (F.cross_entropy(output.float(), labels, reduction="none"), ones),
        }

    def details(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        """`confidence`: the probability of the answer."""
        return {"confidence": output.float().softmax(dim=1).amax(dim=1)}

    def scale(self, dataset: Dataset) -> float:
        """Nothing is measured against the training data."""
        return 1.0

    def baseline(self, prepared: Prepared, split: str) -> Baseline:
        """Always the most frequent class of the training split."""
        train = np.asarray(prepared.dataset.splits["train"]["labels"])
        judged = np.asarray(prepared.dataset.splits[split]["labels"])
        majority = int(np.bincount(train).argmax())
        always = torch.full((len(judged),), majority)
        metrics = {
            "accuracy": float((judged == majority).mean()),
            **macro_metrics(always, torch.as_tensor(judged)),
        }
        return Baseline(name="majority class", metrics=metrics)

    def read(self, items: Sequence[str], preprocess: Preprocess, batch_size: int) -> Iterator[Batch]:
        """Files or texts, as the kind of input wants it."""
        for chunk in batched(items, batch_size):
            encoded = self.codec.encode(self.codec.read(chunk, preprocess), preprocess)
            if isinstance(encoded, Tensor):
                yield {self.codec.column: encoded}
            else:
                yield encoded.take(torch.arange(len(encoded)))

    def predict(
        self,
        model: nn.Module,
        batch: Batch,
        *,
        labels: Sequence[str],
        preprocess: Preprocess,
        top: int = 3,
        all_classes: bool = False,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """The label, its probability, and the `top` most probable ones; with `all_classes`, those of all."""
        shares = model(*self.inputs(batch)).float().softmax(dim=1)  # [B, K]
        names = list(labels) or [str(number) for number in range(shares.shape[1])]
        best = shares.topk(min(top, len(names)), dim=1)
        rows = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        records: list[dict[str, Any]] = [
            {
                "label": names[indices[0]],
                "probability": values[0],
                "top": {names[index]: value for value, index in zip(values, indices, strict=True)},
            }
            for values, indices in rows
        ]
        if all_classes:
            for record, row in zip(records, shares.tolist(), strict=True):
                record["probabilities"] = dict(zip(names, row, strict=True))
        return records


def _image_input(preprocess: ImagePreprocess) -> ImageInput:
    return ImageInput(channels=preprocess.channels, height=preprocess.height, width=preprocess.width)


def _encode_text(columns: Columns, preprocess: TextPreprocess) -> TextSplit:
    texts, cut = encode_texts(cast(Sequence[str], columns["text"]), preprocess)
    return TextSplit({"tokens": texts}, cut={"text": (texts.length, cut)})


image_classification = Classification(
    name="image-classification",
    codec=Codec(column="images", fit=fit_images, input=_image_input, encode=encode_images, read=read_images),
)
text_classification = Classification(
    name="text-classification",
    codec=Codec(
        column="tokens",
        fit=lambda dataset, spec, recipe: fit_texts(dataset, recipe),
        input=token_input,
        encode=_encode_text,
        read=lambda items, preprocess: {"text": list(items)},
    ),
)
series_classification = Classification(
    name="series-classification",
    codec=Codec(
        column="series",
        fit=lambda dataset, spec, recipe: fit_series(dataset, recipe),
        input=lambda p: SeriesInput(channels=p.channels, length=p.length),
        encode=lambda columns, preprocess: encode_series(np.asarray(columns["series"]), preprocess),
        read=lambda items, preprocess: {"series": read_series(items, preprocess.channels)},
    ),
)
