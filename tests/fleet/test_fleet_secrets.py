"""Secrets of workers stay on workers: in no task, plugin, pickle, log, event, page or data set."""

from __future__ import annotations

import asyncio
import logging
import pickle
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from fleets import FIRST, LAST, TENANTS

from boxis_async import BoxisClient, RetryPolicy
from boxis_async.fleet import harvest
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from boxis_async.testing import LoopbackServer, Received

SECRET = "of-the-workers-alone-8c1f"
ONCE = partial(BoxisClient, retry=RetryPolicy(attempts=1))


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Run a cluster of its own, whose every message and page can be read."""
    from distributed import LocalCluster  # noqa: PLC0415 - takes half a second

    with LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
    ) as cluster:
        yield cluster


def page(url: str) -> bytes:
    """Read a page of Dask's."""
    with urllib.request.urlopen(url, timeout=10) as found:
        content: bytes = found.read()
        return content


async def test_no_secret_leaves_a_worker(
    server: LoopbackServer,
    cluster: Any,  # noqa: ANN401 - Dask's own
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither key nor authcode is in what Dask sends, keeps, logs or shows, also after errors."""
    from distributed.comm import tcp  # noqa: PLC0415 - takes half a second

    sent: list[bytes] = []
    to_frames = tcp.to_frames

    async def recorded(*content: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever it takes
        frames = await to_frames(*content, **named)
        sent.append(b"".join(map(bytes, frames)))
        return frames

    authcodes: set[str] = set()

    def faulty(received: Received) -> Fault | None:
        return Fault.refuse("no such user") if received.number % 5 == 0 else None

    provider = Provider(
        tenants={name: [{"uniqueid": "1", "start": f"{FIRST} 10:00:00"}] for name in TENANTS},
        api_key=SECRET,
        faults=faulty,
    )
    monkeypatch.setattr(tcp, "to_frames", recorded)
    monkeypatch.setenv("BOXIS_USERNAME", provider.username)
    monkeypatch.setenv("BOXIS_API_KEY", SECRET)
    monkeypatch.setenv("BOXIS_BASE_URL", server.mount(provider))
    from boxis_async._wire import signing  # noqa: PLC0415 - to see each authcode

    sign = signing.Key.authcode

    def noted(self: Any, timestamp: Any) -> str:  # noqa: ANN401 - whatever it takes
        authcodes.add(code := sign(self, timestamp))
        return code

    monkeypatch.setattr(signing.Key, "authcode", noted)
    with caplog.at_level(logging.DEBUG):
        done = await harvest(
            TENANTS, FIRST, LAST, tmp_path,
            scheduler=cluster.scheduler_address, max_rate=None, make_client=ONCE,
        )  # fmt: skip
    server.unmount(provider)
    # One that is cancelled as its neighbour fails may never arrive.
    assert done.requests >= len(provider.requests) > 5
    assert done.failed
    assert authcodes
    port = cluster.scheduler.http_server.port
    names = ("info/main/workers.html", "json/counts.json", "metrics")
    pages = [await asyncio.to_thread(page, f"http://127.0.0.1:{port}/{name}") for name in names]
    files = [path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()]  # noqa: ASYNC240 - nothing else runs
    kept = [
        *sent,
        *pages,
        *files,
        repr(done).encode(),
        pickle.dumps(done),
        caplog.text.encode(),
        repr(cluster.scheduler.get_events()).encode(),
        repr(cluster.scheduler.get_logs()).encode(),
        repr([worker.get_logs() for worker in cluster.workers.values()]).encode(),
    ]
    assert len(sent) > 20
    for secret in (SECRET, *authcodes):
        assert [what[:200] for what in kept if secret.encode() in what] == []
    # So that this test would see one: what an order and an outcome have is in them.
    for shown in (TENANTS[0], "give_up_after", "no such"):
        assert any(shown.encode() in what for what in sent), shown
