"""A worker's client of the provider, on an event loop of its own thread.

A task of Dask's runs in a thread of the worker, and waits there for what this loop does. The
worker's own loop is left alone: its heartbeats do not wait while a long answer is read.

The client is made on the worker, by a function that is imported there. What it needs of secrets it
takes from the worker's environment, or from a profile on that machine. Nothing secret is sent.
"""

# Dask carries few types.
# mypy: allow-untyped-calls
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportArgumentType=false

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError, Future, wait
from typing import TYPE_CHECKING, Any, Final, Protocol

from distributed import Reschedule, WorkerPlugin, get_worker

from boxis_async import BoxisError
from boxis_async.fleet.cluster_limiter import ClusterLimiter
from boxis_async.fleet.data_set import DataSet
from boxis_async.fleet.errors import DataSetError, FleetError
from boxis_async.fleet.granting_plugin import TURNS
from boxis_async.fleet.partition import Outcome, SeenLegs, harvest_partition

if TYPE_CHECKING:
    from boxis_async import BoxisClient
    from boxis_async.fleet.partition import TenantOrder
    from boxis_async.types import Limiter

__all__ = ["MakeClient", "WorkerClient", "harvest_tenant"]

_LOOK_SECONDS: Final = 1.0
_CLIENTS: Final = "boxis_clients"
"""Under this name a worker has its clients, by the harvests that they are for."""


class MakeClient(Protocol):
    """Makes a client on a worker: `BoxisClient` itself does, of the environment."""

    def __call__(self, *, limiter: Limiter) -> BoxisClient:
        """Make a client that asks the limiter before each request."""
        ...


class WorkerClient(WorkerPlugin):
    """Makes the client of one harvest when the first task needs it, and closes it at the end.

    Args:
        name: The name of the harvest.
        make_client: Makes the client. It is pickled by the name under which it is imported.
    """

    def __init__(self, name: str, make_client: MakeClient) -> None:
        self.name = name
        self._make_client = make_client

    def setup(self, worker: Any) -> None:  # noqa: ANN401 - Dask's own
        """Be ready for tasks."""
        self._worker = worker
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ready: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._datasets: dict[str, DataSet] = {}
        clients = getattr(worker, _CLIENTS, None)
        if clients is None:
            clients = {}
            setattr(worker, _CLIENTS, clients)

            def hear(harvest: str, **content: Any) -> None:  # noqa: ANN401 - messages
                if harvest in clients:
                    clients[harvest].hear(**content)

            # It stays: a message for which a worker has no function would end the worker.
            worker.stream_handlers[TURNS] = hear
        clients[self.name] = self

    async def teardown(self, worker: Any) -> None:  # noqa: ANN401 - Dask's own
        """Cut short what is at work, and close the client."""
        getattr(worker, _CLIENTS).pop(self.name, None)
        with self._lock:
            self._is_closed = True
            thread = self._thread
        if thread is None:
            return
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ended.set)
        await asyncio.to_thread(thread.join)

    def hear(  # noqa: PLR0913 - what the scheduler says in one message
        self,
        *,
        delays: tuple[float, ...] = (),
        late: float = 0.0,
        clock: float = 0.0,
        kept: float = 0.0,
        sent: float = 0.0,
        paused: bool = False,
        ended: bool = False,
    ) -> None:
        """Pass a message of the scheduler's on to the client's loop."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return

        def act() -> None:
            if ended:
                self._limiter.end()
            if paused:
                self._limiter.be_paused()
            if delays:
                way = loop.time() - clock - kept
                self._limiter.be_granted(delays, late, sent=sent, way=way)

        loop.call_soon_threadsafe(act)

    def run(self, order: TenantOrder) -> list[Outcome]:
        """Do what an order says, and wait for it; called in a thread of Dask's.

        Raises:
            FleetError: There is no client, or the data set cannot be used.
            Reschedule: The worker is closing: Dask gives the task to another one.
        """
        with self._lock:
            if self._is_closed:
                raise Reschedule
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="boxis-client", daemon=True)
                self._thread.start()
        self._ready.result()
        if self._loop is None:
            raise Reschedule
        work = self._work(order)
        try:
            doing = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:  # the loop was closed meanwhile
            work.close()
            raise Reschedule from None
        # A loop that is about to close takes what is handed to it, and never does it.
        while self._thread.is_alive() and not wait([doing], timeout=_LOOK_SECONDS).done:
            pass
        try:
            return doing.result(timeout=0)
        except CancelledError:
            raise Reschedule from None
        except TimeoutError:
            if doing.done():
                raise
            raise Reschedule from None

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BoxisError as error:
            self._fail(FleetError(f"no client on worker {self._worker.address}: {error}"))
        except Exception as error:  # noqa: BLE001 - the user's function may raise anything
            kind = type(error).__name__
            self._fail(FleetError(f"no client on worker {self._worker.address}: {kind}: {error}"))

    def _fail(self, error: FleetError) -> None:
        if not self._ready.done():
            self._ready.set_exception(error)

    async def _serve(self) -> None:
        """Keep the client open until the end."""
        self._limiter = ClusterLimiter(self._send)
        self._seen = SeenLegs()
        self._ended = asyncio.Event()
        async with self._make_client(limiter=self._limiter) as client:
            self._client = client
            self._loop = asyncio.get_running_loop()
            self._ready.set_result(None)
            if not self._is_closed:
                await self._ended.wait()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, order: TenantOrder) -> list[Outcome]:
        task = asyncio.current_task()
        if task is None or self._ended.is_set():
            raise asyncio.CancelledError
        self._tasks.add(task)
        try:
            return await self._harvest(order)
        finally:
            self._tasks.discard(task)

    async def _harvest(self, order: TenantOrder) -> list[Outcome]:
        dataset = await asyncio.to_thread(self._dataset, order.dataset)
        outcomes: list[Outcome] = []
        in_a_row = 0
        for number, period in enumerate(order.periods):
            outcome = await harvest_partition(self._client, dataset, order, period, self._seen)
            if self._limiter.is_ended:
                # What failed did so as nothing may be sent any more. Nobody waits for this.
                raise asyncio.CancelledError
            outcomes.append(outcome)
            in_a_row = in_a_row + 1 if outcome.state == "failed" else 0
            if in_a_row == order.give_up_after:
                outcomes += [
                    Outcome(tenant=order.tenant, period=one.name, state="untried")
                    for one in order.periods[number + 1 :]
                ]
                break
        return outcomes

    def _dataset(self, address: str) -> DataSet:
        if address not in self._datasets:
            dataset = DataSet(address)
            if not dataset.is_there():
                raise DataSetError(
                    f"worker {self._worker.address} does not find the data set {dataset.url}: name "
                    "a folder that all machines share, or a place in S3"
                )
            self._datasets[address] = dataset
        return self._datasets[address]

    def _send(self, **content: object) -> None:
        """Send a message to the scheduler, from the client's loop."""
        clock = asyncio.get_running_loop().time()
        message = {"op": TURNS, "harvest": self.name, "clock": clock, **content}
        self._worker.loop.add_callback(self._worker.batched_send, message)


def harvest_tenant(order: TenantOrder) -> list[Outcome]:
    """Do what an order says: the task, as Dask runs it."""
    plugin = get_worker().plugins.get(order.harvest)
    if not isinstance(plugin, WorkerClient):
        raise Reschedule
    return plugin.run(order)
