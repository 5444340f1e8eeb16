"""A database for each test, of both kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Name an empty database: a file, then one of a server."""
    if request.param == "sqlite":
        return str(tmp_path / "calls.db")
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    """Name an empty file."""
    return str(tmp_path / "calls.db")
