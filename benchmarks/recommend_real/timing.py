"""`zoo devices calibrate` by the processor's seconds, which other work on the machine does not spoil."""

from __future__ import annotations

import json
import os
import sys
from functools import partial

from zoo.registry import installed
from zoo.specs import to_builtins
from zoo.training.calibrating import calibrate


def main() -> None:
    """Prints what was measured, as a line of JSON."""
    found = calibrate(installed(), clock="process_time", tell=partial(print, file=sys.stderr))
    took = sum(os.times()[:4])  # with those of the process that timed the models
    print(json.dumps({"name": sys.argv[1], "seconds": took, "calibration": to_builtins(found)}))


if __name__ == "__main__":
    main()
