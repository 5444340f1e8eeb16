"""A web backend that streams a tenant's calls as they arrive, and a page that shows them.

Install what it needs, say whose calls to show, start it, and open http://127.0.0.1:8000/:

    pip install fastapi uvicorn
    export BOXIS_USERNAME=ops@example.com BOXIS_API_KEY=... BOXIS_TENANT=VOICE-29001-1
    python web_backend.py

BOXIS_BASE_URL is where the API is, unless it is the provider's own; PORT is where this listens,
unless it is 8000. There is no login: whoever reaches it reads your calls. It listens on this
machine only; let others in through something that knows who they are.
"""

import json
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from boxis_async import CDR, BoxisClient, BoxisError, CDRStream, Direction

PAGE = Path(__file__).with_suffix(".html")
DAY, LONGEST = timedelta(days=1), timedelta(days=92)

logger = logging.getLogger("web_backend")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, BoxisClient]]:
    """Open one client for all requests: it bounds what the provider gets from all of them."""
    async with BoxisClient() as client:
        yield {"client": client}


def client_of(request: Request) -> BoxisClient:
    """Give the client that the lifespan opened."""
    client: BoxisClient = request.state.client
    return client


app = FastAPI(title="Calls", lifespan=lifespan)


@app.get("/", response_class=HTMLResponse)
def page() -> str:
    """Serve the page."""
    return PAGE.read_text("utf-8")


@app.get("/calls")
async def calls(
    client: Annotated[BoxisClient, Depends(client_of)],
    datefrom: Annotated[date, Query(alias="from", description="the first day")],
    dateto: Annotated[date, Query(alias="to", description="the day after the last")],
) -> StreamingResponse:
    """Stream the calls that start in a range, a line of JSON for each leg, in order of time."""
    if not timedelta(0) < dateto - datefrom <= LONGEST:
        raise HTTPException(422, f"'to' must lie 1 to {LONGEST.days} days after 'from'")
    # A day at a time, so that the first calls are shown soon.
    stream = client.cdrs(datefrom, dateto, window=DAY, unique_by="leg", clip="start")
    return StreamingResponse(lines(stream), media_type="application/x-ndjson")


async def lines(stream: CDRStream) -> AsyncIterator[str]:
    """Write a stream as lines; the last one is `{"error": ...}` if it broke off.

    By then the head of the answer is out, and its 200 cannot be taken back. To close the
    connection would be the other way to tell, but no reader could say why, and some never notice.
    """
    # Left before its end, by a reader that went away, the block ends the requests to the provider.
    async with stream:
        try:
            # A window at a time: to send each line on its own costs more than to make it.
            async for batch in stream.batches():
                if batch.cdrs:
                    yield "".join(json.dumps(shown(cdr)) + "\n" for cdr in batch.cdrs)
        except BoxisError as error:
            logger.warning("a stream of calls broke off: %s", error)
            yield json.dumps({"error": str(error)}) + "\n"


def shown(cdr: CDR) -> dict[str, Any]:
    """Choose what a reader gets of one leg."""
    inbound = cdr.direction is Direction.INBOUND
    return {
        "call": cdr.linkedid or cdr.uniqueid,
        "start": cdr.start.isoformat(),
        "direction": cdr.direction,
        "name": cdr.caller_name if inbound else "",
        "number": cdr.caller_number if inbound else cdr.dst,
        "billsec": cdr.billsec,
        "disposition": cdr.disposition,
    }


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
