"""What the library logs: nothing on the screen, unless `--verbose` asks for it."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["hushed", "told"]

# What these warn of is told by the commands themselves, in their own words.
_NAMES = ("boxis_async", "stamina")


@contextmanager
def hushed() -> Generator[None]:
    """Keep the library's warnings, and stamina's, off the screen."""
    loggers = [logging.getLogger(name) for name in _NAMES]
    before = [(logger, logger.propagate) for logger in loggers]
    handler = logging.NullHandler()
    for logger in loggers:
        logger.propagate = False
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger, propagate in before:
            logger.propagate = propagate
            logger.removeHandler(handler)


@contextmanager
def told() -> Generator[None]:
    """Write what the library logs to standard error, each request included."""
    logger = logging.getLogger("boxis_async")
    handler, level = _Screen(), logger.level
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


class _Screen(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)
