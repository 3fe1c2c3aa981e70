"""Ctrl-C, and a polite kill, at a moment that suits the run."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

_HELD = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}


class Interrupts:
    """Holds SIGINT and SIGTERM back, so that no step is left half done; a second Ctrl-C is not held back.

    `came` says that the run is to stop after the step at hand. Only the main thread gets signals, and a
    handler that somebody else has set is left alone.
    """

    def __init__(self) -> None:
        self.came = False
        self.signal: int = signal.SIGINT
        self._former: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number, usual in _HELD.items():
                if signal.getsignal(number) is usual:
                    self._former[number] = signal.signal(number, self._hold)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        self._former.clear()

    def stop(self) -> None:
        """Ends the process as the signal would have: `KeyboardInterrupt`, or `SystemExit` with 128 + 15."""
        if self.signal == signal.SIGTERM:
            raise SystemExit(128 + signal.SIGTERM)
        raise KeyboardInterrupt

    def _hold(self, number: int, frame: FrameType | None) -> None:
        if self.came and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.came, self.signal = True, number
