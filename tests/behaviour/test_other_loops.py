"""Other event loops than asyncio's: an error that says so, before anything is sent."""

from __future__ import annotations

import asyncio
import tomllib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
import trio
from calls import DAY, NEXT_DAY, SECOND, hourly
from paths import ROOT

from boxis_async import BoxisClient, UsageError
from boxis_async.export import export, write
from boxis_async.mirror import Mirror
from boxis_async.testing import Provider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


async def enter(client: BoxisClient) -> None:
    async with client:
        pass


async def iterate(client: BoxisClient) -> None:
    async for _ in client.cdrs(DAY, NEXT_DAY):
        pass


async def iterate_batches(client: BoxisClient) -> None:
    async for _ in client.cdrs(DAY, NEXT_DAY).batches():
        pass


async def mirror(_: BoxisClient) -> None:
    async with Mirror("calls.db"):
        pass


WAYS: dict[str, Callable[[BoxisClient], Awaitable[object]]] = {
    "async with": enter,
    "async for": iterate,
    "batches": iterate_batches,
    "to_list": lambda client: client.cdrs(DAY, NEXT_DAY).to_list(),
    "call": lambda client: client.call("voip", "getLineList"),
    "calls": lambda client: client.calls(DAY, NEXT_DAY),
    "watch": lambda client: anext(client.watch(SECOND)),
    "calls of a watch": lambda client: anext(client.watch(SECOND).calls()),
    "mirror": mirror,
    "probe": lambda client: client.probe(around=DAY),
    "export": lambda client: export(client.cdrs(DAY, NEXT_DAY), "calls.csv"),
    "write": lambda client: write(client.cdrs(DAY, NEXT_DAY), BytesIO(), format="csv"),
}


def by_hand(function: Callable[[], Any]) -> object:
    """Run a coroutine as a loop of one's own does, which is of no library that is known."""
    coroutine = function()
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    finally:
        coroutine.close()
    raise AssertionError("it waits for something that no other loop has")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("run", [trio.run, by_hand], ids=["trio", "by hand"])
def test_no_loop_of_asyncios(
    way: str, run: Callable[[Any], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is begun on another loop says that asyncio is needed, and sends nothing."""
    monkeypatch.chdir(tmp_path)
    provider = Provider(hourly())
    client = BoxisClient(
        provider.username, provider.api_key, tenant=provider.tenant, http_client=provider.client()
    )

    async def main() -> None:
        await WAYS[way](client)

    with pytest.raises(UsageError, match="asyncio"):
        run(main)
    assert provider.requests == []
    assert list(tmp_path.iterdir()) == []


def test_from_asyncio_to_trio() -> None:
    """A client that was used on asyncio says the same on trio, and can still be closed."""
    provider = Provider(hourly())
    client = BoxisClient(
        provider.username, provider.api_key, tenant=provider.tenant, http_client=provider.client()
    )
    with asyncio.Runner() as runner:
        runner.run(client.cdrs(DAY, NEXT_DAY).to_list())
        for again in (client.aclose, client.cdrs(DAY, NEXT_DAY).to_list):
            with pytest.raises(UsageError, match="asyncio"):
                by_hand(again)
        runner.run(client.aclose())


def test_what_the_package_says_that_it_runs_on() -> None:
    """The classifiers promise asyncio, and no other framework."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    frameworks = [one for one in project["classifiers"] if one.startswith("Framework")]
    assert frameworks == ["Framework :: AsyncIO"]
