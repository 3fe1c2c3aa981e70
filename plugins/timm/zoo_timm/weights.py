"""The weights on the hub, from a table in which each row names what many of them share."""

from __future__ import annotations

import pkgutil
from functools import cache

import msgspec

import zoo

TASK = "image-classification"


class Row(msgspec.Struct, array_like=True, frozen=True):
    """One set of weights; `preprocess` and `problem` are places in the table's lists."""

    model: str
    tag: str
    preprocess: int
    problem: int
    license: str
    dataset: str = ""
    top1: float | None = None  # share of ImageNet-1k's validation images, preprocessed as said
    owner: str = "timm"  # of the repository, whose name is that of the weights


class Table(msgspec.Struct, frozen=True):
    """What `weights.json` holds: `timm` is the release that it was made from."""

    timm: str
    preprocess: list[zoo.ImagePreprocess]
    problems: list[zoo.Problem]
    weights: list[Row]


@cache
def read_table() -> Table:
    """The table in this package."""
    return msgspec.json.decode(pkgutil.get_data(__package__, "weights.json") or b"", type=Table)


def specs(table: Table) -> list[zoo.WeightsSpec]:
    """One record for each row; made by msgspec, since checking them one by one in Python is slow."""
    return msgspec.convert([_spec(table, row) for row in table.weights], list[zoo.WeightsSpec])


def _spec(table: Table, row: Row) -> dict[str, object]:
    spec: dict[str, object] = {
        "tag": row.tag,
        "model": f"timm/{row.model}",
        "source": f"hf://{row.owner}/{row.model}.{row.tag}/model.safetensors",
        "preprocess": table.preprocess[row.preprocess],
        "problem": table.problems[row.problem],
        "license": row.license,
        "dataset": row.dataset,
    }
    if row.top1 is not None:
        spec["metrics"] = {"top1": row.top1}
        spec["receipt"] = MEASURED
    return spec


MEASURED = {"top1": "of ImageNet-1k's validation images, from timm's results-imagenet.csv"}
