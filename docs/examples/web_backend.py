"""A web backend that streams a tenant's calls as they arrive, and a page that shows them.

Install what it needs, name the tenant, start it, and open http://127.0.0.1:8000/:

    pip install fastapi uvicorn
    export BOXIS_USERNAME=ops@example.com BOXIS_API_KEY=... BOXIS_TENANT=VOICE-29001-1
    python web_backend.py

Set BOXIS_BASE_URL if the API is not at the provider's own address, and PORT if the backend is not
to listen on 8000. There is no login: whoever reaches the backend can read your calls. So it listens
on this machine only. Before you let others in, put something in front that knows who they are.
"""

import json
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from boxis_async import BoxisClient, BoxisError, CallStream, UsageError

PAGE = Path(__file__).with_suffix(".html")
DAY, LONGEST = timedelta(days=1), timedelta(days=92)

logger = logging.getLogger("web_backend")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, BoxisClient]]:
    """Open one client for all requests, so that its `concurrency` limits all of them together."""
    async with BoxisClient() as client:
        yield {"client": client}


def client_of(request: Request) -> BoxisClient:
    """Return the client that the lifespan opened."""
    client: BoxisClient = request.state.client
    return client


app = FastAPI(title="Calls", lifespan=lifespan)


@app.get("/", response_class=HTMLResponse)
def page() -> str:
    """Return the page."""
    return PAGE.read_text("utf-8")


@app.get("/calls")
async def calls(
    client: Annotated[BoxisClient, Depends(client_of)],
    datefrom: Annotated[date, Query(alias="from", description="the first day")],
    dateto: Annotated[date, Query(alias="to", description="the day after the last")],
) -> StreamingResponse:
    """Stream the calls that start in a range as lines of JSON, each once it is complete."""
    if not timedelta(0) < dateto - datefrom <= LONGEST:
        raise HTTPException(422, f"'to' must lie 1 to {LONGEST.days} days after 'from'")
    try:
        # One window a day, so that the first calls are shown soon.
        stream = client.iter_calls(datefrom, dateto, window=DAY)
    except UsageError as error:
        raise HTTPException(422, str(error)) from error
    return StreamingResponse(lines(stream), media_type="application/x-ndjson")


async def lines(stream: CallStream) -> AsyncIterator[str]:
    """Write each call as a line; the last one is `{"error": ...}` if the stream failed.

    By then the status 200 has been sent. The backend could close the connection instead, but then
    the reader would not know why, and some readers would not notice at all.
    """
    # If the reader leaves early, the end of this block cancels the requests to the provider.
    async with stream:
        try:
            async for call in stream:
                yield json.dumps(call.to_dict()) + "\n"
        except BoxisError as error:
            logger.warning("a stream of calls failed: %s", error)
            yield json.dumps({"error": str(error)}) + "\n"


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
