"""A web page that shows calls as they come, without being loaded again.

Install what it needs, name the tenant, start it, and open http://127.0.0.1:8000/:

    pip install fastapi uvicorn
    export BOXIS_USERNAME=ops@example.com BOXIS_API_KEY=... BOXIS_TENANT=VOICE-29001-1
    python live_calls.py

Set BOXIS_BASE_URL if the API is not at the provider's own address, and PORT if the backend is not
to listen on 8000. There is no login, so it listens on this machine only: before you let others in,
put something in front that knows who they are.
"""

import asyncio
import json
import logging
import os
import secrets
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Header, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from boxis_async import BoxisClient, BoxisError

PAGE = Path(__file__).with_suffix(".html")
SINCE = timedelta(hours=8)
EVERY = timedelta(seconds=float(os.environ.get("EVERY", "30")))
KEPT = 500  # the latest changes: what a reader gets who comes, or comes back
ALIVE = 15  # seconds until a line that only says that the connection is alive

logger = logging.getLogger("live_calls")


class Feed:
    """The latest calls, numbered, for any number of readers: one watch serves them all."""

    def __init__(self) -> None:
        self.name = secrets.token_hex(4)  # numbers of another process say nothing about these
        self.events: deque[tuple[int, str]] = deque(maxlen=KEPT)
        self.number = 0
        self.changed = asyncio.Condition()

    async def run(self, client: BoxisClient) -> None:
        """Watch, and keep what comes."""
        try:
            async with client.watch(SINCE, every=EVERY).calls() as changes:
                async for change in changes:
                    await self.publish("call", change.call.to_dict())
        except BoxisError as error:  # an outage is none: the watch outlives it
            logger.exception("the watch has ended")
            await self.publish("failed", {"error": str(error)})

    async def publish(self, event: str, content: dict[str, object]) -> None:
        """Keep an event, and wake the readers."""
        self.number += 1
        # JSON in one line, so no text of a caller's can end the event.
        text = f"id: {self.name}-{self.number}\nevent: {event}\ndata: {json.dumps(content)}\n\n"
        self.events.append((self.number, text))
        async with self.changed:
            self.changed.notify_all()

    async def read(self, last: str) -> AsyncIterator[str]:
        """Give the events after the one that a reader got last, without end."""
        name, _, count = last.partition("-")
        after = int(count) if name == self.name and count.isdecimal() else 0
        yield "retry: 3000\n\n"
        while True:
            for number, text in list(self.events):
                if number > after:
                    after = number
                    yield text
            try:
                async with asyncio.timeout(ALIVE), self.changed:
                    await self.changed.wait_for(lambda: self.number > after)  # noqa: B023 - waits here
            except TimeoutError:
                yield ": alive\n\n"


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, Feed]]:
    """Watch for as long as the backend runs."""
    feed = Feed()
    async with BoxisClient() as client:
        watching = asyncio.create_task(feed.run(client))
        try:
            yield {"feed": feed}
        finally:
            watching.cancel()
            await asyncio.wait([watching])


app = FastAPI(title="Calls as they come", lifespan=lifespan)


@app.get("/", response_class=HTMLResponse)
def page() -> str:
    """Return the page."""
    return PAGE.read_text("utf-8")


@app.get("/events")
async def events(
    request: Request, last_event_id: Annotated[str, Header()] = ""
) -> StreamingResponse:
    """Stream the calls as server-sent events; a browser that comes back gets what it missed."""
    feed: Feed = request.state.feed
    return StreamingResponse(
        feed.read(last_event_id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


if __name__ == "__main__":
    # Readers stay connected for ever: at the end, do not wait for them.
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")), timeout_graceful_shutdown=1)
