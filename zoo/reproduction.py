"""Whether published weights can be trained again: by their receipt, judged by how far their seeds differ."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from zoo.data import Dataset
from zoo.errors import DataError, WeightsError
from zoo.registry import installed
from zoo.runs import Receipt, Run, versions
from zoo.specs import WeightsSpec, convert

if TYPE_CHECKING:
    from zoo.training import Callback

COVERAGE = 0.95


@dataclass(frozen=True)
class Reproduction:
    """One more training by a receipt, beside what its weights claim: the primary metric on the test split.

    `low` and `high` are the band in which one more training falls 95 times of 100, by those that were made
    with other seeds. `changed` names the packages whose version is another than the receipt's: (then, now).
    """

    weights: str
    metric: str
    claimed: float
    low: float
    high: float
    trainings: int
    run: Run
    changed: dict[str, tuple[str, str]]

    @property
    def found(self) -> float:
        """What the new training reached."""
        return self.run.metrics[self.metric]

    @property
    def holds(self) -> bool:
        """Whether that is inside the band."""
        return self.low <= self.found <= self.high

    def as_json(self) -> dict[str, Any]:
        """The comparison for programs."""
        fields = ("weights", "metric", "claimed", "found", "low", "high", "trainings", "holds")
        told = {name: getattr(self, name) for name in fields}
        return told | {
            "run": str(self.run.path),
            "changed": {key: list(of) for key, of in self.changed.items()},
        }


def reproduce(
    name: str,
    *,
    data: str | Dataset | None = None,
    output: str | os.PathLike[str] | None = None,
    seed: int | None = None,
    device: str = "auto",
    callbacks: Sequence[Callback] = (),
) -> Reproduction:
    """Trains a model once more as the receipt of the weights `name` says, and compares the result.

    `data` is needed where the receipt's is no name that is known here. `seed` is the receipt's unless it is
    given. Raises `WeightsError` for weights without a receipt or a second training, `DataError` for data that
    is not the receipt's; then nothing is trained.
    """
    from zoo import api

    entry, spec = installed().tagged(name)
    task = installed().task(entry.spec.tasks[0] if spec.problem is None else spec.problem.task)
    if len(spec.repeats) < 2 or not spec.receipt:
        lacks = "second training to compare with" if spec.receipt else "receipt of its training"
        raise WeightsError(f"{spec.name} cannot be judged: it has no {lacks}; ask whoever published it")
    receipt = convert(spec.receipt, Receipt, where=f"receipt of {spec.name}")
    dataset = _same_data(spec, receipt, data)
    settings = msgspec.to_builtins(msgspec.structs.asdict(receipt.recipe))  # those at their default too
    settings["precision"] = receipt.precision
    run = api.train(
        entry.name,
        dataset,
        output=output,
        settings=settings if seed is None else {**settings, "seed": seed},
        weights=receipt.weights or None,
        device=device,
        callbacks=callbacks,
        **receipt.options,
    )
    # A share of so many samples is known only to one of them: its own part of the spread.
    step = 1 / dataset.size("test") if task.unit == "fraction" else 0.0
    low, high = band([reached[task.metric] for reached in spec.repeats], step=step)
    if task.unit == "fraction":
        low, high = max(low, 0.0), min(high, 1.0)
    return Reproduction(
        weights=spec.name,
        metric=task.metric,
        claimed=spec.metrics[task.metric],
        low=low,
        high=high,
        trainings=len(spec.repeats),
        run=run,
        changed=_changed(receipt.versions),
    )


def band(values: Sequence[float], *, step: float = 0.0) -> tuple[float, float]:
    """Where one more value of the same kind falls 95 times of 100, by two values or more.

    The prediction interval of a normal sample by Student's t (Whitmore 1986). `step` is how coarse the
    values are, of which rounding brings a variance of step**2 / 12 (Sheppard 1898).
    """
    from scipy.stats import t  # slow to import

    count, mean = len(values), statistics.fmean(values)
    deviation = math.sqrt(statistics.variance(values) + step**2 / 12)
    half = float(t.ppf((1 + COVERAGE) / 2, count - 1)) * deviation * math.sqrt(1 + 1 / count)
    return mean - half, mean + half


def _same_data(spec: WeightsSpec, receipt: Receipt, data: str | Dataset | None) -> Dataset:
    from zoo.data.load import load_dataset

    source = data if data is not None else str(receipt.data.get("name", ""))
    options = receipt.data.get("options", {})
    dataset = load_dataset(source, **options) if isinstance(source, str) else source
    wanted = receipt.data.get("fingerprint")
    if wanted is not None and (found := dataset.fingerprint()) != wanted:
        made, here = receipt.versions.get("python", "?"), versions()["python"]
        raise DataError(
            f"data {dataset.name!r} is not what {spec.name} was trained on (fingerprint {found[:12]}..., its "
            f"receipt says {wanted[:12]}...); it was read with Python {made}, here it is {here}; "
            "name the same data with --data"
        )
    return dataset


def _changed(before: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    now = versions()
    pairs = {package: (then, now.get(package, "none")) for package, then in before.items()}
    return {package: pair for package, pair in pairs.items() if pair[0] != pair[1]}
