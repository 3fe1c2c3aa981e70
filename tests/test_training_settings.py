"""What the settings of a recipe do to a training: freezing, precision, recomputation, fused kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import zoo
from zoo.training.blocks import blocks, checkpoint_blocks
from zoo.training.optimizers import make_optimizer
from zoo.training.precision import choose_precision, cpu_prefers_bf16

IMAGES = zoo.Problem(
    task="image-classification",
    input=zoo.ImageInput(channels=1, height=8, width=8),
    output=zoo.Classes(count=10),
)
SERIES = zoo.SeriesInput(channels=1, length=96)


def train(output: Path, **settings: Any) -> zoo.Run:
    chosen = {"epochs": 2, "batch_size": 64, "eval_samples": 50, **settings}
    chosen = {key: value for key, value in chosen.items() if value is not None}
    return zoo.train("cnn/convnet", "digits", output=output, device="cpu", settings=chosen)


def weights_of(run: zoo.Run) -> dict[str, Tensor]:
    return load_file(run.path / "model.safetensors")


# -- the head first --


@pytest.mark.parametrize(("head_epochs", "moved"), [(2, False), (1, True)])
def test_at_first_the_head_alone_is_trained(tmp_path: Path, head_epochs: int, moved: bool) -> None:
    """With as many such epochs as there are in all, that is a linear probe."""
    run = zoo.train(
        "cnn/fcn",
        "cbf",
        output=tmp_path / "run",
        device="cpu",
        settings={"epochs": 2, "batch_size": 16, "head_epochs": head_epochs},
        width=4,
    )
    torch.manual_seed(run.record.recipe.seed)
    begun = zoo.load("cnn/fcn", problem=run.record.problem, width=4).state_dict()
    last = load_file(next((run.path / "last").glob("step-*.safetensors")))
    changed = {name for name, tensor in begun.items() if not torch.equal(tensor, last[f"model.{name}"])}
    assert {"head.weight", "head.bias"} <= changed
    assert bool({name for name in changed if not name.startswith("head.")}) is moved


def test_a_model_without_a_head_has_none_to_be_trained_first(tmp_path: Path) -> None:
    with pytest.raises(zoo.SpecError, match="head_epochs: the model declares no head; leave the setting out"):
        zoo.train(
            "transformer/seq2seq",
            "dates",
            output=tmp_path / "run",
            device="cpu",
            settings={"steps": 2, "head_epochs": 1},
        )
    assert not (tmp_path / "run").exists()


# -- precision --


def test_bf16_on_a_cpu_is_what_was_asked_for_and_learns(tmp_path: Path) -> None:
    run = train(tmp_path / "run", precision="bf16")
    assert run.record.precision == "bf16"
    assert run.metrics["accuracy"] > 0.5
    assert all(tensor.dtype == torch.float32 for tensor in weights_of(run).values())


def test_fp16_without_a_gpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(zoo.TrainingError, match="precision = 'fp16' needs a GPU; say bf16 or fp32"):
        train(tmp_path / "run", precision="fp16")
    assert not (tmp_path / "run").exists()


def test_forecasts_stay_in_full_precision_unless_told_otherwise() -> None:
    forecast = zoo.Problem(task="forecasting", input=SERIES, output=zoo.SeriesOutput(channels=1, length=24))
    assert choose_precision("auto", forecast, "cpu") == "fp32"
    assert choose_precision("bf16", forecast, "cpu") == "bf16"


def test_a_cpu_is_asked_what_it_is_fast_at_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    cpu_prefers_bf16.cache_clear()
    before = torch.get_rng_state()
    assert cpu_prefers_bf16() in (True, False)
    assert torch.equal(before, torch.get_rng_state())
    cpu_prefers_bf16.cache_clear()


def test_an_interrupted_run_goes_on_in_its_own_precision(tmp_path: Path) -> None:
    class Stop(zoo.Callback):
        def step(self, step: zoo.Step) -> None:
            if step.number == 3:
                raise KeyboardInterrupt

    settings = {"steps": 6, "batch_size": 64, "precision": "bf16", "eval_samples": 50}
    with pytest.raises(KeyboardInterrupt):
        zoo.train(
            "cnn/convnet",
            "digits",
            output=tmp_path / "run",
            device="cpu",
            settings=settings,
            callbacks=[Stop()],
        )
    run = zoo.resume(tmp_path / "run", device="cpu")
    assert run.record.precision == "bf16"
    assert run.record.steps == 6


# -- memory and speed --


def test_what_is_computed_twice_gives_the_same_and_keeps_less(tmp_path: Path) -> None:
    problem = zoo.Problem(task="series-classification", input=SERIES, output=zoo.Classes(count=3))
    kept, answers, gradients = [], [], []
    for twice in (False, True):
        torch.manual_seed(0)
        module = zoo.load("transformer/series_classifier", problem=problem, dropout=0.0).train()
        if twice:
            assert checkpoint_blocks(module) > 1
        bytes_kept = 0

        def pack(tensor: Tensor) -> Tensor:
            nonlocal bytes_kept
            bytes_kept += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            answer = module(torch.linspace(-1, 1, 8 * 96).reshape(8, 96, 1))
        answer.square().sum().backward()
        kept.append(bytes_kept)
        answers.append(answer.detach())
        gradients.append([parameter.grad for parameter in module.parameters()])
    assert torch.equal(*answers)
    assert all(torch.allclose(one, other) for one, other in zip(*gradients, strict=True))
    assert kept[1] < kept[0] / 2


def test_a_training_that_computes_twice_ends_the_same(tmp_path: Path) -> None:
    settings = {"steps": 5, "batch_size": 16, "eval_samples": 30}
    one, other = (
        zoo.train(
            "transformer/series_classifier",
            "control",
            output=tmp_path / str(twice),
            device="cpu",
            settings={**settings, "activation_checkpointing": twice},
        )
        for twice in (False, True)
    )
    assert all(torch.allclose(weights_of(one)[name], tensor) for name, tensor in weights_of(other).items())


def test_blocks_are_the_outermost_members_of_chains() -> None:
    vit = timm.create_model("vit_tiny_patch16_224", num_classes=2)
    assert [type(block).__name__ for block in blocks(vit)] == ["Block"] * 12
    resnet = timm.create_model("resnet18", num_classes=2)
    assert [type(block).__name__ for block in blocks(resnet)] == ["BasicBlock"] * 8
    assert blocks(nn.Linear(2, 2)) == []


def test_the_optimizer_is_fused_where_torch_has_it_so() -> None:
    model = nn.Linear(3, 2)
    assert make_optimizer(model, zoo.Recipe(optimizer="adamw")).param_groups[0]["fused"] is True
    assert make_optimizer(model, zoo.Recipe(optimizer="sgd")).param_groups[0]["fused"] is True
    assert "fused" not in make_optimizer(model, zoo.Recipe(optimizer="lion")).param_groups[0]
    assert make_optimizer(model, zoo.Recipe(optimizer="lookahead_adamw")) is not None


def test_on_a_cpu_nothing_is_compiled_unasked(tmp_path: Path) -> None:
    run = train(tmp_path / "run", epochs=1)
    assert run.record.recipe.compile == "auto"
    assert run.record.compiled is False
