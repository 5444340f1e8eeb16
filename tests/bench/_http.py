"""A bare HTTP server for the benches, in a process of its own, so that it costs them little."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import urllib.parse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Answer = Callable[[Mapping[str, Sequence[str]]], tuple[float, bytes]]

__all__ = ["running", "serve"]


@contextlib.contextmanager
def running(script: str, *arguments: str) -> Iterator[str]:
    """Run a script that serves, and give its address."""
    server = subprocess.Popen([sys.executable, script, *arguments], stdout=subprocess.PIPE)
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/"
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


async def serve(answer: Answer) -> None:
    """Answer each form, after so many seconds, with a body; tell the port on standard output."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                form = urllib.parse.parse_qs((await reader.readexactly(length)).decode())
                seconds, body = answer(form)
                if seconds:
                    await asyncio.sleep(seconds)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body))
                writer.write(body)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
