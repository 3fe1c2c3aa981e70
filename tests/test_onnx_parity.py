"""Every architecture of ours as ONNX, for each of its tasks: onnxruntime answers any batch as the module."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import psutil
import pytest
import torch

from zoo.build import Card
from zoo.exporting.formats import Source, read_onnx, write_onnx
from zoo.registry import installed
from zoo.testing.subject import STIRRED, difference, subject_of
from zoo.weights.report import LoadReport

OURS = ("cnn", "lstm", "transformer")
MANY = 130_000_000  # parameters, beyond which two models at once may be too much for the memory
NEEDED = 16 * 2**30  # bytes for the largest: the module, and the session that read its file
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


def cases(*, large: bool) -> list[tuple[str, str]]:
    """Each architecture that is large, or is not, with each of its tasks."""
    registry = installed()
    every = [model for model in registry.models.values() if model.plugin.name in OURS]
    every += [registry.models[f"timm/{name}"] for name in SPREAD]
    return [
        (model.name, task)
        for model in every
        for task in model.spec.tasks
        if (model.spec.facts is not None and model.spec.facts.parameters > MANY) == large
    ]


def moved(module: torch.nn.Module) -> torch.nn.Module:
    """The module with every parameter a little elsewhere: what begins at zero hides what comes before it."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=STIRRED)
    return module.eval()


def check(name: str, task: str, path: Path) -> None:
    """Writes the model, which has the size that its name says, and compares the answers."""
    subject = subject_of(installed(), name)
    smaller = (sizes.smaller for sizes in subject.sizes())
    problem = next(problem for problem in smaller if problem.task == task)
    module = moved(subject.build(problem))
    report = LoadReport(source="newly initialised")
    card = Card(name=name, spec=subject.model.spec, problem=problem, options={}, report=report)
    with warnings.catch_warnings(action="ignore"):  # of torch's own parts
        write_onnx(Source(module=module, card=card, inputs=subject.inputs(problem, TRACED)), path)
    answer = read_onnx(None, path)
    for seed, count in enumerate(TRIED, start=1):
        inputs = subject.inputs(problem, count, seed=seed)
        with torch.no_grad():
            expected = module(*inputs)
        assert difference(expected, answer(inputs)) <= TOLERANCE, name


@pytest.mark.slow
@pytest.mark.parametrize(("name", "task"), cases(large=False))
def test_onnxruntime_answers_batches_of_any_size_as_the_module_does(
    name: str, task: str, tmp_path: Path
) -> None:
    check(name, task, tmp_path / "model.onnx")


@pytest.mark.slow
def test_it_does_so_for_the_largest_sizes_one_after_another(tmp_path: Path) -> None:
    large = cases(large=True)
    assert len(large) >= 7
    if psutil.virtual_memory().available < NEEDED:
        pytest.skip(f"the largest needs {NEEDED / 2**30:.0f} GiB of free memory")
    for name, task in large:
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            check(name, task, Path(folder, "model.onnx"))
