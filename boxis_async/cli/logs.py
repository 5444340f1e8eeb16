"""What the library logs: nothing on the screen, unless `--verbose` is given."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from boxis_async import printable

from .output import show

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["logs_on_stderr", "without_logs"]


@contextmanager
def without_logs() -> Generator[None]:
    """Keep the warnings of the library off the screen: the commands report them in their words."""
    logger = logging.getLogger("boxis_async")
    handler, propagate = logging.NullHandler(), logger.propagate
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.propagate = propagate
        logger.removeHandler(handler)


@contextmanager
def logs_on_stderr() -> Generator[None]:
    """Write what the library logs to standard error, each request included."""
    logger = logging.getLogger("boxis_async")
    handler, level = _StderrHandler(), logger.level
    handler.setFormatter(_PrintableFormatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


class _PrintableFormatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - as logging has it
        record.message = printable(record.message)
        return super().formatMessage(record)


class _StderrHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # Not `StreamHandler(sys.stderr)`: click finds the standard error of this moment, also
        # under a test runner. A traceback has several lines, a message has one.
        for line in self.format(record).split("\n"):
            show(line, wraps=False)
