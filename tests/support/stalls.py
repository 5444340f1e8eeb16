"""How long a busy machine lets a thread wait: what a test that counts by a clock must allow for."""

from __future__ import annotations

import threading
import time
from typing import Self

_STEP = 0.005
# A request passes the worker's loop, the server's loop, and the kernel between them.
_STATIONS = 3


class Stalls:
    """Measures, while the block runs, by how much a thread that waits wakes too late."""

    def __init__(self) -> None:
        self.longest = 0.0
        """The seconds by which it woke too late, at most."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stalls", daemon=True)

    @property
    def seconds(self) -> float:
        """By so much the time between two events may differ from that between their arrivals."""
        return _STATIONS * self.longest

    def most(self, rate: float, *, apart: float = 0.0) -> float:
        """Give how many requests may arrive in a second, under a limit of so many.

        Args:
            rate: The limit.
            apart: By how many seconds the ways to the server differ besides.
        """
        return rate * (1 + self.seconds + apart) + 1

    def _watch(self) -> None:
        while not self._ended.is_set():
            began = time.monotonic()
            self._ended.wait(_STEP)
            self.longest = max(self.longest, time.monotonic() - began - _STEP)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
