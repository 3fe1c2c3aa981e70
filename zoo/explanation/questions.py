"""What is to be explained: one number of a model's answer, as a function of its input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from zoo.data.splits import Batch
from zoo.errors import ZooError, hint
from zoo.specs import Classes, Input, Preprocess, SeriesOutput, TextPreprocess, Vector
from zoo.tasks.base import Task
from zoo.tasks.text import encode_targets
from zoo.tokenizers import PADDING, open_tokenizer

Ask = Callable[[nn.Module, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """An input `[1, ...]`, and what a model is asked of inputs like it: `[B, ...]` to `[B]`.

    `asked` says what that number is; `answer` is what the model itself says to the input.
    """

    inputs: Tensor
    ask: Ask
    asked: str
    answer: str
    kind: Input
    preprocess: Preprocess
    causal: bool = False  # whether the last step of the input alone gives the number
    decodes: bool = False  # whether a second stack reads what the first makes of the input


@torch.no_grad()
def pose(module: Any, task: Task, batch: Batch, target: str | None) -> Question:
    """The question for a batch of one, as `Task.read` gives it; raises `ZooError` for a strange `target`."""
    card = module.zoo
    output = card.problem.output
    if isinstance(output, Vector):
        raise ZooError(f"{card.name} gives embeddings; only a class, a forecast or a token is explained")
    if isinstance(output, Classes):
        asked = _of_class(module, task, batch, target)
    elif target is not None and not isinstance(output, SeriesOutput):
        raise ZooError(f"a target is a class, or a step of a forecast; {card.name} does {card.problem.task}")
    elif isinstance(output, SeriesOutput):
        asked = _of_forecast(module, batch, output, target)
    elif "source" in batch:
        asked = _of_text(module, task, batch)
    else:
        asked = _of_next_token(module, batch)
    return Question(kind=card.problem.input, preprocess=card.preprocess, **asked)


def _of_class(module: Any, task: Task, batch: Batch, target: str | None) -> dict[str, Any]:
    (inputs,) = task.inputs(batch)
    logits = module(inputs)  # [1, K]
    names = list(module.zoo.labels) or [str(number) for number in range(logits.shape[1])]
    if target is not None and target not in names:
        meant = hint(target, names, f"it knows: {', '.join(names[:10])}")
        raise ZooError(f"{module.zoo.name} knows no class {target!r}; {meant}")
    chosen = int(logits.argmax()) if target is None else names.index(target)
    share = float(logits.float().softmax(dim=1)[0, chosen])
    return {
        "inputs": inputs,
        "ask": lambda model, given: model(given)[:, chosen],
        "asked": f"the logit of {names[chosen]!r}",
        "answer": f"{names[chosen]} ({share:.1%})",
    }


def _of_forecast(module: Any, batch: Batch, output: SeriesOutput, target: str | None) -> dict[str, Any]:
    steps = output.length
    if target is not None and not (target.isdecimal() and 1 <= int(target) <= steps):
        raise ZooError(f"target = {target!r}: {module.zoo.name} forecasts steps 1 to {steps}")
    chosen = slice(None) if target is None else slice(int(target) - 1, int(target))
    mean = float(module(batch["history"])[:, chosen].mean())
    told = f"the mean of steps 1 to {steps}" if target is None else f"step {target}"
    return {
        "inputs": batch["history"],
        "ask": lambda model, given: model(given)[:, chosen].mean(dim=(1, 2)),
        "asked": f"{told} of the forecast, standardised",
        "answer": f"{told}: {mean:.4g}",
    }


def _of_text(module: Any, task: Task, batch: Batch) -> dict[str, Any]:
    preprocess: TextPreprocess = module.zoo.preprocess
    (record,) = task.predict(module, batch, labels=(), preprocess=preprocess)
    target = encode_targets([record["text"]], preprocess)[0].take(torch.arange(1))
    target = target.to(batch["source"].device)  # [1, T]
    counted = (target[:, 1:] != PADDING).float()

    def ask(model: nn.Module, given: Tensor) -> Tensor:
        logits = model(given, target[:, :-1].expand(len(given), -1))  # [B, T - 1, V]
        written = target[:, 1:, None].expand(len(given), -1, 1)
        scores: Tensor = (logits.log_softmax(dim=2).gather(2, written)[:, :, 0] * counted).sum(dim=1)
        return scores

    return {
        "inputs": batch["source"],
        "ask": ask,
        "asked": "the log-probability of the text that it writes",
        "answer": record["text"],
        "decodes": True,
    }


def _of_next_token(module: Any, batch: Batch) -> dict[str, Any]:
    preprocess: TextPreprocess = module.zoo.preprocess
    tokens = batch["tokens"][:, -preprocess.length :]
    logits = module(tokens)[:, -1]  # [1, V]
    logits[:, PADDING] = -torch.inf
    chosen = int(logits.argmax())
    text = open_tokenizer(preprocess).decode([chosen])
    return {
        "inputs": tokens,
        "ask": lambda model, given: model(given)[:, -1].log_softmax(dim=1)[:, chosen],
        "asked": f"the log-probability of {text!r} as the next token",
        "answer": f"{text!r} comes next ({float(logits.float().softmax(dim=1)[0, chosen]):.1%})",
        "causal": True,
    }
