"""Every architecture of ours as ONNX, for each of its tasks: onnxruntime answers any batch as the module."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from zoo.build import Card
from zoo.exporting.formats import Source, read_onnx, write_onnx
from zoo.registry import installed
from zoo.testing.subject import STIRRED, difference, subject_of
from zoo.weights.report import LoadReport

OURS = ("cnn", "lstm", "transformer")
LARGEST = 130_000_000  # parameters; the larger sizes of an architecture have the graph of the smaller ones
TRACED, TRIED = 4, (1, 3, 7)  # samples in a batch
TOLERANCE = 1e-4  # of the largest number of an answer
SPREAD = (
    "convnext_atto",
    "deit_tiny_patch16_224",
    "densenet121",
    "edgenext_xx_small",
    "efficientnet_b0",
    "fastvit_t8",
    "ghostnet_100",
    "hgnetv2_b0",
    "levit_128s",
    "mobilenetv3_small_050",
    "mobilevit_xxs",
    "mobileone_s0",
    "poolformer_s12",
    "regnety_002",
    "repvgg_a0",
    "resnet10t",
    "resnet18",
    "res2net50_14w_8s",
    "swin_s3_tiny_224",
    "vit_tiny_patch16_224",
)


def cases() -> list[tuple[str, str]]:
    """Each architecture with each of its tasks."""
    registry = installed()
    every = [model for model in registry.models.values() if model.plugin.name in OURS]
    every += [registry.models[f"timm/{name}"] for name in SPREAD]
    small = [each for each in every if each.spec.facts is None or each.spec.facts.parameters <= LARGEST]
    return [(model.name, task) for model in small for task in model.spec.tasks]


def moved(module: torch.nn.Module) -> torch.nn.Module:
    """The module with every parameter a little elsewhere: what begins at zero hides what comes before it."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=STIRRED)
    return module.eval()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "task"), cases())
def test_onnxruntime_answers_batches_of_any_size_as_the_module_does(
    name: str, task: str, tmp_path: Path
) -> None:
    subject = subject_of(installed(), name)
    problem = next(problem for problem in subject.small() if problem.task == task)
    module = moved(subject.build(problem))
    report = LoadReport(source="newly initialised")
    card = Card(name=name, spec=subject.model.spec, problem=problem, options={}, report=report)
    path = tmp_path / "model.onnx"
    with warnings.catch_warnings(action="ignore"):  # of torch's own parts
        write_onnx(Source(module=module, card=card, inputs=subject.inputs(problem, TRACED)), path)
    answer = read_onnx(None, path)
    for seed, count in enumerate(TRIED, start=1):
        inputs = subject.inputs(problem, count, seed=seed)
        with torch.no_grad():
            expected = module(*inputs)
        assert difference(expected, answer(inputs)) <= TOLERANCE
