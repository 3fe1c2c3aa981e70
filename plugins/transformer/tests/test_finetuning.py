"""From published weights to a run: by the recipe that the number of samples asks for."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from checkpoints import command, saved_encoder, saved_gpt2

import zoo
from zoo.recipes import resolve_recipe
from zoo.training.optimizers import make_optimizer

CASES = {
    "transformer/bert": ("bert-masked", "snippets"),
    "transformer/distilbert": ("distilbert-alone", "snippets"),
    "transformer/minilm": ("minilm", "snippets"),
    "transformer/gpt2": ("gpt2", "stdlib"),
}
SIBLINGS = ("transformer/distilbert", "transformer/minilm")
IN_THE_SHELL = [  # one of each kind takes a while
    pytest.param(model, marks=pytest.mark.slow if model in SIBLINGS else ()) for model in CASES
]
ENCODERS = [model for model in CASES if model != "transformer/gpt2"]
FAST = ("-o", "batch_size=8", "-o", "eval_samples=8", "-o", "compile=false", "--device", "cpu")


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    torch.manual_seed(0)


def published(model: str, folder: Path) -> str:
    """A small random checkpoint in the layout of the hub; its source."""
    case, _ = CASES[model]
    return (saved_gpt2(folder) if case == "gpt2" else saved_encoder(case, folder))[1]


def few(folder: Path, count: int) -> str:
    """So many samples of two classes, half of them for training."""
    path = folder / "few.csv"
    words = [("good", "up"), ("bad", "down")]
    rows = [f"{'and ' * (n % 9)}a {words[n % 2][0]} one {n},{words[n % 2][1]}" for n in range(count)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return str(path)


@pytest.mark.parametrize("model", IN_THE_SHELL)
def test_training_goes_on_from_published_weights(model: str, tmp_path: Path) -> None:
    source = published(model, tmp_path / "theirs")
    data = CASES[model][1]
    run = tmp_path / "run"
    steps = ("-o", "steps=3")
    command("train", model, "--data", data, "--weights", source, "--output", run, *steps, *FAST)
    record = zoo.Run.open(run).record
    assert (record.state, record.steps, record.recipe.layer_decay) == ("finished", 3, 0.9)
    assert record.weights == f"{model}.custom"
    before, after = zoo.load(model, weights=source), zoo.load(run)
    moved = [name for name, tensor in before.state_dict().items() if not same(after, name, tensor)]
    assert any(".blocks.0." in name for name in moved)
    assert any(".blocks.2." in name for name in moved)


def same(module: torch.nn.Module, name: str, tensor: torch.Tensor) -> bool:
    return torch.equal(module.state_dict()[name], tensor)


@pytest.mark.parametrize("model", ENCODERS)
@pytest.mark.parametrize(
    ("count", "settings", "expected"),
    [
        (120, {"epochs": 2}, set()),  # 60 train a head alone
        (640, {"epochs": 2}, {"embeddings", "encoder"}),  # 320 train it first, and then all
        (6040, {"epochs": 4, "steps": 8}, {"embeddings", "encoder"}),  # 3,020 train all from the start
    ],
)
def test_every_variant_of_the_recipe_trains_what_it_says(
    model: str, count: int, settings: dict[str, Any], expected: set[str], tmp_path: Path
) -> None:
    source = published(model, tmp_path / "theirs")
    chosen = {**settings, "batch_size": 16, "eval_samples": 32, "compile": False, "precision": "fp32"}
    run = zoo.train(
        model,
        few(tmp_path, count),
        weights=source,
        output=tmp_path / "run",
        settings=chosen,
        device="cpu",
    )
    before = zoo.load(model, weights=source).state_dict()
    (last,) = Path(run.path, "last").glob("*.safetensors")  # what is best may be of the head's epoch
    after = safetensors.torch.load_file(last)
    moved = {name for name, tensor in before.items() if not torch.equal(after[f"model.{name}"], tensor)}
    assert {name.partition(".")[0] for name in moved} - {"pooler"} == expected
    assert run.record.state == "finished"
    assert all(math.isfinite(value) for value in run.metrics.values())


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (300, {"epochs": 40, "head_epochs": 40, "lr": 1e-3}),
        (301, {"epochs": 12, "head_epochs": 1, "lr": 3e-5, "layer_decay": 0.9, "warmup_epochs": 1.2}),
        (3001, {"epochs": 4, "head_epochs": 0, "lr": 3e-5, "layer_decay": 0.9, "warmup_epochs": 0.4}),
    ],
)
def test_the_number_of_samples_says_how_an_encoder_is_fine_tuned(
    samples: int, expected: dict[str, Any]
) -> None:
    for model in (*ENCODERS, "transformer/bert_large", "transformer/minilm_l12"):
        found = resolve_recipe(zoo.info(model), "text-classification", samples=samples, finetune=True)
        assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(("samples", "steps", "epochs"), [(3000, None, 3), (3001, 1000, 10)])
def test_a_little_text_is_read_a_few_times_only(samples: int, steps: int | None, epochs: int) -> None:
    found = resolve_recipe(zoo.info("transformer/gpt2"), "language-modeling", samples=samples, finetune=True)
    assert (found.steps, found.epochs, found.lr, found.layer_decay) == (steps, epochs, 5e-5, 0.9)


@pytest.mark.parametrize("model", CASES)
def test_learning_rates_fall_from_block_to_block_towards_the_tokens(model: str, tmp_path: Path) -> None:
    classes: dict[str, Any] = {} if model == "transformer/gpt2" else {"num_classes": 2}
    module = zoo.load(model, weights=published(model, tmp_path), **classes)
    scale = {
        id(parameter): group["lr_scale"]
        for group in make_optimizer(module, zoo.Recipe(layer_decay=0.5)).param_groups
        for parameter in group["params"]
    }
    found: dict[str, set[float]] = defaultdict(set)
    for name, parameter in module.named_parameters():
        found[".".join(name.split(".")[: 3 if ".blocks." in name else 2])].add(scale[id(parameter)])
    blocks = "decoder.blocks." if model == "transformer/gpt2" else "encoder.blocks."
    top = 1.0 if model == "transformer/gpt2" else 0.5  # below the head, where there is one
    assert [found[f"{blocks}{number}"] for number in range(3)] == [{top / 4}, {top / 2}, {top}]
    assert all(scales == {1.0} for layer, scales in found.items() if layer.startswith("head"))
    stem = [scales for layer, scales in found.items() if layer.startswith(("embedding", "positions"))]
    assert stem
    assert all(scales == {top / 8} for scales in stem)
