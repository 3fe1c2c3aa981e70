"""Models with weights as files that other programs read, each checked against the model it was made of."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from zoo import api
from zoo.errors import ZooError, describe_error, first_line, hint
from zoo.exporting.formats import FORMATS, Answer, Format, Source
from zoo.exporting.measuring import score_answers, time_in_turn
from zoo.exporting.precisions import lowering
from zoo.exporting.samples import Samples, find_samples, is_run
from zoo.extras import need
from zoo.histories import size_of
from zoo.paths import exists

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zoo.data.dataset import Dataset

TOLERANCE = 1e-4  # of the largest number of an answer, or of 1


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A file: its size, the median time that its reader takes for a batch of all samples, and what it scores.

    `metric` is the task's primary one on `scored` test samples; there is none where the data is not known.
    """

    bytes: int
    milliseconds: float
    metric: str = ""
    value: float | None = None
    unit: str = "number"
    scored: int = 0


@dataclass(frozen=True, kw_only=True)
class Export:
    """A file or folder that was written, and how far its answers are from the model's.

    `difference` is the largest over `samples` samples of `data`, in batches of `batches`, as a share of the
    largest number of the answer, or of 1 where that is smaller. `reader` is what gave the answers. In a lower
    precision than fp32 there is no `tolerance`, but what was measured `before`, in fp32, and `after`.
    """

    model: str
    format: str
    path: Path
    bytes: int
    reader: str
    data: str
    samples: int
    batches: tuple[int, ...]
    difference: float
    tolerance: float | None = TOLERANCE
    precision: str = "fp32"
    before: Measured | None = None
    after: Measured | None = None

    def as_json(self) -> dict[str, Any]:
        """The document that `zoo export --json` prints."""
        return {"schema": 1, **asdict(self), "path": str(self.path)}


def export(
    model: str | os.PathLike[str] | nn.Module,
    output: str | os.PathLike[str] | None = None,
    *,
    format: str = "onnx",
    precision: str = "fp32",
    data: str | Dataset | None = None,
) -> Export:
    """Writes a model with weights for other programs, and checks that the file answers as the model does.

    `model` is a name with a tag, a run folder, `hf://owner/name`, or a module that `zoo.load` gave. `format`
    is one of

    - `onnx`: a graph for onnxruntime and others, for any number of samples in a batch;
    - `torch`: an archive of `torch.export`, likewise, that needs no code of ours; nothing in it is pickled;
    - `safetensors`: the weights alone, with their receipt;
    - `timm`: a folder for `timm.create_model("local-dir:FOLDER", pretrained=True)`;
    - `huggingface`: a folder for `from_pretrained`, where the model names a layout that is written so.

    `precision` may be `bf16` in any of them, or `int8` in `onnx` and `torch`: see `zoo.exporting.precisions`.
    The score, size and speed of both files are in the record then.

    `output` must not exist yet; by default it is the model's name in the current folder. The check is on
    test samples of `data`, else of what the weights were trained on, else on fixed ones. Raises `ZooError`
    where the model cannot be written so, or answers differently then, and leaves nothing behind.
    """
    chosen = _format(format)
    lower = None if precision == "fp32" else lowering(format, precision)
    for extra in filter(None, (chosen.extra, lower.extra if lower else "")):
        need(extra, f"to export as {format}" + (f" in {precision}" if lower else ""))
    if output is not None:
        _check_free(Path(output))
    module = api.loaded(model, "cpu")
    name = module.zoo.name
    suffix = f".{precision}{chosen.suffix}" if lower else chosen.suffix
    path = Path(output) if output is not None else Path(_stem(model, name) + suffix)
    _check_free(path)
    samples = find_samples(model, module.zoo, data, calibrate=precision == "int8")
    source = Source(module=module, card=module.zoo, inputs=samples.inputs)
    attempt = partial(_attempt, name, f"{format} in {precision}" if lower else format)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".zoo-") as made:
            whole = Path(made, "whole", path.name)
            whole.parent.mkdir()
            attempt(partial(chosen.write, source, whole))
            answer = attempt(partial(chosen.read, source, whole))
            batches, difference = attempt(partial(compare, module, answer, samples))
            if not difference <= TOLERANCE:
                raise ZooError(
                    f"{name} as {format} answers differently: by {difference:.2g} on samples of "
                    f"{samples.data}, more than {TOLERANCE:g}; nothing was written"
                )
            done = Export(
                model=name,
                format=format,
                path=path,
                bytes=size_of(whole.parent),
                reader=chosen.reader(),
                data=samples.data,
                samples=len(samples),
                batches=batches,
                difference=difference,
            )
            if lower:
                less = Path(made, "less", path.name)
                less.parent.mkdir()
                lowered = replace(source, calibration=samples.calibration, precision=precision)
                attempt(partial(lower.convert, lowered, whole, less))
                theirs = attempt(partial(chosen.read, lowered, less))
                done, whole = attempt(partial(_beside, done, lowered, samples, (answer, theirs), less)), less
            parts = list(whole.parent.iterdir())  # a large ONNX graph has its weights in a file beside it
            for part in parts:
                _check_free(path.parent / part.name)
            for part in parts:
                part.rename(path.parent / part.name)
    except OSError as error:
        raise ZooError(
            f"{str(path)!r} cannot be written: {error.strerror}; choose another --output"
        ) from None
    return done


def _beside(
    done: Export, source: Source, samples: Samples, answers: tuple[Answer, Answer], less: Path
) -> Export:
    """The record of the file of lower precision, with what was measured of it and of the one in fp32."""
    batches, difference = compare(source.module, answers[1], samples)
    if not math.isfinite(difference):
        raise ZooError(
            f"{done.model} as {done.format} in {source.precision} gives answers that are no numbers; "
            "nothing was written"
        )
    sizes = done.bytes, size_of(less.parent)
    times = time_in_turn(answers, samples.inputs)
    scores = [score_answers(answer, source.card, samples) for answer in answers]
    before, after = (
        Measured(bytes=size, milliseconds=time, **scored)
        for size, time, scored in zip(sizes, times, scores, strict=True)
    )
    return replace(
        done,
        bytes=sizes[1],
        batches=batches,
        difference=difference,
        tolerance=None,
        precision=source.precision,
        before=before,
        after=after,
    )


@torch.no_grad()
def compare(module: nn.Module, answer: Answer, samples: Samples) -> tuple[tuple[int, ...], float]:
    """The sizes of batch that were tried, and the largest difference between a model's and other answers."""
    batches = tuple(sorted({1, len(samples)}))
    worst = 0.0
    for count in batches:
        inputs = tuple(tensor[:count] for tensor in samples.inputs)
        worst = max(worst, _difference(module(*inputs), answer(inputs)))
    return batches, worst


def _difference(expected: Tensor, found: Tensor) -> float:
    if expected.shape != found.shape:
        return float("inf")
    worst = float((expected - found).abs().max() / expected.abs().max().clamp_min(1))
    return worst if worst == worst else float("inf")


def _format(name: str) -> Format:
    if name in FORMATS:
        return FORMATS[name]
    raise ZooError(f"no format named {name!r}; {hint(name, FORMATS)}")


def _stem(model: object, name: str) -> str:
    """The name of a run's folder, or the model's with its tag."""
    return Path(model).resolve().name if is_run(model) else name.rpartition("/")[2]


def _check_free(path: Path) -> None:
    if exists(path):
        raise ZooError(f"{str(path)!r} exists already; choose another --output")


def _attempt(model: str, format: str, step: Callable[[], Any]) -> Any:
    """What a step gives; whatever torch or another library raises becomes one line with its first cause."""
    try:
        return step()
    except (ZooError, OSError):
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = describe_error(cause) if first_line(cause) else type(cause).__name__
        raise ZooError(f"{model} cannot be exported as {format}: {reason}") from error
