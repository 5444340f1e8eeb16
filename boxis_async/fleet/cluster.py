"""Where the tasks run: a scheduler by its address, or a cluster on this machine alone.

Whoever reaches a scheduler can run code on its workers, where the API key is. So an address that is
not on this machine must be encrypted, unless the caller says otherwise.
"""

# Dask carries few types.
# mypy: allow-untyped-calls
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportArgumentType=false

from __future__ import annotations

import ipaddress
import logging
import math
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from boxis_async.fleet.errors import FleetError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["WITHOUT_PROFILER", "cluster_client", "gone", "problem_with_scheduler"]

_ENCRYPTED: Final = ("tls", "wss")
_INPROC: Final = "inproc"
_SCHEMES: Final = ("tcp", "ws", *_ENCRYPTED, _INPROC)
# Dask's profiler asks for the frames of all threads 100 times a second. In Python 3.11.7 that stops
# the process for ever, if garbage is collected meanwhile that has a `threading.local` in it.
WITHOUT_PROFILER: Final = {"distributed.worker.profile.enabled": False}
_MOST_WORKERS: Final = 4


def problem_with_scheduler(address: object, *, allow_insecure: bool) -> str | None:
    """Check the address of a scheduler."""
    if address is None:
        return None
    if not isinstance(address, str):
        return f"scheduler must be an address such as tls://10.0.0.5:8786, not {address!r}"
    parts = urlsplit(address)
    if parts.scheme == _INPROC:
        return None
    if parts.scheme not in _SCHEMES:
        return f"scheduler must begin with one of {', '.join(_SCHEMES)} and ://, not {address!r}"
    problem: str | None = None
    if "@" in parts.netloc:
        problem = "scheduler must hold no credentials, as addresses come into logs"
    elif not parts.hostname or not parts.netloc.rpartition(":")[2].isdecimal():
        problem = (
            f"scheduler must have a host and a port, such as tls://10.0.0.5:8786, not {address}"
        )
    elif not (parts.scheme in _ENCRYPTED or allow_insecure or _is_loopback(parts.hostname)):
        problem = (
            f"scheduler {address} is not encrypted, and whoever reaches it can run code on the "
            "workers, where the API key is: give a tls:// address, or say that the network is "
            "safe (allow_insecure=True, --allow-insecure)"
        )
    return problem


@asynccontextmanager
async def cluster_client(
    scheduler: str | None,
    *,
    workers: int | None,
    concurrency: int,
    security: object,
    wait_for_workers: float,
) -> AsyncGenerator[Any]:
    """Connect to a scheduler, or start a cluster on this machine and end it with the block.

    Args:
        scheduler: The address.
        workers: The processes of a cluster that is started; None: one for each core, four at most.
        concurrency: The requests in flight at most, so that so many tasks run at a time.
        security: What Dask needs for `tls://`; None takes what its configuration says.
        wait_for_workers: So many seconds a scheduler may be without any worker, at first.

    Raises:
        FleetError: There is no scheduler, or it has no worker.
    """
    import dask.config  # noqa: PLC0415 - takes half a second
    from distributed import Client, LocalCluster  # noqa: PLC0415
    from distributed.comm.core import CommClosedError  # noqa: PLC0415

    if scheduler is None:
        count = workers or min(_MOST_WORKERS, os.cpu_count() or 1)
        cluster = LocalCluster(
            n_workers=count,
            threads_per_worker=max(1, math.ceil(concurrency / count)),
            processes=True,
            host="127.0.0.1",
            # Of this machine alone, as the rest.
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            asynchronous=True,
            # What a worker does is in the outcomes; its log would come between the user's lines.
            silence_logs=logging.CRITICAL,
        )
        try:
            with dask.config.set(WITHOUT_PROFILER):
                await cluster
        except RuntimeError as error:
            raise FleetError(
                "the workers did not start: each of them imports the program, so what it runs "
                'must stand below `if __name__ == "__main__":`'
            ) from error
        async with (
            cluster,
            # Not the default: what the program computes with Dask besides stays where it was.
            Client(cluster, asynchronous=True, set_as_default=False) as client,
        ):
            yield client
        return
    connecting: Any = Client(scheduler, asynchronous=True, security=security, set_as_default=False)
    try:
        await connecting
    except (OSError, TypeError, RuntimeError, ValueError) as error:
        await connecting.close()
        raise FleetError(f"no scheduler at {scheduler}: {error}") from error
    async with connecting as client:
        try:
            await client.wait_for_workers(1, timeout=wait_for_workers)
        except TimeoutError:
            raise FleetError(
                f"the scheduler at {scheduler} has had no worker for {wait_for_workers:g} s: start "
                f"one (dask worker {scheduler}), then run this again"
            ) from None
        try:
            yield client
        except OSError as error:
            if not isinstance(error, CommClosedError) and client.status == "running":
                raise
            raise gone(scheduler) from error


def gone(scheduler: str) -> FleetError:
    """Make the error of a scheduler that does not answer any more."""
    return FleetError(
        f"the scheduler at {scheduler} is gone: what is in the data set stays, and the same call "
        "fetches the rest"
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
