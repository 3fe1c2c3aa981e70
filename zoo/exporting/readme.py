"""The README.md of a folder that a model is exported to: what it is, and who may use it."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.build import Card
from zoo.modelcard import PIPELINES
from zoo.specs import Vector


def describe(card: Card, model: str) -> bytes:
    """Markdown, with the front matter by which the hub finds it; `model` is its name without a tag."""
    embeds = isinstance(card.problem.output, Vector)
    pipeline = "feature-extraction" if embeds else PIPELINES.get(card.problem.task, "other")
    front = {"pipeline_tag": pipeline, "tags": "[torch-zoo]"}
    if card.weights is not None and card.weights.license:
        front["license"] = card.weights.license.lower()
    head = "\n".join(f"{key}: {value}" for key, value in front.items())
    lines = "\n".join(f"- {line}" for line in _facts(card))
    return f"""---
{head}
---

# {card.name}

{card.spec.summary[:1].upper()}{card.spec.summary[1:]}.

{lines}

```python
import zoo

model = zoo.load("{model}", weights="file:PATH TO THIS FOLDER")
```
""".encode()


def _facts(card: Card) -> Iterator[str]:
    """A line for each thing that is known."""
    yield f"task: {card.problem.task}"
    if card.spec.paper:
        yield f"paper: {card.spec.paper}"
    weights = card.weights
    if weights is None:
        return
    known = {
        "trained on": weights.dataset,
        "started from": weights.receipt.get("weights", ""),
        "license of the weights": weights.license,
        "license of the data": weights.data_license,
    }
    yield from (f"{what}: {value}" for what, value in known.items() if value)
    yield from (f"{metric} on the test split: {value:.4f}" for metric, value in weights.metrics.items())
