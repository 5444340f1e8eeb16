"""The page on watches: its functions do what it says, over crashes too."""

from __future__ import annotations

import ast
import asyncio
import re
import sqlite3
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from calls import call
from clients import plainly
from fast_forward import run_fast
from paths import ROOT
from watched import ZONE, Kept

from boxis_async.testing import Provider

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from boxis_async import BoxisClient, Change, Watch

TEXT = (ROOT / "docs" / "watch.md").read_text("utf-8")
START = datetime(2026, 10, 5, 12, tzinfo=ZONE)


def functions() -> dict[str, Any]:
    """Define what the page's blocks define."""
    names: dict[str, Any] = {"timedelta": timedelta}
    for block in re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        exec(compile(ast.parse(block), "watch.md", "exec"), names)
    return names


def test_keep_has_each_version_once_over_crashes(tmp_path: Path) -> None:
    """The handler's own transaction makes it exactly once, wherever it is cut off."""
    keep = functions()["keep"]
    rows = [call(f"{(START - timedelta(minutes=9 * n)).replace(tzinfo=None)}") for n in range(20)]
    provider = Provider(rows)
    path = tmp_path / "calls.db"
    counts: list[int] = []

    async def main() -> None:
        for least in (3, 5, 8, None):
            async with (
                plainly(provider) as client,
            ):
                with suppress(TimeoutError, CrashError):
                    async with asyncio.timeout(120):
                        await keep(Crashing(client, least), path)
            counts.append(count(path))

    run_fast(START.timestamp(), main())
    # What was in hand at the crash was in the transaction.
    assert counts == [3, 8, 16, 20]


class CrashError(Exception):
    """Stands for the end of the process."""


class Crashing:
    """A client, and its watch, that crash after some items."""

    def __init__(self, client: BoxisClient, items: int | None) -> None:
        self._client = client
        self._left = items

    def watch(self, *arguments: Any, **settings: Any) -> Crashing:  # noqa: ANN401 - as `watch`
        self._watch = self._client.watch(*arguments, **settings)
        self.handled = self._watch.handled
        return self

    @property
    def position(self) -> str:
        return self._watch.position

    def __aiter__(self) -> Crashing:
        return self

    async def __anext__(self) -> Change:
        if self._left == 0:
            raise CrashError
        self._left = None if self._left is None else self._left - 1
        return await anext(self._watch)


def count(path: Path) -> int:
    """Count the legs in the database."""
    if not path.exists():
        return 0
    database = sqlite3.connect(path)
    try:
        return int(database.execute("SELECT count(*) FROM leg").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        database.close()


def test_report_missed_sends_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A missed call is reported once, and what the first function prints is a line a change."""
    names = functions()
    begin = (START - timedelta(minutes=30)).replace(tzinfo=None)
    provider = Provider(
        [call(f"{begin}", disposition="NO ANSWER", userfield="[inbound]", linkedid="a")],
        live=True,
    )
    sent: list[str] = []

    async def send(text: str) -> None:
        sent.append(text)

    async def main() -> None:
        async with (
            plainly(provider) as client,
        ):
            for task in (
                names["report_missed"](client, send),
                names["report_surely_missed"](client, send, None),
                names["print_new"](client),
            ):
                with suppress(TimeoutError):
                    async with asyncio.timeout(3600):
                        await task

    # It begins while the call is under way.
    run_fast(START.timestamp() - 1790, main())
    assert sent == ["11:30 missed: 0041445550123 (probably)"]
    assert capsys.readouterr().out == ""


def test_report_surely_missed_leaves_none_out() -> None:
    """What is only probably missed is sent a day later, and what is sure at once."""
    report = functions()["report_surely_missed"]
    begin = (START - timedelta(minutes=30)).replace(tzinfo=None)
    rang = call(f"{begin}", "a", disposition="NO ANSWER", userfield="[inbound]", linkedid="x")
    box = call(f"{begin}", "b", userfield="[inbound]", linkedid="b") | {
        "dstchannel": "",
        "lastapp": "VoiceMail",
        "clid": '"" <0041445550124>',
    }
    sent: list[tuple[int, str]] = []

    async def send(text: str) -> None:
        sent.append(((datetime.now(ZONE) - START + timedelta(minutes=30)).days, text))

    async def main() -> None:
        async with plainly(Provider([rang, box], live=True)) as client:
            with suppress(TimeoutError):
                async with asyncio.timeout(26 * 3600):
                    await report(Slowly(client), send, Kept())

    run_fast(START.timestamp() - 1790, main())
    assert sent == [(0, "11:30 missed: 0041445550124"), (1, "11:30 missed: 0041445550123")]


class Slowly:
    """A client whose watches look each ten minutes."""

    def __init__(self, client: BoxisClient) -> None:
        self._client = client

    def watch(self, **settings: Any) -> Watch:  # noqa: ANN401 - as `watch`
        return self._client.watch(every=timedelta(minutes=10), **settings)
