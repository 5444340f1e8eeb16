"""A web backend that streams a tenant's calls as they arrive, and a page that shows them.

Install what it needs, name the tenant, start it, and open http://127.0.0.1:8000/:

    pip install fastapi uvicorn jinja2
    export BOXIS_USERNAME=ops@example.com BOXIS_API_KEY=... BOXIS_TENANT=VOICE-29001-1
    python web_backend.py

Set BOXIS_BASE_URL if the API is not at the provider's own address, and PORT if the backend is not
to listen on 8000. With BOXIS_TENANTS="VOICE-29001-1 VOICE-29001-2" readers can choose one of these,
as `/calls?...&tenant=VOICE-29001-2`. There is no login: whoever reaches the backend can read your
calls. So it listens on this machine only. Before you let others in, put something in front that
knows who they are.
"""

import asyncio
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

from boxis_async import (
    AttemptTimeoutError,
    BoxisClient,
    BoxisError,
    Call,
    CallStream,
    ClosedError,
    DeadlineError,
    RateLimitError,
    UsageError,
    WindowError,
)
from boxis_async.report import Report

PAGE = Path(__file__).with_suffix(".html")
DAY, LONGEST = timedelta(days=1), timedelta(days=92)
DEADLINE = (
    60.0  # seconds for a whole answer: without it, a provider that hangs holds it for minutes
)
STATUSES: tuple[tuple[type[BoxisError], int], ...] = (
    (UsageError, 422),  # the reader asks for what does not exist
    (DeadlineError, 504),  # the provider is too slow
    (AttemptTimeoutError, 504),
    (RateLimitError, 503),  # too many requests: later
    (ClosedError, 503),  # the backend is stopping
)

logger = logging.getLogger("web_backend")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, BoxisClient]]:
    """Open one client for all requests, so that its `concurrency` limits all of them together."""
    async with BoxisClient(deadline=DEADLINE) as client:
        yield {"client": client}


def client_of(request: Request) -> BoxisClient:
    """Return the client that the lifespan opened."""
    client: BoxisClient = request.state.client
    return client


def check_range(datefrom: date, dateto: date) -> None:
    """Refuse a range that is empty or too long."""
    if not timedelta(0) < dateto - datefrom <= LONGEST:
        raise HTTPException(422, f"'to' must lie 1 to {LONGEST.days} days after 'from'")


def tenant_of(
    tenant: Annotated[str | None, Query(description="one of BOXIS_TENANTS")] = None,
) -> str | None:
    """Return the tenant whose calls are asked for, or None for that of BOXIS_TENANT."""
    if tenant is not None and tenant not in os.environ.get("BOXIS_TENANTS", "").split():
        raise HTTPException(404, "there is no such tenant here")
    return tenant


def status_of(error: BoxisError) -> int:
    """Return the HTTP status for an error: what is not listed is the provider's doing, 502."""
    cause = error.cause if isinstance(error, WindowError) else error
    return next((status for kind, status in STATUSES if isinstance(cause, kind)), 502)


app = FastAPI(title="Calls", lifespan=lifespan)


@app.get("/", response_class=HTMLResponse)
def page() -> str:
    """Return the page."""
    return PAGE.read_text("utf-8")


@app.get("/calls")
async def calls(
    client: Annotated[BoxisClient, Depends(client_of)],
    tenant: Annotated[str | None, Depends(tenant_of)],
    datefrom: Annotated[date, Query(alias="from", description="the first day")],
    dateto: Annotated[date, Query(alias="to", description="the day after the last")],
) -> StreamingResponse:
    """Stream the calls that start in a range as lines of JSON, each once it is complete."""
    check_range(datefrom, dateto)
    try:
        # One window a day, so that the first calls are shown soon.
        stream = client.iter_calls(datefrom, dateto, tenant=tenant, window=DAY)
        # Before the first line is there, the status can still say what is wrong.
        first = await anext(stream, None)
    except BoxisError as error:
        logger.warning("no calls: %s", error)
        raise HTTPException(status_of(error), str(error)) from error
    return StreamingResponse(lines(first, stream), media_type="application/x-ndjson")


async def lines(first: Call | None, stream: CallStream) -> AsyncIterator[str]:
    """Write each call as a line; the last one is `{"error": ...}` if the stream failed.

    By then the status 200 has been sent. The backend could close the connection instead, but then
    the reader would not know why, and some readers would not notice at all.
    """
    # If the reader leaves early, the end of this block cancels the requests to the provider.
    async with stream:
        try:
            if first is not None:
                yield first.to_json() + "\n"
            async for call in stream:
                yield call.to_json() + "\n"
        except BoxisError as error:
            logger.warning("a stream of calls failed: %s", error)
            yield json.dumps({"error": str(error)}) + "\n"


@app.get("/report", response_class=HTMLResponse)
async def report(
    client: Annotated[BoxisClient, Depends(client_of)],
    tenant: Annotated[str | None, Depends(tenant_of)],
    datefrom: Annotated[date, Query(alias="from", description="the first day")],
    dateto: Annotated[date, Query(alias="to", description="the day after the last")],
) -> str:
    """Return a page of charts and lists of the calls that start in a range."""
    check_range(datefrom, dateto)
    try:
        made = Report(datefrom, dateto)
        async with client.iter_calls(*made.needs, tenant=tenant) as stream:
            async for call in stream:
                made.add(call)
    except BoxisError as error:
        logger.warning("no report: %s", error)
        raise HTTPException(status_of(error), str(error)) from error
    # In a thread, as it takes some tenths of a second.
    name = tenant or os.environ.get("BOXIS_TENANT", "")
    return await asyncio.to_thread(made.html, tenant=name)


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
