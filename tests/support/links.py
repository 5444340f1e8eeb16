"""A slow link: a TCP proxy on loopback that delivers each chunk late, in order."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable


@asynccontextmanager
async def slow_link(address: str, delay: Callable[[], float]) -> AsyncGenerator[str]:
    """Put a link before a `tcp://` address, and give the address to use instead.

    Args:
        address: Where the link leads.
        delay: Called for each chunk, with what it gives the chunk is delivered later, in seconds.
    """
    loop = asyncio.get_running_loop()
    there = urlsplit(address)
    tasks: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        due = 0.0
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                at, chunk = await under_way.get()
                await asyncio.sleep(max(0.0, at - loop.time()))
                if not chunk:
                    return
                writer.write(chunk)

        delivering = asyncio.create_task(deliver())
        try:
            chunk = b"-"
            while chunk:
                chunk = await reader.read(65536)
                due = max(due, loop.time() + delay())
                under_way.put_nowait((due, chunk))
            await delivering
        finally:
            delivering.cancel()
            writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(there.hostname, there.port)
        for ends in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(carry(*ends))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    try:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        left = list(tasks)
        for task in left:
            task.cancel()
        with suppress(OSError):
            await asyncio.gather(*left, return_exceptions=True)
