"""ASGI applications, such as the stand-in, behind a real HTTP server on the loopback interface.

uvicorn runs in a thread with an event loop of its own, so that the server serves synchronous code
and programs under test, whatever their loops do.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import ModuleType, TracebackType
    from typing import Self

    from .asgi import Application, Receive, Scope, Send

# Longer than any pause within a test. A server that closes an idle connection just as the client
# uses it again would add a fault that no test has set.
_KEEP_ALIVE_SECONDS = 120
_LOGGERS = ("uvicorn.error", "uvicorn.access")
_LAST_PORT = 65_535


def _import_uvicorn() -> ModuleType:
    try:
        import uvicorn  # noqa: PLC0415, an optional dependency
    except ImportError as error:
        raise ImportError(
            "LoopbackServer needs uvicorn: install `boxis-async[testing]`", name="uvicorn"
        ) from error
    return uvicorn


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port), backlog=2048)
    except OSError as error:
        if not port:
            raise
        taken = error.errno == errno.EADDRINUSE
        why = "is taken" if taken else f"cannot be used ({error.strerror})"
        raise OSError(
            error.errno,
            f"port {port} of 127.0.0.1 {why}: choose another, or 0 for one that is free",
        ) from error


class _Loop(asyncio.SelectorEventLoop):
    """A loop whose clock no test can freeze: the thread would sleep for ever, and never end."""

    def time(self, _now: Callable[[], float] = time.monotonic) -> float:
        # A default is out of freezegun's reach, which replaces the attributes of modules.
        return _now()


class _FaultFilter(logging.Filter):
    """Drop what the current thread logs, but keep the exceptions of a test's own callables."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        if threading.get_ident() != self._thread:
            return True
        error = record.exc_info[1] if record.exc_info else None
        return error is not None and not isinstance(error, asyncio.CancelledError)


@contextlib.contextmanager
def _faults_not_logged() -> Generator[None]:
    # A fault breaks its answer on purpose, but uvicorn logs an error. We filter by thread: levels
    # and handlers stay as they are, and so does the log of another uvicorn in this process.
    fault_filter = _FaultFilter()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(fault_filter)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(fault_filter)


class LoopbackServer:
    """Serve providers over HTTP on 127.0.0.1, from a thread with an event loop of its own.

    Use it in a `with` or an `async with` statement. Leaving it aborts requests that are still in
    flight. What a provider awaits, its gate included, runs in the server's thread. So use a gate in
    process, or release it through that thread's event loop.

    Args:
        provider: The provider that answers at `url`; None: none does until `mount`. Any ASGI
            application will do.
        port: The port to listen on; 0: a free one, which the system chooses.

    Raises:
        ImportError: uvicorn is not installed; `boxis-async[testing]` brings it.
        ValueError: There is no such port.
        OSError: On entering, the port cannot be used. Its `strerror` says what to do.
    """

    def __init__(self, provider: Application | None = None, *, port: int = 0) -> None:
        if not 0 <= port <= _LAST_PORT:
            raise ValueError(f"port must be from 0 (a free one) to {_LAST_PORT}, not {port}")
        self._uvicorn = _import_uvicorn()
        self._port = port
        self._mounts: dict[str, Application] = {} if provider is None else {"/": provider}
        self._mounted = 0
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Any = None
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        where = "closed" if self._socket is None else self.url
        return f"<LoopbackServer({where}, providers={len(self._mounts)})>"

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise RuntimeError("the server is running already")
        # We listen before the thread starts: a client that connects earlier waits in the backlog.
        self._socket = _listen(self._port)
        # asyncio turns Nagle's algorithm off only on sockets whose protocol number is TCP's, and
        # this one's is 0. Otherwise each answer would wait 40 ms for an acknowledgement.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # `asyncio.new_event_loop` would follow a policy that the program under test may have set.
        self._loop = _Loop()
        config = self._uvicorn.Config(
            self._dispatch,
            interface="asgi3",
            http="h11",
            ws="none",
            lifespan="off",
            # Not `access_log=False`, which would remove the handlers from the process's own logger.
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=0,
        )
        self._server = self._uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._run, args=(self._loop, self._socket), name="boxis-loopback", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # In a worker thread, so that the caller's loop runs on while the server's thread ends.
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.close)

    @property
    def url(self) -> str:
        """The address of the provider given at construction: `http://127.0.0.1:PORT/`.

        Raises:
            RuntimeError: The server is not running, so it has no port.
        """
        if self._socket is None:
            raise RuntimeError("the server is not running: use it as a context manager")
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/"

    def mount(self, provider: Application) -> str:
        """Serve one more provider, and return its address: `http://127.0.0.1:PORT/p1/`.

        Raises:
            RuntimeError: The server is not running, so it has no port.
        """
        base = self.url
        self._mounted += 1
        path = f"/p{self._mounted}/"
        self._mounts[path] = provider
        return base[:-1] + path

    def unmount(self, provider: Application) -> None:
        """Stop serving a provider. Its addresses answer 404 from now on.

        Raises:
            LookupError: It is not mounted.
        """
        paths = [path for path, mounted in self._mounts.items() if mounted is provider]
        if not paths:
            raise LookupError(f"{provider!r} is not mounted")
        for path in paths:
            del self._mounts[path]

    def close(self) -> None:
        """Abort the requests in flight and wait until the thread has ended. Idempotent."""
        if self._thread is None or self._loop is None or self._socket is None:
            return
        # If the server has failed, the loop is closed already, and the thread's traceback says why.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stop)
        self._thread.join()
        self._socket.close()
        self._thread = self._loop = self._socket = self._server = None

    def _run(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        with _faults_not_logged(), asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(self._serve(sock))

    async def _serve(self, sock: socket.socket) -> None:
        await self._server.serve(sockets=[sock])
        # Connections that arrived after `_stop`. Otherwise the garbage collector would close their
        # sockets, with a warning.
        self._abort_connections()
        await asyncio.sleep(0)

    def _stop(self) -> None:
        # A request that hangs ends with its connection, so uvicorn has none to wait for.
        self._abort_connections()
        self._server.should_exit = True

    def _abort_connections(self) -> None:
        for connection in list(self._server.server_state.connections):
            cast("asyncio.Transport", connection.transport).abort()

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        provider = self._mounts.get(scope["path"])
        if provider is not None:
            await provider(scope, receive, send)
            return
        body = b"no provider here\n"
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})
