"""What was measured on this machine's own devices, and so stands above any datasheet.

`calibration.json` in `zoo.settings.home()`:

    {"schema": 1, "devices": {"rtx-4090": {
        "flops": {"fp32": 2.1e13, "bf16": 6.4e13},
        "intensity": 310.0,
        "step_seconds": 0.004,
        "measured": "2026-03-01"}}}

`flops`: operations a second that a timed training reached, by precision: 6 x MACs x samples, over
the seconds beyond `step_seconds` a step. `intensity`: the operations of that training for each
byte that its model keeps for the backward pass, so that models that move more or less memory can be
told from it. `step_seconds`: what an optimizer step costs however small the model. `rates`: the same by
the family of models, which `zoo devices calibrate` times, and stands above the two; `groups`: what installed
models took longer than by these rates. A device is known by the name of its `DeviceSpec`; this machine's
processor is `cpu`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from zoo import settings
from zoo.errors import ZooError
from zoo.paths import write_whole
from zoo.specs import Positive, Precision, Record

FILE = "calibration.json"
LEAST_SHARE = 0.1  # of a network's time that its operations take, however much its bytes explain


class Timing(NamedTuple):
    """A training that was timed: what a sample costs the model by its facts, and the seconds of a step.

    `family` is empty for one that has next to no work.
    """

    family: str
    batch: int
    macs: int
    kept: int  # bytes for the backward pass
    seconds: float


class Rates(Record, frozen=True, kw_only=True):
    """Operations a second by the family of models, and seconds for a byte kept for the backward pass."""

    flops: dict[str, Positive]
    byte_seconds: Annotated[float, Meta(ge=0)] = 0.0

    def flops_of(self, family: str) -> float:
        """Those of a family; of one that was not timed, the mean of the others on a scale of ratios."""
        known = self.flops.get(family)
        return known or math.exp(sum(map(math.log, self.flops.values())) / len(self.flops))


class Calibration(Record, frozen=True, kw_only=True):
    """What trainings on one device were measured to reach.

    `groups` holds, by `group_of`, models of one family that were timed at one task: the operations of each
    for a byte that it keeps, how many times as long a sample took as by the rates alone, and the seconds of
    a step whatever its samples. `models` holds the latter two by the group's and the model's name.
    """

    flops: dict[Precision, Positive]
    step_seconds: Annotated[float, Meta(ge=0)]
    intensity: Positive | None = None
    rates: dict[Precision, Rates] = {}
    groups: dict[str, tuple[tuple[Positive, Positive, Annotated[float, Meta(ge=0)]], ...]] = {}
    models: dict[str, tuple[Positive, Annotated[float, Meta(ge=0)]]] = {}
    measured: str = ""

    def at(self, group: str, intensity: float, model: str = "") -> tuple[float, float]:
        """What the rates' seconds of a sample are to be multiplied by, and the seconds of a step besides.

        Both are those of the model itself where it was timed, else of the timed ones of nearest intensity;
        between two of them they are drawn straight, over the logarithm of the intensity. Of a task at which
        none of the family was timed, the factor is the middle one of the family's at others.
        """
        if found := self.models.get(f"{group} {model}"):
            return found
        points = sorted(self.groups.get(group, ()))
        if not points:
            return self._elsewhere(group.rpartition(" ")[2]), self.step_seconds
        if intensity <= 0:
            return 1.0, self.step_seconds
        place = min(max(intensity, points[0][0]), points[-1][0])
        before = max(point for point in points if point[0] <= place)
        after = min(point for point in points if point[0] >= place)
        span = math.log(after[0] / before[0])
        share = math.log(place / before[0]) / span if span else 0.0
        factor = before[1] * (after[1] / before[1]) ** share
        return factor, before[2] + share * (after[2] - before[2])

    def _elsewhere(self, family: str) -> float:
        """The middle one of a family's factors, at whatever task."""
        end = f" {family}"
        factors = sorted(
            point[1] for name, points in self.groups.items() if name.endswith(end) for point in points
        )
        return factors[len(factors) // 2] if factors else 1.0


class _Store(Record, frozen=True, kw_only=True):
    schema: Literal[1]
    devices: dict[str, Calibration]


def group_of(task: str, family: str) -> str:
    """What the models of a family that do one task are called in a calibration."""
    return f"{task} {family}"


def read_calibrations() -> Mapping[str, Calibration]:
    """What was measured so far, by the device's name; raises `ZooError` for a damaged file."""
    path = settings.home() / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Store).devices
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        raise ZooError(f"{path} cannot be read ({error}); mend or remove it") from None


def write_calibration(device: str, calibration: Calibration) -> None:
    """Keeps what was measured of a device, in place of what was before; raises `ZooError`."""
    path = settings.home() / FILE
    store = _Store(schema=1, devices={**read_calibrations(), device: calibration})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, msgspec.json.format(msgspec.json.encode(store), indent=2))
    except OSError as error:
        raise ZooError(
            f"{path} cannot be written: {error.strerror}; set ZOO_HOME to another folder"
        ) from None


def fit_timings(timings: Mapping[Precision, Sequence[Timing]], *, measured: str) -> Calibration:
    """What explains the timings: a constant for each step, seconds for a byte, and a rate for each family.

    A family of two networks tells operations from bytes; one of a single network takes the bytes from it.
    """
    steps = [min(t.seconds for t in taken if not t.family) for taken in timings.values()]
    rates = {precision: _rates(taken) for precision, taken in timings.items()}
    return Calibration(
        flops={precision: found.flops_of("") for precision, found in rates.items()},
        step_seconds=min(steps),
        rates=rates,
        measured=measured,
    )


def _rates(timings: Sequence[Timing]) -> Rates:
    least = min(t.seconds for t in timings if not t.family)
    families: dict[str, list[tuple[float, float, float]]] = {}  # operations, bytes and seconds of a sample
    for timing in timings:
        if timing.family:
            seconds = max(timing.seconds - least, 0.1 * timing.seconds) / timing.batch
            families.setdefault(timing.family, []).append((6.0 * timing.macs, float(timing.kept), seconds))
    byte = next((_byte_seconds(*pair) for pair in families.values() if len(pair) == 2), 0.0)
    flops = {}
    for family, members in families.items():
        operations = sum(each[0] for each in members)
        left = sum(max(taken - byte * kept, LEAST_SHARE * taken) for _, kept, taken in members)
        flops[family] = operations / left
    return Rates(flops=flops, byte_seconds=byte)


def _byte_seconds(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """Where two networks' seconds are operations and bytes at the same two rates, that of the bytes."""
    determinant = one[0] * other[1] - other[0] * one[1]
    found = (one[0] * other[2] - other[0] * one[2]) / determinant if determinant else 0.0
    most = min((1 - LEAST_SHARE) * taken / kept for _, kept, taken in (one, other))
    return min(max(0.0, found), most)
