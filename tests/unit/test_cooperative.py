"""Long work in steps: one answer at a time, and others get their turns between two steps."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from boxis_async._wire.cooperative import Cooperative, at_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from boxis_async._wire.cooperative import Steps

pytestmark = pytest.mark.both_loops


def so_many(steps: int, noted: list[object], name: str = "") -> Steps[str]:
    """Note each step, and pause after it; then note the rest."""
    for step in range(1, steps + 1):
        noted.append(f"{name}{step}")
        yield
    noted.append(f"{name}rest")
    return name


async def count_turns(noted: list[object]) -> None:
    """Note each turn that the loop gives."""
    while True:
        noted.append("turn")
        await asyncio.sleep(0)


@pytest.mark.parametrize("steps", [0, 1, 2, 31])
async def test_all_steps_and_the_result(steps: int) -> None:
    """Run in turns or at once, all steps are taken in order, and the result is theirs."""
    in_turns: list[object] = []
    together: list[object] = []
    assert await Cooperative().run(so_many(steps, in_turns, "a")) == "a"
    assert at_once(so_many(steps, together, "a")) == "a"
    assert in_turns == together == [*(f"a{step}" for step in range(1, steps + 1)), "arest"]


async def test_one_after_the_other() -> None:
    """Of answers that came together, each is read when those before it are done."""
    noted: list[object] = []
    cooperative = Cooperative()
    names = await asyncio.gather(
        *(cooperative.run(so_many(40, noted, name)) for name in ("a", "b", "c")),
    )
    assert names == ["a", "b", "c"]
    assert [str(step)[0] for step in noted] == [name for name in "abc" for _ in range(41)]


async def test_each_client_by_itself() -> None:
    """Answers of two clients are read side by side."""
    noted: list[object] = []
    await asyncio.gather(*(Cooperative().run(so_many(2, noted, name)) for name in "ab"))
    assert noted == ["a1", "b1", "a2", "b2", "arest", "brest"]


async def test_what_is_due_comes_between_steps() -> None:
    """Whatever becomes ready during a step is done before the next one."""
    noted: list[object] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        asyncio.get_running_loop().add_reader(ours, lambda: noted.append(ours.recv(1)))

        def steps() -> Steps[None]:
            for step in range(50):
                theirs.send(b".")
                noted.append(step)
                yield

        await Cooperative().run(steps())
        asyncio.get_running_loop().remove_reader(ours)
    assert noted == [of_one for step in range(50) for of_one in (step, b".")]


async def test_a_task_that_is_woken_has_its_turn() -> None:
    """A task that waits for what becomes ready during a step goes on before the next one."""
    noted: list[object] = []
    is_ready = asyncio.Event()

    async def wait() -> None:
        while True:
            await is_ready.wait()
            is_ready.clear()
            noted.append("woken")

    def steps() -> Steps[None]:
        for step in range(20):
            # As asyncio does for a socket: a callback of the next turn wakes the task.
            asyncio.get_running_loop().call_soon(is_ready.set)
            noted.append(step)
            yield

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    await Cooperative().run(steps())
    waiting.cancel()
    assert noted == [of_one for step in range(20) for of_one in (step, "woken")]


async def test_no_turn_where_there_is_no_pause() -> None:
    """What needs no pause takes no turn of the loop."""
    noted: list[object] = []
    counting = asyncio.create_task(count_turns(noted))
    await Cooperative().run(so_many(0, noted))
    assert noted == ["rest"]
    await Cooperative().run(so_many(3, noted))
    counting.cancel()
    assert noted == ["rest", "1", "turn", "turn", "2", "turn", "turn", "3", "turn", "turn", "rest"]


@pytest.mark.parametrize("cut_at", [1, 2, 20, 40])
async def test_nobody_waits_after_an_error(cut_at: int) -> None:
    """What is broken, or given up, lets the next be read."""

    def cut(end: Callable[[], None]) -> Steps[None]:
        for _ in range(cut_at - 1):
            yield
        end()
        yield

    def break_it() -> None:
        raise ValueError("broken")

    def give_up() -> None:
        reading.cancel()

    noted: list[object] = []
    cooperative = Cooperative()
    with pytest.raises(ValueError, match="broken"):
        await cooperative.run(cut(break_it))
    assert await cooperative.run(so_many(2, noted, "next ")) == "next "
    reading = asyncio.create_task(cooperative.run(cut(give_up)))
    behind = asyncio.create_task(cooperative.run(so_many(2, noted, "behind ")))
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await behind == "behind "
    assert noted == [
        *("next 1", "next 2", "next rest"),
        *("behind 1", "behind 2", "behind rest"),
    ]


async def test_given_up_while_it_waits() -> None:
    """An answer whose turn never came takes no step, and those behind it are read."""
    noted: list[object] = []
    cooperative = Cooperative()
    first, second, third = (
        asyncio.create_task(cooperative.run(so_many(5, noted, name))) for name in "abc"
    )
    await asyncio.sleep(0)
    second.cancel()
    assert await asyncio.gather(first, third) == ["a", "c"]
    assert second.cancelled()
    assert not any(str(step).startswith("b") for step in noted)


async def test_steps_that_are_given_up_are_closed() -> None:
    """Work that was given up between two steps is closed once nobody refers to its task."""
    noted: list[str] = []

    def steps() -> Steps[None]:
        try:
            while True:
                yield
        finally:
            noted.append("closed")

    reading = asyncio.create_task(Cooperative().run(steps()))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    del reading
    assert noted == ["closed"]
