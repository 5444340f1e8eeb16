"""What a misuse must leave as it was: the loop, its tasks, the provider and the logs."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from waiting import settled

if TYPE_CHECKING:
    import pytest
    from waiting import Gate

    from boxis_async import BoxisClient
    from boxis_async.testing import Provider


class Quiet:
    """A client and its provider, of which nothing may be left behind by whatever is misused."""

    gate: Gate
    provider: Provider
    client: BoxisClient

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.errors: list[dict[str, Any]] = []
        self._caplog = caplog
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: self.errors.append(context)
        )

    async def left_nothing_behind(self) -> None:
        """Check tasks, requests, errors and logs; and that awaiting still works here."""
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        assert await asyncio.create_task(asyncio.sleep(0, "undisturbed")) == "undisturbed"
        await settled(lambda: asyncio.all_tasks() == {task} and self.provider.in_flight == 0)
        assert self.errors == []
        assert [r for r in self._caplog.records if r.levelno >= logging.ERROR] == []
