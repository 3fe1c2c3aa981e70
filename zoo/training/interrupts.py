"""Ctrl-C at a moment that suits the run."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Self


class Interrupts:
    """Holds Ctrl-C back, so that no step is left half done; a second one is not held back.

    `came` says that the run is to stop after the step at hand. Only the main thread gets signals, and a
    handler that somebody else has set is left alone.
    """

    def __init__(self) -> None:
        self.came = False
        self._holding = False

    def __enter__(self) -> Self:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._hold)
            self._holding = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._holding:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._holding = False

    def _hold(self, number: int, frame: FrameType | None) -> None:
        if self.came:
            raise KeyboardInterrupt
        self.came = True
