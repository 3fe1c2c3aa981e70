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
told from it. `step_seconds`: what an optimizer step costs however small the model. A device is
known by the name of its `DeviceSpec`; this machine's processor is `cpu`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from zoo import settings
from zoo.errors import ZooError
from zoo.specs import Positive, Precision, Record

FILE = "calibration.json"


class Calibration(Record, frozen=True, kw_only=True):
    """What trainings on one device were measured to reach."""

    flops: dict[Precision, Positive]
    step_seconds: Annotated[float, Meta(ge=0)]
    intensity: Positive | None = None
    measured: str = ""


class _Store(Record, frozen=True, kw_only=True):
    schema: Literal[1]
    devices: dict[str, Calibration]


def read_calibrations() -> Mapping[str, Calibration]:
    """What was measured so far, by the device's name; raises `ZooError` for a damaged file."""
    path = settings.home() / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Store).devices
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.MsgspecError) as error:
        raise ZooError(f"{path} cannot be read ({error}); mend or remove it") from None
