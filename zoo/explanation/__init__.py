"""What a model looked at: how much each part of one input spoke for the answer that it gave."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from zoo import api
from zoo.errors import ZooError, hint
from zoo.explanation.methods import METHODS
from zoo.explanation.pictures import draw_image, draw_series, draw_text
from zoo.explanation.questions import Question, pose
from zoo.explanation.sanity import likeness, randomized
from zoo.explanation.tokens import Piece, pieces_of
from zoo.extras import need
from zoo.paths import told_of_new, write_new
from zoo.registry import installed
from zoo.specs import ImageInput, ImagePreprocess, TextPreprocess

if TYPE_CHECKING:
    from torch import nn

DRAWS = 3  # of randomised weights
ALIKE = 0.5  # correlation from which an explanation hardly depends on what the model has learnt


@dataclass(frozen=True, kw_only=True, eq=False)
class Explanation:
    """How much each part of an input spoke for (above zero) or against what a model answered.

    `relevance` is `[H, W]` for images, `[T]` for the tokens of a text, `[T, C]` for series, in the units of
    what was `asked` about: a logit, a log-probability or a forecast. `shown` is what the model saw: an image
    `[C, H, W]` from 0 to 1, tokens, or series as they were standardised. `likeness` is the rank correlation
    with explanations of the same model after its weights were shuffled: near 1 the method shows the input
    rather than what the model has learnt (Adebayo et al. 2018).
    """

    model: str
    task: str
    method: str
    answer: str
    asked: str
    relevance: NDArray[np.float32]
    shown: NDArray[Any]
    pieces: tuple[Piece, ...] = ()
    likeness: float

    @property
    def suspicious(self) -> bool:
        """Whether shuffled weights give nearly the same explanation."""
        return self.likeness >= ALIKE

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The kinds of file that it can be saved as."""
        return (".html", ".svg") if self.pieces else (".png",)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Draws it into a new file: PNG for images and series, HTML or SVG for texts.

        Raises `ZooError` for another suffix, and where the file exists or cannot be written.
        """
        target = Path(path)
        self.check(target)
        with told_of_new(target, another="--output"):
            write_new(target, self._drawn(target.suffix))

    def check(self, path: Path) -> None:
        """Raises `ZooError` for a file of a kind that it cannot be saved as."""
        if path.suffix not in self.suffixes:
            kinds = " or ".join(self.suffixes)
            raise ZooError(f"{str(path)!r}: an explanation of {self.task} is saved as {kinds}")

    def as_json(self) -> dict[str, Any]:
        """The document that `zoo explain --json` prints."""
        told = {"schema": 1, "model": self.model, "task": self.task, "method": self.method}
        told |= {"answer": self.answer, "asked": self.asked, "relevance": self.relevance.tolist()}
        if self.pieces:
            told["pieces"] = [{"text": piece.text, "relevance": piece.relevance} for piece in self.pieces]
        return told | {"sanity": {"correlation": self.likeness, "suspicious": self.suspicious}}

    def _drawn(self, suffix: str) -> bytes:
        title = f"{self.answer}, {self.method}"
        if self.pieces:
            return draw_text(self.pieces, title, suffix)
        draw = draw_image if self.shown.ndim == 3 else draw_series
        return draw(self.shown, self.relevance, title)


def explain(
    model: str | os.PathLike[str] | nn.Module,
    item: str | os.PathLike[str],
    *,
    method: str = "integrated-gradients",
    target: str | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> Explanation:
    """How much each part of an input speaks for a model's answer, and whether that can be believed.

    `model` and `item` are what `predict` takes. `method` is one of

    - `integrated-gradients` (Sundararajan et al. 2017): the gradient, gathered on the way from an average
      input (for texts, from padding); adds up to the difference between the two answers;
    - `occlusion` (Zeiler & Fergus 2014): how much is lost where a part is hidden;
    - `grad-cam` (Selvaraju et al. 2017): what the last convolution sees of an image or a series;
    - `attention-rollout` (Abnar & Zuidema 2020): where a transformer's attention comes from, for any class.

    `target` is a class, or a step of a forecast from 1; by default the likeliest class, all steps, the next
    token, or the text that was written. `seed` draws the shuffled weights of the sanity check. Raises
    `ZooError` for a method that does not suit the model, `DataError` for an item that cannot be read.
    """
    if method not in METHODS:
        raise ZooError(f"no method named {method!r}; {hint(method, METHODS)}")
    need("explain", "to explain")
    module = api.loaded(model, device)
    card = module.zoo
    task = installed().task_implementation(card.problem.task)
    batch = next(iter(task.read([os.fspath(item)], card.preprocess, 1)))
    question = pose(module, task, {name: column.to(device) for name, column in batch.items()}, target)
    found = _relevance(module, question, method)
    shuffled = (randomized(module, seed + draw) for draw in range(DRAWS))
    alike = [likeness(found, _relevance(other, question, method)) for other in shuffled]
    return Explanation(
        model=card.name,
        task=card.problem.task,
        method=method,
        answer=question.answer,
        asked=question.asked,
        relevance=found,
        likeness=float(np.mean(alike)),
        **_shown(question, card.preprocess, found),
    )


def _relevance(module: nn.Module, question: Question, method: str) -> NDArray[np.float32]:
    # cuDNN keeps nothing for a recurrent layer's backward pass in evaluation mode
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        found = METHODS[method](module, question).detach().float().cpu()
    relevance: NDArray[np.float32] = np.nan_to_num(found.numpy())
    return relevance


def _shown(question: Question, preprocess: Any, relevance: NDArray[np.float32]) -> Mapping[str, Any]:
    """What the model saw, as people can see it."""
    seen = question.inputs[0].cpu()
    if isinstance(preprocess, TextPreprocess):
        tokens = seen.numpy()[: len(relevance)]
        return {"shown": tokens, "pieces": pieces_of(tokens.tolist(), relevance.tolist(), preprocess)}
    if isinstance(question.kind, ImageInput) and isinstance(preprocess, ImagePreprocess):
        mean, std = (torch.tensor(values)[:, None, None] for values in (preprocess.mean, preprocess.std))
        return {"shown": (seen * std + mean).clamp(0, 1).numpy()}
    return {"shown": seen.numpy()}
