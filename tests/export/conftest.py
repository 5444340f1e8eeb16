"""What the tests of the exports share beside what all tests do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from exports import quick_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Give a folder where a checkpoint need not wait for a disk."""
    with quick_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def _often() -> Iterator[None]:
    """Set a checkpoint after each batch, whatever the clock says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("boxis_async.export.checkpoints._INTERVAL", 0)
        patch.setattr("boxis_async.export.checkpoints._PAUSE_FACTOR", 0)
        yield


@pytest.fixture(params=[0, 3600], ids=["checkpoints often", "checkpoints seldom"])
def _whenever(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a checkpoint after each batch, or none before the export ends."""
    monkeypatch.setattr("boxis_async.export.checkpoints._INTERVAL", request.param)
    monkeypatch.setattr("boxis_async.export.checkpoints._PAUSE_FACTOR", 0)
