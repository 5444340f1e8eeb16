"""The clock that waits go by: the event loop's.

What is waited for with one clock must be measured with the same. Libraries for tests freeze or set
the clocks of `time`, as freezegun does with `time.monotonic`: a wait that is measured with a clock
that stands still has no end. Three clocks are in use:

- the event loop's, for what is waited for, and for what ends by it;
- `time.time`, for what the provider is to know, and for what "now" is;
- `time.perf_counter`, for how long something took, where that decides nothing.
"""

from __future__ import annotations

import asyncio

__all__ = ["loop_time"]


def loop_time() -> float:
    """Give the time in seconds by the clock of the running event loop."""
    return asyncio.get_running_loop().time()
