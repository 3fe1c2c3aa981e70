"""A finished run's model card: `README.md`, with its picture, and what Hugging Face tools look for."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from zoo.curves import draw_curves
from zoo.outcome import comparison, results
from zoo.runs import CARD, CONFIG, CURVES, Run, without_tokenizer, write_whole
from zoo.specs import TaskSpec, to_builtins

PIPELINES = {
    "image-classification": "image-classification",
    "text-classification": "text-classification",
    "language-modeling": "text-generation",
    "seq2seq": "text2text-generation",
    "forecasting": "time-series-forecasting",
}


def write_card(run: Run, task: TaskSpec) -> None:
    """Writes `README.md`, `curves.png` and `config.json`, which make the folder a Hugging Face repository."""
    record, history = run.record, run.history
    config = {"library_name": "torch-zoo", "zoo": without_tokenizer(record).receipt()}
    write_whole(run.path / CONFIG, msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n")
    if history:
        baseline = record.baseline.get("metrics", {}).get(task.metric)
        picture = draw_curves(
            history,
            task,
            best_step=record.best.get("step"),
            baseline=baseline,
            baseline_name=record.baseline.get("name", ""),
        )
        write_whole(run.path / CURVES, picture)
    write_whole(run.path / CARD, _card(run, task).encode())


def _card(run: Run, task: TaskSpec) -> str:
    record = run.record
    columns, rows = results(record, task)
    table = "\n".join(map(_row, (columns, ["---"] * len(columns), *rows)))
    course = "\n".join(f"- {': '.join(line)}" for line in comparison(record, run.history, task))
    changed = msgspec.toml.encode(to_builtins(record.recipe)).decode()
    return f"""---
library_name: torch-zoo
pipeline_tag: {PIPELINES.get(task.name, "other")}
tags: [torch-zoo]
---

# {record.model} trained on {record.data.get("name", "")}

{task.summary[:1].upper()}{task.summary[1:]}: `{task.forward}`.

{table}

```python
import zoo

model = zoo.load("PATH TO THIS FOLDER")
```

## Training

{record.steps:,} steps on {record.device}, {record.precision}.

{course}

![learning curves]({CURVES})

## Recipe

Settings that differ from the defaults:

```toml
{changed}```
"""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
