"""The provider as a real server."""

from __future__ import annotations

import asyncio
import errno
import logging
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import httpx
import pytest
from paths import ROOT
from signed_by_hand import form

from boxis_async.testing import Fault, LoopbackServer, Provider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boxis_async.testing import Received


ROWS = [{"uniqueid": str(number), "clid": "Zoë"} for number in range(50)]


@pytest.fixture(autouse=True)
def _other_servers() -> Iterator[None]:
    """Do not count the servers that other tests share."""
    _OTHERS.update(_threads())
    yield
    _OTHERS.clear()


_OTHERS: set[threading.Thread] = set()


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "boxis-loopback"}


def servers() -> list[threading.Thread]:
    return list(_threads() - _OTHERS)


async def test_same_answer_as_in_process() -> None:
    """A socket changes nothing about an answer."""
    provider = Provider(ROWS)
    async with (
        LoopbackServer(provider) as server,
        httpx.AsyncClient() as client,
        provider.client() as inside,
    ):
        over_socket = (await client.post(server.url, data=form())).json()
        in_process = (await inside.post("/", data=form())).json()
    assert over_socket["params"] == in_process["params"]
    assert provider.in_flight == 0


def test_without_a_loop() -> None:
    """It serves a plain `with`, takes clients at once, and leaves no thread behind."""
    provider = Provider(ROWS)
    with LoopbackServer(provider) as server, httpx.Client() as client:
        assert client.post(server.url, data=form()).json()["result"] == "1"
        assert len(servers()) == 1
    assert servers() == []


async def test_many_providers() -> None:
    """Each mounted provider has its own path; one that is no longer mounted is not found."""
    first, second = Provider(ROWS), Provider(ROWS[:1])
    async with LoopbackServer() as server, httpx.AsyncClient() as client:
        one, two = server.mount(first), server.mount(second)
        assert one.startswith(server.url)
        assert len((await client.post(one, data=form())).json()["params"]["cdr"]) == len(ROWS)
        assert len((await client.post(two, data=form())).json()["params"]["cdr"]) == 1
        assert (await client.post(server.url, data=form())).status_code == 404
        server.unmount(first)
        assert (await client.post(one, data=form())).status_code == 404
        with pytest.raises(LookupError):
            server.unmount(first)
    assert (len(first.requests), len(second.requests)) == (1, 1)


async def test_many_requests_at_once() -> None:
    """Requests over several connections are in flight at the same time."""
    provider = Provider(ROWS)
    everybody = asyncio.Event()

    async def gate(_: Received) -> None:
        if provider.in_flight == 10:
            everybody.set()
        await everybody.wait()

    provider.gate = gate
    async with LoopbackServer(provider) as server, httpx.AsyncClient() as client:
        answers = await asyncio.gather(*(client.post(server.url, data=form()) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert provider.peak_in_flight == 10


@pytest.mark.parametrize("fault", [Fault.cut(), Fault.disconnect()], ids=lambda fault: fault.kind)
async def test_broken_answers(
    fault: Fault, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """A broken answer breaks at the client, and the server neither logs nor prints anything."""
    caplog.set_level(logging.DEBUG, "uvicorn")
    provider = Provider(ROWS, faults=[fault])
    async with LoopbackServer(provider) as server, httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
            await client.post(server.url, data=form())
        assert (await client.post(server.url, data=form())).json()["result"] == "1"
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []
    assert capfd.readouterr().err == ""


async def test_an_error_of_a_callable_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Faults are not logged, but what a test's own callable raises is."""

    def mistaken(_: Received) -> Fault:
        raise KeyError("mistake")

    async with LoopbackServer(Provider(faults=mistaken)) as server, httpx.AsyncClient() as client:
        assert (await client.post(server.url, data=form())).status_code == 500
    (record,) = [record for record in caplog.records if record.name == "uvicorn.error"]
    assert record.exc_info
    assert isinstance(record.exc_info[1], KeyError)


async def test_logging_is_left_as_it_was() -> None:
    """No level, handler or filter of uvicorn's loggers differs afterwards."""
    loggers = [logging.getLogger(name) for name in ("uvicorn", "uvicorn.error", "uvicorn.access")]
    handler = logging.NullHandler()
    loggers[2].addHandler(handler)

    def settings() -> list[object]:
        return [(logger.level, logger.propagate, [*logger.handlers]) for logger in loggers]

    before, filters = settings(), [[*logger.filters] for logger in loggers]
    async with LoopbackServer(Provider()) as server, httpx.AsyncClient() as client:
        await client.post(server.url, data=form())
        assert settings() == before
    assert settings() == before
    assert [logger.filters for logger in loggers] == filters
    loggers[2].removeHandler(handler)


async def test_leaving_aborts_what_hangs() -> None:
    """Requests that hang or wait at a gate do not keep the server from ending."""
    arrived = threading.Semaphore(0)

    async def gate(received: Received) -> None:
        arrived.release()
        if received.number > 2:
            await asyncio.Event().wait()

    provider = Provider(faults=[Fault.hang(), Fault.hang()], gate=gate)
    async with httpx.AsyncClient() as client:
        async with LoopbackServer(provider) as server:
            hanging = [asyncio.create_task(client.post(server.url, data=form())) for _ in range(4)]
            for _ in hanging:
                await anyio.to_thread.run_sync(arrived.acquire)
        ended = await asyncio.gather(*hanging, return_exceptions=True)
    assert all(isinstance(error, httpx.TransportError) for error in ended)
    assert servers() == []
    assert provider.in_flight == 0


async def test_hang_ends_when_the_client_goes() -> None:
    """A request that hangs ends as soon as its client disconnects."""
    arrived, over = threading.Event(), threading.Event()

    def hang(_: Received) -> Fault:
        arrived.set()
        return Fault.hang()

    provider = Provider(faults=hang)

    async def watched(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        try:
            await provider(scope, receive, send)
        finally:
            over.set()

    async with LoopbackServer(watched) as server, httpx.AsyncClient() as client:
        request = asyncio.create_task(client.post(server.url, data=form()))
        await anyio.to_thread.run_sync(arrived.wait)
        assert provider.in_flight == 1
        request.cancel()
        assert await anyio.to_thread.run_sync(over.wait, 30)
        assert provider.in_flight == 0


async def test_life_of_a_server() -> None:
    """A server has an address while it runs; it can run again, but not twice at once."""
    server = LoopbackServer(Provider())
    assert repr(server) == "<LoopbackServer(closed, providers=1)>"
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.url
    for _ in range(2):
        async with server:
            assert server.url in repr(server)
            with pytest.raises(RuntimeError, match="already"):
                server.__enter__()
        server.close()


def test_a_port_of_ones_own() -> None:
    """A server listens on the port that it is given, also a second time, or says that it cannot."""
    with LoopbackServer() as server:
        url = httpx.URL(server.url)
    assert url.port is not None
    mine = LoopbackServer(Provider(ROWS), port=url.port)
    for _ in range(2):
        with mine, httpx.Client() as client:
            assert mine.url == url
            assert client.post(url, data=form()).json()["result"] == "1"
            with pytest.raises(OSError, match=f"port {url.port} of .* is taken: choose") as raised:
                LoopbackServer(port=url.port).__enter__()
            assert raised.value.errno == errno.EADDRINUSE
    assert servers() == []


@pytest.mark.parametrize("port", [-1, 65_536])
def test_no_such_port(port: int) -> None:
    """A number that no port has raises at once."""
    with pytest.raises(ValueError, match=f"from 0 .* to 65535, not {port}"):
        LoopbackServer(port=port)


_UVLOOP = """
import asyncio, httpx, uvloop
from boxis_async.testing import LoopbackServer, Provider

async def main():
    async with LoopbackServer(Provider()) as server, httpx.AsyncClient() as client:
        print(type(asyncio.get_running_loop()).__module__.partition(".")[0])
        print((await client.post(server.url)).json()["result"])

uvloop.run(main())
"""


@pytest.mark.subprocess
async def test_host_on_uvloop() -> None:
    """The event loop of the program under test can be uvloop's."""
    pytest.importorskip("uvloop")
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", _UVLOOP]
    done = await anyio.run_process(command, check=False, cwd=ROOT)
    assert done.stdout.split() == [b"uvloop", b"0"], done.stderr.decode()


@pytest.mark.subprocess
def test_uvicorn_is_imported_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wing imports without uvicorn; the server's error says what to install."""
    code = "import sys, boxis_async.testing; sys.exit('uvicorn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ImportError, match=r"boxis-async\[testing\]"):
        LoopbackServer()
