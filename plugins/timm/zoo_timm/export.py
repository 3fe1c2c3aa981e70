"""A finished run as timm reads it: `timm.create_model("local-dir:RUN", pretrained=True)`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

import zoo
import zoo.training
from zoo_timm.build import build, config_of
from zoo_timm.options import arguments_of


class ConfigForTimm(zoo.training.Callback):
    """Adds to a finished run's `config.json` what timm needs to build the model and to feed it."""

    def end(self, run: zoo.Run) -> None:
        """Does nothing for a run that is interrupted, or of a model with a head that timm has not."""
        if run.record.state != "finished" or (added := config_for_timm(run)) is None:
            return
        path = run.path / "config.json"
        whole = {**json.loads(path.read_bytes()), **added}
        partial = Path(f"{path}.partial")
        partial.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
        partial.replace(path)


def config_for_timm(run: zoo.Run) -> dict[str, Any] | None:
    """The keys of timm's own `config.json` for a run; None where the head is not timm's."""
    record = run.record
    options = {**zoo.info(record.model).spec.options, **record.options}
    with torch.device("meta"):
        model: Any = build(record.problem, **options)
    name = options.pop("architecture")
    options = arguments_of(name, options)
    known, size = config_of(name), [record.preprocess.height, record.preprocess.width]
    if not known.num_classes:
        return None
    channels = record.preprocess.channels
    options["in_chans"] = channels
    if known.fixed_input_size:
        options["img_size"] = size
    config = {
        "num_classes": model.num_classes,
        "input_size": [channels, *size],
        "fixed_input_size": known.fixed_input_size,
        "mean": _each(record.preprocess.mean, channels),
        "std": _each(record.preprocess.std, channels),
        "interpolation": record.preprocess.interpolation,
        "crop_pct": record.preprocess.crop_pct,
        "classifier": known.classifier,
        # Without it timm leaves the first layer as it is; it would fit that of three channels to others.
        "first_conv": known.first_conv if channels == 3 else None,
    }
    return {
        "architecture": name,
        "num_classes": model.num_classes,
        "num_features": model.num_features,
        "label_names": list(record.labels),
        "model_args": options,
        "pretrained_cfg": config,
    }


def _each(values: tuple[float, ...], channels: int) -> list[float]:
    """One value for each channel, where one may hold for all."""
    return list(values) * (channels if len(values) == 1 else 1)
