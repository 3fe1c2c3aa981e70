"""A recipe as TOML for people: what differs from the defaults, or all settings with a line on each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from zoo.recipefile import VARIANT, Variant
from zoo.specs import Recipe, as_dict

Defaults = Literal["left out", "written", "commented out"]
COLUMN = 32  # where comments begin
MEANINGS = {
    "epochs": "passes over the training split",
    "steps": "optimizer steps in all; where given, they rule over epochs",
    "batch_size": "samples a step, over all devices and pieces",
    "eval_batch_size": "samples at once where a model is judged",
    "eval_samples": "of the validation split, at most so many are judged after each epoch",
    "accumulate": "pieces that a batch is computed in, to fit the memory",
    "lr": "learning rate, at lr_batch_size samples a step",
    "lr_batch_size": "the batch at which lr holds; by default batch_size",
    "lr_scaling": "how lr follows another batch: none, linear, sqrt",
    "optimizer": "a name of timm's: adamw, sgd, nadamw, lion, muon, ...",
    "momentum": "of optimizers that have one, such as sgd",
    "betas": "of optimizers such as adamw: two numbers; by default the optimizer's own",
    "weight_decay": "of all parameters but norms and biases",
    "layer_decay": "the factor by which lr falls from each layer to the one before it",
    "schedule": "of lr: cosine, linear, step, constant",
    "warmup_epochs": "in which lr rises from nothing",
    "min_lr": "at which the schedule ends",
    "grad_clip": "the largest norm of all gradients; 0: no limit",
    "label_smoothing": "share of the target that is spread over all classes",
    "class_weights": "of the loss: none, balanced, or one for each class in the order of their names",
    "balanced": "draw as many samples of each class",
    "affine": "random [degrees of rotation, shift as a share of the side, zoom as a share]",
    "flip": "mirror images at random, left to right",
    "mixup": "alpha of mixup; 0: none",
    "cutmix": "alpha of cutmix; 0: none",
    "ema_decay": "of an average of the weights, which is then judged and kept; 0: none",
    "average_after": "epochs without a better validation metric, from which on the mean of weights counts",
    "head_epochs": "first epochs in which only the head is trained",
    "precision": "of the arithmetic: auto, fp32, bf16, fp16",
    "compile": "torch.compile: auto, true, false",
    "channels_last": "memory layout of images: auto, true, false",
    "activation_checkpointing": "compute blocks twice and keep less in memory",
    "image_size": "pixels a side to which images are resized; by default as they are",
    "length": "tokens or time steps to which inputs are cut; by default as the data has them",
    "tokenizer": "of texts: bytes, or trained on the data: bpe, wordpiece",
    "vocab_size": "of a tokenizer that is trained",
    "normalize": "of series: none, sample, train",
    "patience": "epochs without a better validation metric after which to stop; by default never",
    "seed": "of all that is random",
    "options": "of the model's builder",
}


def to_toml(
    settings: Mapping[str, Any], variants: Sequence[Variant] = (), *, defaults: Defaults = "left out"
) -> str:
    """The settings that differ from the defaults, and the variants, as a recipe file has them.

    The other settings are left out, or come with a comment on each: `written` as they are, or `commented out`
    for an author to change.
    """
    lines = [
        _line(name, settings.get(name, value), given=name in settings, defaults=defaults)
        for name, value in as_dict(Recipe()).items()
        if name in settings or defaults != "left out"
    ]
    for variant in variants:
        told = {**variant.conditions, **variant.settings}
        lines += ["", f"[[{VARIANT}]]", *(f"{name} = {_value(value)}" for name, value in told.items())]
    return "".join(f"{line}\n" for line in lines).lstrip("\n")


def _line(name: str, value: Any, *, given: bool, defaults: Defaults) -> str:
    text = f"{name} = {_value(value)}".rstrip()
    if value is None or not (given or defaults == "written"):
        text = f"# {text}"  # TOML has no word for none
    if defaults == "left out":
        return text
    return f"{text.ljust(COLUMN)}  # {MEANINGS[name]}"


def _value(value: Any) -> str:
    """On one line, which the writers of TOML do not do for lists."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(name)} = {_value(part)}" for name, part in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value) if isinstance(value, float) else msgspec.json.encode(value).decode()


def _key(name: str) -> str:
    return name if re.fullmatch(r"[\w-]+", name, re.ASCII) else msgspec.json.encode(name).decode()
