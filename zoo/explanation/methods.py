"""Methods of explanation, by way of captum: a module and a question to the relevance of the input's parts.

Each gives `[H, W]` for images, `[T]` for tokens up to the padding, `[T, C]` for series.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from zoo.errors import ZooError
from zoo.explanation.questions import Question
from zoo.explanation.rollout import attention_rollout
from zoo.specs import ImageInput, TextPreprocess, TokenInput
from zoo.tokenizers import PADDING, open_tokenizer

Method = Callable[[nn.Module, Question], Tensor]
STEPS = 64  # between the average input and the one that is explained
AT_ONCE = 16  # inputs in a batch
WINDOWS = 7  # that an image's side is covered with, each of them half over the next
PIECES = 12  # likewise, a series
BYTES = 3  # that are hidden at once in a text of bytes
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)


def integrated_gradients(module: nn.Module, question: Question) -> Tensor:
    """From an input of zeros: the training data's mean, or vectors of padding."""
    from captum.attr import IntegratedGradients, LayerIntegratedGradients

    ask, inputs = partial(question.ask, module), question.inputs
    settings = {"n_steps": STEPS, "internal_batch_size": AT_ONCE}
    if not isinstance(question.kind, TokenInput):
        found = IntegratedGradients(ask).attribute(_leaf(inputs), torch.zeros_like(inputs), **settings)
        return _fold(found, question)
    layer = token_layer(module, question)
    vectors = LayerIntegratedGradients(ask, layer).attribute(
        inputs, torch.full_like(inputs, PADDING), **settings
    )
    return _fold(vectors.sum(dim=2)[:, : inputs.shape[1]], question)  # [1, T]


def occlusion(module: nn.Module, question: Question) -> Tensor:
    """Windows that overlap by half, filled with zeros; in texts with blanks."""
    from captum.attr import Occlusion

    inputs = question.inputs
    window, stride = _window(question)
    found = Occlusion(partial(question.ask, module)).attribute(
        inputs,
        sliding_window_shapes=window,
        strides=stride,
        baselines=_blank(question),
        perturbations_per_eval=AT_ONCE,
    )
    return _fold(found.detach(), question)


def grad_cam(module: nn.Module, question: Question) -> Tensor:
    """The feature maps of the last convolution that has more than one position, each by its mean gradient."""
    from captum.attr import LayerGradCam

    if isinstance(question.kind, TokenInput):
        raise ZooError("grad-cam is for images and series; say --method integrated-gradients")
    layer = _last_convolution(module, question)
    inputs = _leaf(question.inputs)
    maps = LayerGradCam(partial(question.ask, module), layer).attribute(inputs, relu_attributions=True)
    if isinstance(question.kind, ImageInput):
        return F.interpolate(maps, inputs.shape[2:], mode="bilinear")[0, 0]
    steps = F.interpolate(maps, inputs.shape[1], mode="linear")[0, 0]  # [T]
    return steps[:, None].expand(-1, inputs.shape[2])


METHODS: Mapping[str, Method] = {
    "integrated-gradients": integrated_gradients,
    "grad-cam": grad_cam,
    "occlusion": occlusion,
    "attention-rollout": attention_rollout,
}


def token_layer(module: nn.Module, question: Question) -> nn.Module:
    """The layer that makes vectors of the question's tokens; raises `ZooError` where there is none."""
    found: list[nn.Module] = []
    tokens = question.inputs

    def note(layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        if given[0].dim() == 2 and torch.equal(given[0][:, : tokens.shape[1]], tokens):
            found.append(layer)

    _watch(module, (nn.Embedding,), note, question)
    if not found:
        raise ZooError(
            "integrated-gradients needs an nn.Embedding that the tokens go through, which this model has "
            "not; say --method occlusion"
        )
    return found[0]


def _last_convolution(module: nn.Module, question: Question) -> nn.Module:
    found: list[nn.Module] = []

    def note(layer: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        if output.dim() > 2 and output.shape[2:].numel() > 1:
            found.append(layer)

    _watch(module, CONVOLUTIONS, note, question)
    if not found:
        raise ZooError("grad-cam needs a convolution, which this model has not; say --method occlusion")
    return found[-1]


def _watch(
    module: nn.Module,
    kinds: tuple[type[nn.Module], ...],
    note: Callable[[nn.Module, tuple[Tensor, ...], Tensor], None],
    question: Question,
) -> None:
    """Asks the question once, and shows `note` every layer of those kinds as it is used."""
    hooks = [layer.register_forward_hook(note) for layer in module.modules() if isinstance(layer, kinds)]
    try:
        with torch.no_grad():
            question.ask(module, question.inputs)
    finally:
        for hook in hooks:
            hook.remove()


def _leaf(inputs: Tensor) -> Tensor:
    """Inputs that gradients can be had for; captum warns where it has to see to that."""
    return inputs.detach().clone().requires_grad_()


def _fold(found: Tensor, question: Question) -> Tensor:
    """Relevance as the input has it, `[1, ...]`, to one number for each part that is shown."""
    if isinstance(question.kind, ImageInput):
        return found[0].sum(dim=0)  # [H, W]
    if isinstance(question.kind, TokenInput):
        return found[0][: _real(question.inputs)]
    return found[0]


def _real(tokens: Tensor) -> int:
    """How many of `tokens[1, T]` there are before the padding."""
    return max(1, int((tokens[0] != PADDING).nonzero().max()) + 1) if bool(tokens.any()) else 1


def _window(question: Question) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape of what is hidden at once, and the steps from one place to the next."""
    shape = question.inputs.shape[1:]
    if isinstance(question.kind, ImageInput):
        sides = tuple(max(1, round(side / WINDOWS)) for side in shape[1:])
        return (shape[0], *sides), (shape[0], *(max(1, side // 2) for side in sides))
    if isinstance(question.kind, TokenInput):
        hidden = BYTES if getattr(question.preprocess, "tokenizer", "") == "bytes" else 1
        return (min(hidden, shape[0]),), (1,)
    steps = max(1, shape[0] // PIECES)
    return (steps, 1), (max(1, steps // 2), 1)


def _blank(question: Question) -> int:
    """What stands where something is hidden."""
    if not isinstance(question.preprocess, TextPreprocess):
        return 0
    (tokens,) = open_tokenizer(question.preprocess).encode([" "])
    return int(tokens[0]) if len(tokens) else PADDING
