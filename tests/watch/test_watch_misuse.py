"""Misuse of a watch: whatever a caller does, nothing is left behind and nothing is lost.

Each case runs over real HTTP: with a request held in flight, or while the watch waits for its next
look.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import pytest
from calls import DAY, MINUTE, call
from loops import LOOPS
from scenes import Quiet
from waiting import Gate, settled
from watched import ZONE

from boxis_async import (
    AuthenticationError,
    BoxisClient,
    Change,
    ClientClosedError,
    StreamClosedError,
    UsageError,
    Watch,
    WindowError,
    WrongLoopError,
)
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from conftest import MakeClient

    from boxis_async.testing import LoopbackServer

pytestmark = pytest.mark.both_loops

Way: TypeAlias = Callable[[Watch], AbstractAsyncContextManager[AsyncIterator[Change]]]
COUNT = 5
SINCE = timedelta(hours=6)
SETTLE = timedelta(hours=2)


class UsersError(Exception):
    """What the user's own code raises."""


@asynccontextmanager
async def plain(watch: Watch) -> AsyncIterator[AsyncIterator[Change]]:
    yield watch


@asynccontextmanager
async def block(watch: Watch) -> AsyncIterator[AsyncIterator[Change]]:
    async with watch as changes:
        yield changes


@asynccontextmanager
async def generator(watch: Watch) -> AsyncIterator[AsyncIterator[Change]]:
    async def of_the_users_own() -> AsyncIterator[Change]:
        async for change in watch:
            yield change

    yield of_the_users_own()


WAYS: tuple[Way, ...] = (plain, block, generator)
by_each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
by_the_watchs_own = pytest.mark.parametrize("way", [plain, block], ids=lambda way: way.__name__)


def recent(count: int = COUNT) -> list[dict[str, str | None]]:
    """Make calls of the last hours, ten minutes after one another."""
    begin = datetime.now(ZONE).replace(tzinfo=None, microsecond=0) - 3 * timedelta(hours=1)
    return [call(f"{begin + number * 10 * MINUTE}", f"call.{number}") for number in range(count)]


class Scene(Quiet):
    """A client over HTTP whose provider answers the first request, and holds what comes after."""

    def __init__(self, make_client: MakeClient, caplog: pytest.LogCaptureFixture) -> None:
        super().__init__(caplog)
        self.gate = Gate(lambda received: received.number > 1)
        self.provider = Provider(recent(), gate=self.gate)
        self.client = make_client(self.provider, over_http=True)

    def watch(self, **settings: Any) -> Watch:  # noqa: ANN401 - whatever a watch takes
        """Watch from before the calls; a second look is due soon after the first one."""
        return self.client.watch(SINCE, settle=SETTLE, **settings)

    async def look_again(self, watch: Watch) -> None:
        """Let the second look be due at once, and wait until it is held in flight."""
        watch._watcher.looks._tenants[0].schedule.due = 0.0  # noqa: SLF001 - instead of half a minute
        watch._watcher.looks._alarm.ring()  # noqa: SLF001
        await settled(lambda: self.gate.held == 1)

    async def is_undisturbed(self) -> None:
        """Hold what a misuse left behind against what there was before."""
        await self.left_nothing_behind()
        self.gate.open()
        changes = self.watch()
        assert len([await anext(changes) for _ in range(COUNT)]) == COUNT
        await changes.aclose()
        await self.left_nothing_behind()


@pytest.fixture
async def scene(make_client: MakeClient, caplog: pytest.LogCaptureFixture) -> Scene:
    """Set the scene."""
    return Scene(make_client, caplog)


async def taken(changes: AsyncIterator[Change], count: int = COUNT) -> list[str]:
    """Take so many changes, and name their legs."""
    return [(await anext(changes)).cdr.uniqueid for _ in range(count)]


def is_waiting(watch: Watch) -> bool:
    """Report whether somebody waits for the next look of a watch."""
    return watch._watcher.looks._alarm._waiting is not None  # noqa: SLF001


ALL = [f"call.{number}" for number in range(COUNT)]


@by_each_way
async def test_break_with_the_watch_dropped(scene: Scene, way: Way) -> None:
    """A loop that is left, its watch dropped, leaves nothing behind."""

    async def leave() -> None:
        async with way(scene.watch()) as changes:
            async for _ in changes:
                break

    await leave()
    await scene.is_undisturbed()


@by_each_way
async def test_dropped_with_a_look_in_flight(scene: Scene, way: Way) -> None:
    """A watch that is dropped while its look is in flight cancels the request."""

    async def leave() -> None:
        watch = scene.watch()
        async with way(watch) as changes:
            await taken(changes)
            waiting = asyncio.ensure_future(anext(changes))
            await settled(lambda: is_waiting(watch))
            await scene.look_again(watch)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting

    await leave()
    gc.collect()
    await scene.is_undisturbed()


@by_the_watchs_own
async def test_break_with_the_watch_kept(scene: Scene, way: Way) -> None:
    """A loop that is left, its watch kept, goes on later: each change once, none left out."""
    found: list[str] = []
    async with way(scene.watch()) as changes:
        async for change in changes:
            found.append(change.cdr.uniqueid)
            if len(found) == 2:
                break
        found += await taken(changes, 3)
    assert found == ALL
    await scene.is_undisturbed()


@by_each_way
async def test_the_body_raises(scene: Scene, way: Way) -> None:
    """The user's own error comes out as it is, with nothing else around it."""

    async def use() -> None:
        async with way(scene.watch()) as changes:
            async for _ in changes:
                raise UsersError

    with pytest.raises(UsersError) as caught:
        await use()
    assert caught.value.__cause__ is caught.value.__context__ is None
    del caught
    gc.collect()
    await scene.is_undisturbed()


@by_each_way
@pytest.mark.parametrize("is_looking", [False, True], ids=["between looks", "in a look"])
async def test_cancelled_while_waiting(scene: Scene, way: Way, *, is_looking: bool) -> None:
    """A task that is cancelled while it waits for a change ends as cancelled."""

    async def consume(watch: Watch, found: list[str]) -> None:
        async with way(watch) as changes:
            async for change in changes:
                found.append(change.cdr.uniqueid)  # noqa: PERF401 - what came before counts

    async def cancel() -> list[str]:
        watch = scene.watch()
        found: list[str] = []
        task = asyncio.create_task(consume(watch, found))
        await settled(lambda: is_waiting(watch))
        if is_looking:
            await scene.look_again(watch)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return found

    assert await cancel() == ALL
    gc.collect()
    await scene.is_undisturbed()


async def test_a_task_cancelled_before_it_begins(scene: Scene) -> None:
    """A task that is cancelled in the very turn that it would begin in sends nothing."""
    watch = scene.watch()
    task = asyncio.ensure_future(anext(watch))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert scene.provider.requests == []
    await scene.is_undisturbed()


@pytest.mark.parametrize("limit", ["asyncio", "anyio"])
async def test_a_time_out_around_one_item(scene: Scene, limit: str) -> None:
    """After a limit around one item fired, in whichever state, nothing is lost or repeated."""
    scene.gate.open()
    watch = scene.watch()
    found: list[str] = []
    fired = 0
    while len(found) < COUNT:
        try:
            if limit == "asyncio":
                async with asyncio.timeout(0):
                    found += await taken(watch, 1)
            else:
                with anyio.fail_after(0):
                    found += await taken(watch, 1)
        except TimeoutError:
            fired += 1
            await asyncio.sleep(0)
    assert fired > 3
    assert found == ALL
    await watch.aclose()
    await scene.is_undisturbed()


async def test_a_time_out_between_looks(scene: Scene) -> None:
    """A limit that fires while the next look is not due yet leaves the watch as it was."""
    watch = scene.watch()
    assert await taken(watch) == ALL
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await anext(watch)
    now = datetime.now(ZONE).replace(tzinfo=None, microsecond=0)
    scene.provider.add(call(f"{now - 2 * MINUTE}", "late"))
    waiting = asyncio.ensure_future(anext(watch))
    await settled(lambda: is_waiting(watch))
    await scene.look_again(watch)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await waiting
    scene.gate.open()
    assert await taken(watch, 1) == ["late"]
    await watch.aclose()
    scene.provider.remove(uniqueid="late")
    await scene.is_undisturbed()


async def test_each_item_in_a_new_task(scene: Scene) -> None:
    """Each item may be requested by another task."""
    watch = scene.watch()
    found = [(await asyncio.ensure_future(anext(watch))).cdr.uniqueid for _ in range(COUNT)]
    assert found == ALL
    await watch.aclose()
    await scene.is_undisturbed()


async def test_two_consumers(scene: Scene) -> None:
    """Two tasks that share a watch get each change once between them, and never two looks."""
    watch = scene.watch()
    found: list[str] = []

    async def consume() -> None:
        async for change in watch:
            found.append(change.cdr.uniqueid)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(consume()) for _ in range(2)]
    await settled(lambda: len(found) == COUNT)
    assert sorted(found) == ALL
    await scene.look_again(watch)
    assert scene.provider.peak_in_flight == 1
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await watch.aclose()
    await scene.is_undisturbed()


async def test_two_loops_in_turn_over_one_watch(scene: Scene) -> None:
    """A second `async for` over the same watch continues where the first one stopped."""
    watch = scene.watch()
    found: list[str] = []
    for _ in range(COUNT):
        async for change in watch:
            found.append(change.cdr.uniqueid)
            break
    assert found == ALL
    await watch.aclose()
    await scene.is_undisturbed()


@pytest.mark.parametrize("is_looking", [False, True], ids=["between looks", "in a look"])
async def test_closed_while_another_task_waits(scene: Scene, *, is_looking: bool) -> None:
    """Tasks that wait for a change get a typed error at once when the watch is closed."""
    watch = scene.watch()
    await taken(watch)
    waiting = [asyncio.ensure_future(anext(watch)), asyncio.ensure_future(anext(watch))]
    await settled(lambda: is_waiting(watch))
    if is_looking:
        await scene.look_again(watch)
    await watch.aclose()
    for task in waiting:
        with pytest.raises(StreamClosedError):
            await task
    with pytest.raises(StreamClosedError):
        await anext(watch)
    await watch.aclose()
    await scene.is_undisturbed()


@pytest.mark.parametrize("is_looking", [False, True], ids=["between looks", "in a look"])
async def test_the_client_is_closed(
    scene: Scene, make_client: MakeClient, *, is_looking: bool
) -> None:
    """Closing the client ends its watches by a typed error, whoever waits and whoever comes."""
    watch, resting = scene.watch(), scene.watch()
    await taken(watch)
    waiting = asyncio.ensure_future(anext(watch))
    await settled(lambda: is_waiting(watch))
    if is_looking:
        await scene.look_again(watch)
    await scene.client.aclose()
    for item in (waiting, anext(watch), anext(resting)):
        with pytest.raises(ClientClosedError):
            await item
    with pytest.raises(ClientClosedError):
        scene.watch()
    scene.client = make_client(scene.provider, over_http=True)
    await scene.is_undisturbed()


async def test_entered_in_one_task_and_left_in_another(scene: Scene) -> None:
    """A block may be entered in one task, iterated in a second, and left in a third."""
    watch = scene.watch()
    await asyncio.create_task(watch.__aenter__())
    assert await asyncio.create_task(taken(watch)) == ALL
    await asyncio.create_task(watch.__aexit__(None, None, None))
    await scene.is_undisturbed()


async def test_all_other_tasks_are_cancelled(scene: Scene) -> None:
    """Whoever cancels all tasks of the loop ends the watch by an error, not by a wait for ever."""
    watch = scene.watch()
    await taken(watch)
    item = asyncio.ensure_future(anext(watch))
    await settled(lambda: is_waiting(watch))
    await scene.look_again(watch)
    for task in asyncio.all_tasks() - {item, asyncio.current_task()}:
        task.cancel()
    with pytest.raises(StreamClosedError):
        await item
    await scene.is_undisturbed()


async def test_a_dropped_watch_is_freed(scene: Scene) -> None:
    """Nothing that runs in the background holds a watch that was dropped, with calls or without."""
    scene.gate.open()
    for by_calls in (False, True):
        watch = scene.watch()
        freed: list[str] = []
        weakref.finalize(watch, freed.append, "freed")
        changes: Any = watch.calls() if by_calls else watch
        await anext(changes)
        gc.disable()
        try:
            del watch, changes
            assert freed == ["freed"]
        finally:
            gc.enable()
    await scene.is_undisturbed()


async def test_a_dropped_watch_is_freed_while_its_error_is_kept(scene: Scene) -> None:
    """The traceback of an error does not keep a watch."""
    watch = scene.watch()
    freed: list[str] = []
    weakref.finalize(watch, freed.append, "freed")
    await watch.aclose()
    try:
        await anext(watch)
    except StreamClosedError as error:
        kept = error
    del watch
    gc.collect()
    assert freed == ["freed"]
    assert kept.__traceback__ is not None
    await scene.is_undisturbed()


async def test_a_thousand_watches_never_iterated(scene: Scene) -> None:
    """Watches that are made and never iterated cost no task and no request."""
    watches = [scene.watch() for _ in range(1000)]
    assert len(asyncio.all_tasks()) == 1
    del watches
    assert scene.provider.requests == []
    await scene.is_undisturbed()


@pytest.mark.parametrize("loop", LOOPS)
def test_another_event_loop(server: LoopbackServer, loop: str) -> None:
    """A watch says clearly that it belongs to another event loop."""
    provider = Provider(recent())
    url = server.mount(provider)
    client = BoxisClient(provider.username, provider.api_key, tenant=provider.tenant, base_url=url)
    watch = client.watch(SINCE, settle=SETTLE)

    async def take() -> None:
        await anext(watch)

    with (
        asyncio.Runner(loop_factory=LOOPS[loop]) as first,
        asyncio.Runner(loop_factory=LOOPS[loop]) as second,
    ):
        first.run(take())
        for misuse in (take, watch.aclose):
            with pytest.raises(WrongLoopError, match="another event loop"):
                second.run(misuse())
        first.run(watch.aclose())
        first.run(client.aclose())
    server.unmount(provider)


async def test_a_refusal_of_who_asks_ends_it(scene: Scene) -> None:
    """A watch whose credentials are refused raises, and does not try again."""
    scene.provider.faults = lambda _: Fault.refuse("invalid authcode")
    watch = scene.watch()
    with pytest.raises(WindowError) as caught:
        await anext(watch)
    assert isinstance(caught.value.cause, AuthenticationError)
    with pytest.raises(WindowError):
        await anext(watch)
    scene.provider.faults = lambda _: None
    del caught
    await scene.is_undisturbed()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"since": timedelta(seconds=-1)}, "since must be"),
        ({"since": "yesterday"}, "since must be"),
        ({"since": DAY.replace(year=9000)}, "lies in the future"),
        ({"since": DAY.replace(year=1969)}, "too far back"),
        ({"every": timedelta(0)}, "every must be"),
        ({"every": 30}, "every must be"),
        ({"tenants": "VOICE-29001-1"}, "tenants must be several"),
        ({"tenants": []}, "there is none"),
        ({"tenants": ["a", "a"]}, "twice"),
        ({"tenants": [1]}, "must be texts"),
        ({"tenants": ["a\n"]}, "a line end"),
        ({"settle": timedelta(minutes=1)}, "settle must be"),
        ({"position": 1}, "position must be"),
        ({"position": "{}"}, "not the position"),
    ],
)
def test_wrong_arguments(settings: dict[str, Any], problem: str) -> None:
    """What cannot work is refused at once, in words that say what to do."""
    client = BoxisClient("a@b.ch", "key", tenant="T")
    with pytest.raises(UsageError, match=problem):
        client.watch(**settings)


def test_no_tenant() -> None:
    """A client without a tenant needs some."""
    client = BoxisClient("a@b.ch", "key")
    with pytest.raises(UsageError, match="give tenants="):
        client.watch()
    assert client.watch(tenants=iter(["a", "b"])).tenants == ("a", "b")


def test_wrong_arguments_of_calls() -> None:
    """What cannot be a quiet time, a certainty or a country is refused, and so is a second use."""
    client = BoxisClient("a@b.ch", "key", tenant="T")
    for quiet in (timedelta(seconds=-1), timedelta(days=1), 300):
        with pytest.raises(UsageError, match="quiet must be"):
            client.watch().calls(quiet=quiet)  # type: ignore[arg-type]
    for certainty in ("sure", None, True):
        with pytest.raises(UsageError, match="certainty must be"):
            client.watch().calls(certainty=certainty)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="country"):
        client.watch().calls(country="Switzerland")
    watch = client.watch()
    watch.calls()
    with pytest.raises(UsageError, match="nothing was taken"):
        watch.calls()
    with pytest.raises(UsageError, match="iterated by calls"):
        anext(watch)
