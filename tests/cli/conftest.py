"""Fixtures of the command line's tests: a provider on loopback, and an empty home folder."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest
from commands import connection_of
from homes import home

from boxis_async.cli.profiles import profile_path
from boxis_async.testing import LoopbackServer, Provider, generate_calls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from boxis_async.testing import Row

__all__ = ["contract", "home", "served", "week"]

FIRST, LAST = date(2025, 10, 1), date(2025, 10, 8)


@pytest.fixture
def contract(home: Path) -> None:  # noqa: ARG001 - the profile is in it
    """Let the profile know what the server does, so that commands send no request to find out."""
    path = profile_path()
    path.parent.mkdir(parents=True)
    path.write_text('[default.contract]\nrule = "start"\nno_cap_up_to = 10000\n', "utf-8")


@pytest.fixture(scope="session")
def week() -> list[Row]:
    """Make up a week of calls."""
    return list(generate_calls(FIRST, LAST, calls_per_day=30))


@pytest.fixture
def served(
    server: LoopbackServer, week: list[Row], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Provider]:
    """Serve the week, and point the environment at it."""
    provider = Provider(week)
    url = server.mount(provider)
    for name, value in connection_of(provider, url).items():
        monkeypatch.setenv(name, value)
    yield provider
    server.unmount(provider)
