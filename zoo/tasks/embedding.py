"""Embeddings: what a classification reads, answered by a vector where no classes have been learnt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zoo.data.splits import Batch
from zoo.specs import Preprocess, TextPreprocess
from zoo.tasks.base import Task
from zoo.tokenizers import PADDING

POOL = 32  # batches of texts among which those of like length are put together


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Reads and predicts as a task does, for weights whose problem gives a `zoo.Vector`.

    Texts of like length share a batch of `batch_size`, padded to the longest of these alone.
    """

    task: Task
    batch_size: int

    def read(self, items: Sequence[str], preprocess: Preprocess, batch_size: int) -> Iterator[Batch]:
        """Inputs as the task reads them; of texts, many batches' at once."""
        pooled = POOL if isinstance(preprocess, TextPreprocess) else 1
        return self.task.read(items, preprocess, pooled * batch_size)

    def predict(
        self,
        model: nn.Module,
        batch: Batch,
        *,
        labels: Sequence[str],
        preprocess: Preprocess,
        **options: Any,
    ) -> list[dict[str, Any]]:
        """`embedding`: the vector as a list of numbers."""
        (inputs,) = self.task.inputs(batch)
        if isinstance(preprocess, TextPreprocess):
            vectors = embed_texts(model, inputs, self.batch_size)
        else:
            vectors = model(inputs).float()  # [B, D]
        return [{"embedding": vector} for vector in vectors.tolist()]


def embed_texts(model: nn.Module, tokens: Tensor, batch_size: int) -> Tensor:
    """Tokens `[N, T]`, padded on the right, to vectors `[N, D]` in the same order."""
    places = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
    lengths = ((tokens != PADDING) * places).amax(dim=1)  # [N]
    order = lengths.argsort(descending=True, stable=True)  # the most memory is needed at once
    parts = [
        model(tokens[rows, : max(1, int(lengths[rows[0]]))]).float()  # [B, D]
        for rows in torch.split(order, batch_size)
    ]
    vectors = torch.cat(parts)
    return torch.empty_like(vectors).index_copy_(0, order, vectors)
