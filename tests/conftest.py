"""What the tests share: a provider, clients of it in process and over HTTP, and both loops."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from calls import hourly
from clients import PROMPTLY, known_rule
from hypothesis import settings
from loops import LOOPS
from postgres_server import PostgresAbsentError, PostgresServer
from pytest_asyncio import is_async_test
from waiting import settled

from boxis_async import BoxisClient
from boxis_async._wire import json as wire_json
from boxis_async.testing import LoopbackServer, Provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    import httpx

# `nox -s quick` takes `quick`, and one event loop; `nox -s long` takes `long`. A run of
# `HYPOTHESIS_PROFILE=thorough nox -s long` looks twenty times as far, which takes an hour: the
# hosted workflow does so once a week.
settings.register_profile("quick", deadline=None, max_examples=10)
settings.register_profile("fast", deadline=None, max_examples=25)
settings.register_profile("long", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=1000)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "fast")
settings.load_profile(PROFILE)

# Some hundred tests start Python. Where it may not keep the bytecode, each start compiles the
# package anew, which takes a third of its time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

DOCS = Path(__file__).parent / "docs"
POSTGRES = "postgres_server"


class MakeClient(Protocol):
    """Makes a client of a provider; what it needs is closed at the end of the test."""

    def __call__(
        self,
        provider: Provider,
        *,
        over_http: bool = False,
        **settings: Any,  # noqa: ANN401 - whatever a client takes
    ) -> BoxisClient: ...


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what a folder says of all its tests, and what a fixture says of those that have it.

    A quick run takes the first case of each test alone.
    """
    for item in items:
        if DOCS in item.path.parents:
            item.add_marker(pytest.mark.docs)
        if POSTGRES in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.postgres)
    if PROFILE == "quick":
        first: dict[str, pytest.Item] = {}
        further = [
            item for item in items if first.setdefault(item.nodeid.split("[")[0], item) is not item
        ]
        config.hook.pytest_deselected(items=further)
        items[:] = first.values()


def pytest_collection_finish() -> None:
    """Leave what was imported out of each collection of garbage from here on.

    Some hundred tests collect garbage to see what is kept alive. To look through the modules and
    the tests themselves each time would take them a fifth of a second each.
    """
    gc.collect()
    gc.freeze()


def pytest_asyncio_loop_factories(
    config: pytest.Config,  # noqa: ARG001 - the hook's signature
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Choose the loops: what a loop can change is tested on both, the rest once."""
    if item.get_closest_marker("both_loops") and PROFILE != "quick":
        return LOOPS
    return {"asyncio": LOOPS["asyncio"]}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep out what the developer's own environment says."""
    for name in [name for name in os.environ if name.startswith("BOXIS_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def _processes() -> Iterator[list[object]]:
    """List what is started as a process of its own, by any test."""
    started: list[object] = []
    start = subprocess.Popen.__init__

    def counted(self: subprocess.Popen[Any], args: object, *more: Any, **named: Any) -> None:  # noqa: ANN401 - whatever it takes
        started.append(args)
        start(self, args, *more, **named)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", counted)
        yield started


@pytest.fixture(autouse=True)
def _processes_are_marked(
    request: pytest.FixtureRequest, _processes: list[object]
) -> Iterator[None]:
    """Hold each test to its mark, so that who chooses tests by marks gets what they say."""
    before = len(_processes)
    yield
    marked = any(request.node.get_closest_marker(name) for name in ("subprocess", "postgres"))
    if not marked and len(_processes) > before:
        pytest.fail(f"mark the test with `subprocess`, as it starts {_processes[before:]}")


@pytest.fixture(autouse=True)
def _tidy(request: pytest.FixtureRequest) -> None:
    """Hold each asynchronous test to leaving no task behind."""
    if is_async_test(request.node):
        request.getfixturevalue("_no_task_left")


@pytest.fixture
async def _no_task_left() -> AsyncIterator[None]:
    yield
    this = asyncio.current_task()
    try:
        await settled(lambda: asyncio.all_tasks() <= {this}, within=20)
    except TimeoutError:
        left = asyncio.all_tasks() - {this}
        pytest.fail(f"tasks were left behind: {left}")


@pytest.fixture(params=["orjson", "json"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read records with orjson, then as where it is not installed."""
    if request.param == "json":
        monkeypatch.setattr(wire_json, "fast_reader", lambda: None)
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def server() -> Iterator[LoopbackServer]:
    """Serve providers over real HTTP; mount them."""
    with LoopbackServer() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Run a PostgreSQL of the tests' own; whoever stops it starts it again."""
    try:
        server = PostgresServer()
    except PostgresAbsentError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"NOT TESTED: {error}")
    with server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Make a fresh database of that server."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def provider() -> Provider:
    """Hold a call for each hour of `calls.DAY`, at half past."""
    return Provider(hourly())


@pytest.fixture
async def make_client(server: LoopbackServer) -> AsyncIterator[MakeClient]:
    """Make clients of a provider, in process or over HTTP, whose retries wait for nothing."""
    clients: list[BoxisClient] = []
    lent: list[httpx.AsyncClient] = []
    mounted: list[Provider] = []

    def make(
        provider: Provider,
        *,
        over_http: bool = False,
        **settings: Any,  # noqa: ANN401 - whatever a client takes
    ) -> BoxisClient:
        if over_http:
            mounted.append(provider)
            settings.setdefault("base_url", server.mount(provider))
        elif "http_client" not in settings:
            settings["http_client"] = provider.client()
            lent.append(settings["http_client"])
        settings = {
            "tenant": provider.tenant,
            "retry": PROMPTLY,
            "contract": known_rule(provider),
        } | settings
        clients.append(BoxisClient(provider.username, provider.api_key, **settings))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()
    for http_client in lent:
        await http_client.aclose()
    for provider in set(mounted):
        server.unmount(provider)


@pytest.fixture
def client(provider: Provider, make_client: MakeClient) -> BoxisClient:
    """Be a client of `provider`, in process."""
    return make_client(provider)
