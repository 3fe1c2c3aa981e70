"""`zoo devices calibrate` by the processor's seconds, which other work on the machine does not spoil."""

from __future__ import annotations

import json
import sys
import time

from zoo.registry import installed
from zoo.specs import to_builtins
from zoo.training import calibrating


def main() -> None:
    """Prints what was measured, as a line of JSON."""
    calibrating.clock = time.process_time
    began = time.process_time()
    found = calibrating.calibrate(installed(), tell=lambda line: print(line, file=sys.stderr))
    took = time.process_time() - began
    print(json.dumps({"name": sys.argv[1], "seconds": took, "calibration": to_builtins(found)}))


if __name__ == "__main__":
    main()
