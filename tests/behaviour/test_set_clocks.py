"""Clocks that a test sets or freezes: waits end, as they go by the event loop's clock.

freezegun freezes `time.monotonic` too. Its `real_asyncio=True` leaves the loop its clock; without
that, no `asyncio.sleep` of any program ends.
"""

from __future__ import annotations

import ast
import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import time_machine
from calls import DAY, HOUR, NEXT_DAY, hourly, ids, ids_of
from freezegun import freeze_time

import boxis_async
from boxis_async import AttemptTimeoutError, RetryPolicy, WindowError
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from conftest import MakeClient

THEN = datetime(2024, 3, 7, 12, tzinfo=UTC)
SHORTLY = RetryPolicy(attempts=3, wait_initial=0.02, wait_max=0.05, wait_jitter=0)

CLOCKS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "freezegun": lambda: freeze_time(THEN, real_asyncio=True),
    "freezegun ticks": lambda: freeze_time(THEN, real_asyncio=True, auto_tick_seconds=3600),
    "time-machine": lambda: time_machine.travel(THEN, tick=False),
    "time-machine ticks": lambda: time_machine.travel(THEN, tick=True),
}
set_clocks = pytest.mark.parametrize("clock", CLOCKS)
A_DATE = format_datetime(THEN + timedelta(seconds=2), usegmt=True)


@set_clocks
@pytest.mark.parametrize(
    "fault",
    [
        Fault.status(429),
        Fault.status(429, retry_after="0.03"),
        Fault.status(503, retry_after=A_DATE),
        Fault.status(500),
        Fault.disconnect(),
    ],
    ids=["429", "429 with seconds", "503 with a date", "500", "disconnect"],
)
@pytest.mark.parametrize("over_http", [False, True], ids=["in process", "http"])
async def test_a_retry(
    make_client: MakeClient, clock: str, fault: Fault, *, over_http: bool
) -> None:
    """What is sent again after a wait is sent again."""
    provider = Provider(hourly(), faults=[fault], clock_tolerance=1e12)
    with CLOCKS[clock]():
        client = make_client(provider, over_http=over_http, retry=SHORTLY)
        stream = client.cdrs(DAY, NEXT_DAY, window=6 * HOUR)
        async with asyncio.timeout(60):
            found = await stream.to_list()
    assert ids(found) == ids_of(provider.select())
    assert stream.stats.retries == 1


@pytest.mark.slow
@set_clocks
async def test_a_rate(make_client: MakeClient, clock: str) -> None:
    """A limit on the rate lets requests pass, each in its turn."""
    provider = Provider(hourly(), clock_tolerance=1e12)
    loop = asyncio.get_running_loop()
    with CLOCKS[clock]():
        client = make_client(provider, max_rate=4)
        began = loop.time()
        async with asyncio.timeout(60):
            await client.cdrs(DAY, DAY + 5 * HOUR, window=HOUR).to_list()
        assert loop.time() - began > 0.9


@set_clocks
async def test_a_time_out(make_client: MakeClient, clock: str) -> None:
    """A limit on an attempt, and one on a window, end what hangs."""
    provider = Provider(hourly(), faults=lambda _: Fault.hang())
    with CLOCKS[clock]():
        for retry, timeout in (
            (RetryPolicy(attempts=1), 0.05),
            (RetryPolicy(attempts=1, timeout=0.05), 30),
        ):
            client = make_client(provider, retry=retry, timeout=timeout)
            async with asyncio.timeout(60):
                with pytest.raises(WindowError) as caught:
                    await client.cdrs(DAY, DAY + timedelta(seconds=2)).to_list()
            assert isinstance(caught.value.cause, AttemptTimeoutError)


async def test_a_clock_that_is_set_in_between(make_client: MakeClient) -> None:
    """A clock that is set while a request is under way, or set back, disturbs nothing."""
    provider = Provider(hourly(), clock_tolerance=1e12, faults=[Fault.status(429)])
    client = make_client(provider, over_http=True, retry=SHORTLY)
    for begin in (DAY, DAY + 6 * HOUR, DAY + 12 * HOUR):
        async with asyncio.timeout(60):
            with freeze_time(THEN, real_asyncio=True):
                stream = client.cdrs(begin, begin + 3 * HOUR, window=HOUR)
                await anext(stream)
            assert len(await stream.to_list()) == 2
            assert len(await client.cdrs(begin, begin + 3 * HOUR).to_list()) == 3


# Each module that reads a clock, and which: a new one is to be thought about.
CLOCKS_READ = {
    "_http/requester.py": {"time.perf_counter"},  # how long a request took, for hooks and logs
    "_http/server_clock.py": {"time.time"},  # what the provider is to know, and what now is
    "_http/waiting.py": {"anyio.current_time"},  # the loop's, for what waits on it
    "_watch/looks.py": {"time.time"},  # what is requested; its waits go by the loop's
    "_watch/watcher.py": {"time.time"},  # from when on a watch without a position counts
    "client.py": {"time.time"},  # from when on a watch counts
    "retry.py": {"datetime.now"},  # a date to wait until, where the answer has no date of its own
    "export/checkpoints.py": {"time.monotonic"},  # when to save; nothing waits for it
    "fleet/cluster_limiter.py": {"loop.time"},
    "fleet/granting_plugin.py": {"get_running_loop().time"},
    "fleet/harvest_tenants.py": {"datetime.now", "time.monotonic"},  # how long it took
    "fleet/partition.py": {"datetime.now"},
    "fleet/storage.py": {"time.time"},  # the age of a file that was left
    "fleet/worker_client.py": {"loop.time", "get_running_loop().time"},
    "mirror/lease.py": {"datetime.now"},
    "mirror/mirror.py": {"datetime.now"},
    "mirror/removing.py": {"datetime.now"},
    "mirror/sync.py": {"datetime.now", "anyio.current_time"},  # how long to try again: the loop's
    "mirror/wall_times.py": {"datetime.now"},
    "mirror/watch_position.py": {"datetime.now"},
    "mirror/writing.py": {"datetime.now"},
    "otel/telemetry.py": {"time.time"},
    "report/report.py": {"datetime.now"},
    "cli/calls.py": {"datetime.now"},
    "cli/database.py": {"datetime.now"},
    "cli/fleet.py": {"datetime.now"},
    "cli/mirror_status.py": {"datetime.now"},
    "cli/mirror_sync.py": {"datetime.now", "loop.time"},
    "cli/report.py": {"datetime.now"},
    "cli/watch.py": {"datetime.now", "loop.time"},
    "cli/check.py": {"time.perf_counter", "datetime.now"},
    "cli/demo.py": {"time.perf_counter"},
    "cli/export_to_file.py": {"datetime.now"},
    "cli/messages.py": {"datetime.now"},
    "cli/options.py": {"datetime.now"},
    "cli/probe.py": {"datetime.now"},
    "cli/serve.py": {"datetime.now"},
    "testing/loopback.py": {"time.monotonic"},  # the clock of the server's own loop
    "testing/provider.py": {"time.time", "time.monotonic"},
}
_NAMES = {
    "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "now",
    "utcnow", "today", "current_time", "process_time",
}  # fmt: skip
_OWNERS = {"time", "datetime", "date", "asyncio.get_running_loop()", "anyio", "self.loop", "loop"}


def test_which_clocks_are_read() -> None:
    """No module reads a clock but those that are known to, each the clock that is right for it."""
    package = Path(boxis_async.__file__).parent
    found: dict[str, set[str]] = {}
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in _NAMES:
                owner = ast.unparse(node.value)
                if owner in _OWNERS:
                    name = f"{owner.removeprefix('asyncio.')}.{node.attr}"
                    found.setdefault(path.relative_to(package).as_posix(), set()).add(name)
    assert found == CLOCKS_READ
