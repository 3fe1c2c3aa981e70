"""Small files of data as users have them, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

import zoo
from zoo.data.dataset import Reading


def picture(path: Path, size: tuple[int, int] = (12, 10), mode: str = "RGB", shade: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, shade if mode == "L" else (shade, 0, 0)).save(path)


def folder(root: Path, per_class: int = 20, **options: Any) -> Path:
    for name in ("cat", "dog"):
        for number in range(per_class):
            picture(root / name / f"{number}.png", **options)
    return root


def refused(source: Path | str, **options: Any) -> str:
    """What `load_dataset` says of it, in one line."""
    with pytest.raises(zoo.DataError) as caught:
        zoo.load_dataset(str(source), **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def reading_of(source: Path | str, **options: Any) -> Reading:
    reading = zoo.load_dataset(str(source), **options).reading
    assert reading
    return reading


def noisy(path: Path, size: tuple[int, int] = (32, 32), seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


ROWS = [(f"a text, number {number}", "spam" if number % 2 else "ham") for number in range(20)]


def write_csv(path: Path, separator: str = ",") -> None:
    lines = [f'"{text}"{separator}{label}' for text, label in ROWS]
    path.write_text("\n".join([f"text{separator}label", *lines]) + "\n")


def write_jsonl(path: Path) -> None:
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS))


def write_parquet(path: Path) -> None:
    columns = {"text": [text for text, _ in ROWS], "label": [label for _, label in ROWS]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


WRITERS: dict[str, Callable[[Path], None]] = {
    "mail.csv": write_csv,
    "mail.tsv": lambda path: write_csv(path, "\t"),
    "mail.jsonl": write_jsonl,
    "mail.parquet": write_parquet,
}


def write_table(path: Path, *rows: str, encoding: str = "utf-8", header: str = "text,label") -> Path:
    good = [f"t{number},{'ab'[number % 2]}" for number in range(20)]
    path.write_text("\n".join([header, *good, *rows]) + "\n", encoding=encoding)
    return path
