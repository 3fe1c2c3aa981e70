"""What a training may take, and how often it is saved."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Seconds: the most from `started` to the end of it all, and between two checkpoints.

    `max_seconds` is kept by going through the recipe's schedule faster, so that it ends in time. Where saving
    takes long, it is done less often than after `checkpoint_seconds`. `started` is by `time.perf_counter`.
    Of a `trial` no more is asked than its validation score: it has no look at the test split, no model card
    and no checkpoints, and plugins' callbacks are not called.
    """

    max_seconds: float | None = None
    checkpoint_seconds: float = 60.0
    started: float = field(default_factory=time.perf_counter)
    trial: bool = False
