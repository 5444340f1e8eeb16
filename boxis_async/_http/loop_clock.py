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

from boxis_async.errors import UsageError

__all__ = ["loop_time", "running_loop"]


def loop_time() -> float:
    """Give the time in seconds by the clock of the running event loop.

    Raises:
        UsageError: None of asyncio's is running.
    """
    return running_loop().time()


def running_loop() -> asyncio.AbstractEventLoop:
    """Give the running event loop.

    Raises:
        UsageError: None of asyncio's is running.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(
            "no event loop of asyncio is running here: boxis_async needs asyncio (or uvloop), as "
            'in asyncio.run(main()) or anyio.run(main, backend="asyncio"); it does not run on trio'
        ) from None
