"""Accuracies of PARC (Bolya et al. 2021): weights of some architectures, fine-tuned on six data sets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import zoo
from recommend_tables.common import read_rows
from recommend_tables.scores import FOLDER, Table, classes_of, task_of
from zoo.registry import Model, Plugin
from zoo.specs import Evidence, ModelSpec, Problem, WeightsSpec

TASK = "image-classification"
# of torchvision's weights that all begin with, by timm's table and torchvision's documentation
TOP1 = {"alexnet": 0.565, "googlenet": 0.698, "resnet18": 0.698, "resnet50": 0.762}
IMAGES = {  # that weights were trained on, by a word of their source
    "imagenet": 1_281_167, "imagenet22k": 14_200_000, "instagram": 940_000_000, "yfcc100m": 99_000_000,
    "places205": 2_400_000, "voc2007": 2_501, "voc": 16_551, "cityscapes": 2_975, "lvis": 100_170,
}  # fmt: skip
COCO_IMAGES = 118_000  # likewise of detectors of which nothing else is said


def read_parc(folder: Path, file: str) -> Table:
    """What weights reached after fine-tuning, by their architecture and by what they were trained on.

    `parc.csv` has the sizes of the training splits: what the authors' code has for testing, taken from the
    published totals; all but CIFAR-10 are seen at 224 pixels. `voc2007` is left out, whose figure is that of
    21 answers of yes or no, and so are trainings that failed. Weights of a set are not tried on it.
    """
    facts = {row["dataset"]: row for row in read_rows(FOLDER / "parc.csv")}
    problems = {
        name: Problem(
            task=TASK,
            input=zoo.ImageInput(channels=3, height=int(fact["side"]), width=int(fact["side"])),
            output=classes_of(name, fact),
            samples=int(fact["samples"]),
        )
        for name, fact in facts.items()
    }
    accuracies: dict[str, dict[str, float]] = {name: {} for name in facts}
    weights: dict[str, dict[str, WeightsSpec]] = defaultdict(dict)
    pairs: dict[str, tuple[str, str]] = {}
    for row in read_rows(folder / "parc" / file):
        score, target = float(row["Oracle"]) / 100, row["Target Dataset"]
        if target in facts and score > 0:
            architecture, source = pair = row["Architecture"], row["Source Dataset"]
            weights[architecture][source] = _weights(architecture, source, problems)
            pairs[" ".join(pair)] = pair
            accuracies[target][" ".join(pair)] = score
    models = {name: _model(name, tuple(of.values())) for name, of in weights.items()}
    methods = {
        name: (models[architecture], weights[architecture][source])
        for name, (architecture, source) in pairs.items()
    }
    records = [
        Evidence(
            model=methods[name][0].name,
            weights=pairs[name][1],
            problem=problems[dataset],
            source="PARC",
            dataset=dataset,
            score=score,
        )
        for dataset, row in accuracies.items()
        for name, score in row.items()
    ]
    return Table(task_of(TASK), problems, accuracies, records, methods)


def _model(name: str, weights: tuple[WeightsSpec, ...]) -> Model:
    spec = ModelSpec(name=name, family="cnn", tasks=(TASK,), builder="benchmarks:none")
    return Model(spec, Plugin("parc", "parc"), weights)


def _weights(architecture: str, source: str, problems: Mapping[str, Problem]) -> WeightsSpec:
    """What is stated of weights: what they were trained on, how much of it, and their top-1 on ImageNet."""
    if source in problems:
        samples = problems[source].samples
    else:
        samples = next((IMAGES[word] for word in source.split("_") if word in IMAGES), COCO_IMAGES)
    image = zoo.ImageInput(channels=3, height=224, width=224)
    return WeightsSpec(
        tag=source,
        model=f"parc/{architecture}",
        source=f"hf://parc/{architecture}/{source}.safetensors",
        dataset=source,
        metrics={"top1": TOP1[architecture]} if source == "imagenet" else {},
        problem=Problem(task=TASK, input=image, output=zoo.Classes(count=2), samples=samples),
    )
