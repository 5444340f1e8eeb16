"""Faults by window: which requests of a test are spoiled, and with what."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from calls import hour

from boxis_async import Window
from boxis_async.testing import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from boxis_async.testing import Received

REFUSED = Fault.refuse("out of order")
"""A refusal: a window is not asked for again, nor in halves."""


def failing_at(*numbers: int, fault: Fault = REFUSED) -> Callable[[Received], Fault | None]:
    """Let the windows that begin with some hours of `calls.DAY` fail for good."""
    starts = {f"{hour(number).start}" for number in numbers}
    return lambda received: fault if received.datefrom in starts else None


def window_of(received: Received) -> Window:
    """Read which window a request asks for."""
    assert received.datefrom is not None
    assert received.dateto is not None
    return Window(
        datetime.fromisoformat(received.datefrom), datetime.fromisoformat(received.dateto)
    )
