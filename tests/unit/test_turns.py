"""One answer is read at a time, in steps, and others are received between answers."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from boxis_async._http.transport import Transport
from boxis_async._wire import turns as turns_module
from boxis_async._wire.answers import Form
from boxis_async._wire.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from boxis_async._wire.cooperative import Steps

pytestmark = pytest.mark.both_loops


def so_many(steps: int, told: list[object], name: str = "") -> Steps[str]:
    """Tell of each step, and pause after it; then tell of the rest."""
    for step in range(1, steps + 1):
        told.append(f"{name}{step}")
        yield
    told.append(f"{name}rest")
    return name


async def part(turns: Turns, told: list[object]) -> None:
    """Be an answer of which a part has come, and then another."""
    async with asyncio.timeout(10):
        await turns.received()
        told.append("part")
        await turns.received()
        told.append("last part")


# What is received


@pytest.mark.parametrize("steps", [1, 2, 31])
async def test_others_wait(steps: int) -> None:
    """Whoever receives another answer waits until the one that is read is done."""
    told: list[object] = []
    turns = Turns()
    reading = asyncio.create_task(turns.read(so_many(steps, told)))
    await asyncio.sleep(0)
    await part(turns, told)
    assert told == [*map(str, range(1, steps + 1)), "rest", "part", "last part"]
    await reading


async def test_others_do_not_wait_for_a_long_answer() -> None:
    """After a while they are received beside it."""
    told: list[object] = []
    turns = Turns()
    reading = asyncio.create_task(turns.read(so_many(1000, told)))
    await asyncio.sleep(0)
    await part(turns, told)
    assert told[:32] == [*map(str, range(1, 33))]
    assert told.index("last part") < 40
    await reading
    assert len(told) == 1003


async def test_nobody_waits_when_none_is_read() -> None:
    """Without an answer to read, or behind one that was, nothing is waited for."""
    told: list[object] = []
    turns = Turns()
    await part(turns, told)
    await turns.read(so_many(5, told))
    await part(turns, told)
    assert told == [*("part", "last part"), *"12345", *("rest", "part", "last part")]


@pytest.mark.parametrize("cut_at", [1, 2, 20, 40])
async def test_nobody_waits_after_an_error(cut_at: int) -> None:
    """What is broken, or given up, lets the others go on, and the next be read."""

    def cut(end: Callable[[], None]) -> Steps[None]:
        for _ in range(cut_at - 1):
            yield
        end()
        yield

    def break_it() -> None:
        raise ValueError("broken")

    def give_up() -> None:
        reading.cancel()

    told: list[object] = []
    turns = Turns()
    with pytest.raises(ValueError, match="broken"):
        await turns.read(cut(break_it))
    await part(turns, told)
    reading = asyncio.create_task(turns.read(cut(give_up)))
    with pytest.raises(asyncio.CancelledError):
        await reading
    await part(turns, told)
    assert await turns.read(so_many(2, told, "next ")) == "next "
    assert told == [*("part", "last part") * 2, "next 1", "next 2", "next rest"]


# What is read


async def test_one_after_the_other() -> None:
    """Of answers that came together, each is read when those before it are done."""
    told: list[object] = []
    turns = Turns()
    names = await asyncio.gather(
        *(turns.read(so_many(40, told, name)) for name in ("a", "b", "c")),
    )
    assert names == ["a", "b", "c"]
    assert [str(step)[0] for step in told] == [name for name in "abc" for _ in range(41)]


async def test_what_is_due_comes_between_steps() -> None:
    """Whatever becomes ready during a step is done before the next one."""
    told: list[object] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        asyncio.get_running_loop().add_reader(ours, lambda: told.append(ours.recv(1)))

        def steps() -> Steps[None]:
            for step in range(50):
                theirs.send(b".")
                told.append(step)
                yield

        await Turns().read(steps())
        asyncio.get_running_loop().remove_reader(ours)
    assert told == [of_one for step in range(50) for of_one in (step, b".")]


async def test_over_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that has come is taken in only when the one that is read is done."""
    monkeypatch.setattr(turns_module, "_STEPS", 1_000_000)
    body = b"x" * 1000
    has_answered = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        has_answered.set()
        await reader.read()
        writer.close()

    turns = Turns()
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        transport = Transport(f"http://127.0.0.1:{port}/", timeout=20, most_bytes=1000, turns=turns)
        posting = asyncio.create_task(transport.post(Form(b"")))

        def steps() -> Steps[bool]:
            while not has_answered.is_set():
                yield
            for _ in range(1000):
                yield
            return posting.done()

        assert not await turns.read(steps())
        assert (await posting).body == body
        await transport.aclose()
