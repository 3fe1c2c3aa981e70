"""What came of the trainings on this machine, beside what was predicted: it teaches the next prediction.

`outcomes.jsonl` in `zoo.settings.home()` has a line for each finished training. Nothing of it leaves the
machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cached_property

import msgspec

from zoo import settings
from zoo.errors import ZooError
from zoo.specs import Count, Evidence, Positive, Precision, Problem, Record, Reference

FILE = "outcomes.jsonl"
KEPT = 500  # of the last trainings, how many are looked at
HELD = {"device": 1.0, "family": 1.0, "model": 0.5}  # results that no difference at all is worth
SEEN_SHARE = 0.7  # of the deviation of a time, once the device has trained something
SEEN_DEVIATION = 0.12  # of the time and memory of a model that was trained here


class Outcome(Record, frozen=True, kw_only=True):
    """One finished training.

    `predicted_seconds` and `predicted_memory_bytes` are what the facts alone had said, before any correction;
    `calibrated` is when the device had been timed. What the machine's other work would have spoilt, and
    the score of a recipe that is not the model's own, are left out.
    """

    device: str
    model: Reference
    family: str
    problem: Problem
    weights: str = ""
    dataset: str = ""
    precision: Precision = "fp32"
    batch_size: Count
    calibrated: str = ""
    predicted_seconds: Positive | None = None
    seconds: Positive | None = None
    predicted_memory_bytes: Positive | None = None
    memory_bytes: Positive | None = None
    score: float | None = None
    ended: str = ""

    def as_evidence(self) -> Evidence:
        """As a measured result."""
        return Evidence(
            model=self.model,
            weights=self.weights,
            problem=self.problem,
            source=f"a training on this machine, {self.ended}",
            dataset=self.dataset,
            score=self.score,
            precision=self.precision,
            batch_size=self.batch_size,
        )


class Correction(msgspec.Struct, frozen=True, gc=False):
    """By what an estimate is multiplied; its deviation is that `share`, and no more than `most`."""

    factor: float = 1.0
    share: float = 1.0
    most: float = math.inf
    told: str = ""


NONE = Correction()


class History:
    """The outcomes on one device, as far as they tell of its next training."""

    def __init__(self, outcomes: Iterable[Outcome], device: str, calibrated: str = "") -> None:
        self._outcomes = [each for each in outcomes if each.device == device]
        self._calibrated = calibrated
        self._models = {each.model for each in self._outcomes}
        self._found: dict[tuple[str, str, str], Correction] = {}

    def seconds(self, model: str, family: str, precision: str) -> Correction:
        """Of a time: what this device, the family there and the model there took longer or less long."""
        key = (model if model in self._models else "", family, precision)
        if key not in self._found:  # asked for thousands of models, most of which were never trained here
            self._found[key] = self._seconds(*key)
        return self._found[key]

    def _seconds(self, model: str, family: str, precision: str) -> Correction:
        alike = [each for each in self._timed if each[0].precision == precision]
        if not alike:
            return NONE
        here = {
            "device": alike,
            "family": [each for each in alike if each[0].family == family],
            "model": [each for each in alike if each[0].model == model],
        }
        offset = 0.0
        for name, members in here.items():
            offset += sum(gap - offset for _, gap in members) / (len(members) + HELD[name])
        factor = math.exp(offset)
        count = len(here["model"])
        seen = f"{count} of this model" if count else f"{len(alike)} of others"
        told = f"times {factor:.2f} after {seen} on this machine"
        return Correction(factor, SEEN_SHARE, 2 * SEEN_DEVIATION if count else math.inf, told)

    def memory(self, model: str, batch_size: int, precision: str) -> Correction:
        """Of a peak of memory: that of the same model in such batches."""
        if model not in self._models:
            return NONE
        gaps = [
            math.log(each.memory_bytes / each.predicted_memory_bytes)
            for each in self._outcomes
            if (each.model, each.batch_size, each.precision) == (model, batch_size, precision)
            and each.memory_bytes
            and each.predicted_memory_bytes
        ]
        if not gaps:
            return NONE
        factor = math.exp(sum(gaps) / (len(gaps) + HELD["model"]))
        told = f"times {factor:.2f} after {len(gaps)} of this model on this machine"
        return Correction(factor, 1.0, SEEN_DEVIATION, told)

    @cached_property
    def _timed(self) -> list[tuple[Outcome, float]]:
        """Those that were timed and foretold under the same calibration, with the logarithm of the ratio."""
        return [
            (each, math.log(each.seconds / each.predicted_seconds))
            for each in self._outcomes
            if each.seconds and each.predicted_seconds and each.calibrated == self._calibrated
        ]


def read_outcomes() -> Sequence[Outcome]:
    """The last trainings of this machine, the oldest first; raises `ZooError` for a damaged file."""
    path = settings.home() / FILE
    try:
        lines = path.read_bytes().splitlines()[-KEPT:]
        return [_DECODER.decode(line) for line in lines if line]
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.MsgspecError) as error:
        raise ZooError(f"{path} cannot be read ({error}); mend or remove it") from None


def keep_outcome(outcome: Outcome) -> None:
    """Adds a training to the others; where that cannot be written, nothing is kept."""
    path = settings.home() / FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(msgspec.json.encode(outcome) + b"\n")
    except OSError:  # which harms no training
        return


_DECODER = msgspec.json.Decoder(Outcome)
