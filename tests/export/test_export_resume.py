"""Resumed after any end, an export comes to the file that a run without a break writes."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from calls import DAY, HOUR, MINUTE, NEXT_DAY, SECOND, call, hourly
from choices import MODES
from clients import ONCE_MORE, connected
from exports import (
    comparable,
    each_step,
    export_range,
    names,
    quick_folder,
    read,
    work_folder,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from keys import by_minute
from ledgers import NIGHTS, SPAN, ledgers
from paths import ROOT
from strategies import ZURICH

from boxis_async import UsageError, WindowError
from boxis_async.export import (
    FORMATS,
    Exported,
    ExportExistsError,
    Format,
    IncompleteExportError,
    export,
    unfinished,
)
from boxis_async.testing import Fault, Provider, generate_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from pathlib import Path

    from conftest import MakeClient
    from exports import Comparable

    from boxis_async import CDR, BoxisClient, Stats
    from boxis_async.testing import FilterMode, LoopbackServer, Received


def by_nothing(cdr: CDR) -> str | None:
    """Give None, which is a key like any other, for what has no uniqueid."""
    return cdr.uniqueid or None


RULES: dict[str, Any] = {
    "uniqueid": "uniqueid",
    "leg": "leg",
    "function": by_minute,
    "none": by_nothing,
}


class StoppedError(Exception):
    """What a progress callback raises."""


def refusing_from(start: datetime) -> Callable[[Received], Fault | None]:
    """Refuse the windows from one on."""
    return lambda got: Fault.refuse("no") if (got.datefrom or "") >= f"{start - SECOND}" else None


async def finish(provider: Provider, target: Path, *range_: Any, **arguments: Any) -> Exported:  # noqa: ANN401
    """Export to the end, by a client of its own."""
    async with connected(provider, retry=ONCE_MORE) as client:
        return await export_range(client, target, *range_, **arguments)


# Ended anywhere


class Ends:
    """Ends an export, in a way and at a point that are drawn, and leaves what that would leave."""

    def __init__(self, turns: random.Random, provider: Provider, target: Path) -> None:
        self._turns = turns
        self._provider = provider
        self._target = target
        self._copy = target.with_name("copy")
        self.has_collected = False

    async def run(self, *range_: Any, **arguments: Any) -> Exported | None:  # noqa: ANN401
        """Run it until its end, and give what it came to if it came to the end of its work."""
        way = self._turns.choice(("fail", "collect", "raise", "cancel", "kill", "kill", "none"))
        after = self._turns.randrange(8)
        task: asyncio.Task[Exported]

        def progress(stats: Stats) -> None:
            if stats.windows + 1 < after:
                return
            if way == "raise":
                raise StoppedError
            if way == "cancel":
                task.cancel()
            if way == "kill":
                self._copy_now()
                raise StoppedError

        if way in ("fail", "collect"):
            numbers = iter(range(1000))
            failing = {after} if way == "collect" else set(range(after, 1000))
            self._provider.faults = lambda _: (
                Fault.refuse("no") if next(numbers) in failing else None
            )
            arguments["on_error"] = "collect" if way == "collect" else "raise"
        async with (
            connected(
                self._provider, retry=ONCE_MORE, concurrency=self._turns.choice((1, 4))
            ) as it,
        ):
            task = asyncio.ensure_future(
                export_range(it, self._target, *range_, resume=True, progress=progress, **arguments)
            )
            try:
                return await task
            except IncompleteExportError:
                self.has_collected = True
            except asyncio.CancelledError:
                assert way == "cancel"
            except (StoppedError, WindowError):
                assert way != "none"
            finally:
                self._provider.faults = []
                self._put_back()
        return None

    def _copy_now(self) -> None:
        """Copy the folder as it is, as a process that is killed now leaves it."""
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(work_folder(self._target), self._copy)

    def _put_back(self) -> None:
        if not self._copy.exists():
            return
        shutil.rmtree(work_folder(self._target), ignore_errors=True)
        self._target.unlink(missing_ok=True)
        self._copy.rename(work_folder(self._target))
        # What was being written just then may be there in part, or be something else.
        journal = (work_folder(self._target) / "journal.json").read_text()
        for name in ("lines", "keys"):
            path = work_folder(self._target) / name
            if path.exists() and self._turns.random() < 0.5:
                with path.open("ab") as file:
                    file.write(self._turns.randbytes(self._turns.randrange(100)))
        if self._turns.random() < 0.3:
            (work_folder(self._target) / "part-000099.parquet").write_bytes(b"PAR1")
            (work_folder(self._target) / "whole.parquet").write_bytes(b"PAR1")
        if self._turns.random() < 0.3:
            draft = journal[: self._turns.randrange(len(journal))]
            (work_folder(self._target) / "journal.json.new").write_text(draft)


@pytest.mark.slow
@pytest.mark.usefixtures("_often")
@settings(max_examples=settings().max_examples // 4)
@given(data=st.data())
async def test_ended_anywhere(data: st.DataObject) -> None:
    """Ended anyhow, anywhere, and resumed: the same records in the same order, and counts."""
    night = data.draw(st.sampled_from(NIGHTS))
    rows = data.draw(ledgers(night))
    mode = data.draw(st.sampled_from(MODES))
    rule = data.draw(st.sampled_from(sorted(RULES)))
    form: Format = data.draw(st.sampled_from(("csv", "jsonl", "jsonl", "parquet")))
    turns = random.Random(data.draw(st.integers(0, 2**32)))
    provider = Provider(rows, filter_mode=mode)
    range_ = (night + 10 * MINUTE, night + SPAN - 10 * MINUTE)
    arguments = {
        "window": data.draw(st.sampled_from((11, 30, 45, 77))) * MINUTE,
        "unique_by": RULES[rule],
        "clip": data.draw(st.sampled_from((None, "start"))),
    }
    with quick_folder() as folder:
        target = folder / f"calls.{form}"
        ends = Ends(turns, provider, target)
        for _ in range(turns.randrange(1, 5)):
            if (exported := await ends.run(*range_, **arguments)) is not None:
                break
        else:
            exported = await finish(provider, target, *range_, resume=True, **arguments)
        assert names(folder) == {target.name}
        whole = folder / f"whole.{form}"
        expected = await finish(provider, whole, *range_, **arguments)
        assert exported.records == expected.records
        if not ends.has_collected:
            assert read(target) == read(whole)
            if not expected.stats.revisions:
                assert exported.conflicts == expected.conflicts
        elif rule == "leg" and not expected.stats.revisions:
            assert Counter(read(target)) == Counter(read(whole))


@pytest.mark.slow
@pytest.mark.usefixtures("_often")
@pytest.mark.parametrize("form", FORMATS)
async def test_killed_at_each_step(tmp_path: Path, form: Format) -> None:
    """Killed before any step on the disk, it is resumed to the same file, or is there already."""
    rows = generate_calls(DAY.date(), NEXT_DAY.date(), calls_per_day=12)
    provider = Provider(rows)
    folder = tmp_path / "there"
    folder.mkdir()
    arguments = {"window": 8 * HOUR}
    with each_step(folder) as steps:
        await finish(provider, folder / f"calls.{form}", DAY, NEXT_DAY, **arguments)
    expected = read(folder / f"calls.{form}")
    resumed = ready = 0
    for copy in steps.copies:
        target = copy / f"calls.{form}"
        was_there, was_begun = target.exists(), work_journal(target)
        if was_there:
            assert read(target) == expected
            ready += 1
        if was_there and not was_begun:
            continue
        exported = await finish(provider, target, DAY, NEXT_DAY, resume=True, **arguments)
        assert read(target) == expected
        assert names(copy) == {target.name}
        assert exported.records == len(expected)
        assert exported.resumed == was_begun
        resumed += exported.resumed
    assert resumed > 15
    assert ready > 2


def work_journal(target: Path) -> bool:
    return (work_folder(target) / "journal.json").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("_often")
@pytest.mark.parametrize("form", FORMATS)
async def test_ended_after_each_window(tmp_path: Path, form: Format) -> None:
    """Ended after each of its windows in turn, it asks for each but once, and once at the edge."""
    provider = Provider(hourly())
    target = tmp_path / f"calls.{form}"
    for hour in range(1, 24):
        provider.faults = refusing_from(DAY + hour * HOUR)
        with pytest.raises(WindowError):
            await finish(provider, target, DAY, NEXT_DAY, window=HOUR, resume=True)
        begun = unfinished(target)
        assert begun is not None
        assert begun.records == hour
    answered = Counter(got.datefrom for got in provider.requests if got.accepted)
    provider.faults = []
    exported = await finish(provider, target, DAY, NEXT_DAY, window=HOUR, resume=True)
    assert exported.records == 24
    assert exported.stats.requests == 1
    assert len(answered) == 24
    async with connected(provider, retry=ONCE_MORE) as client:
        assert read(target) == comparable(await client.cdrs(DAY, NEXT_DAY).to_list())


# What the stream alone cannot know


@pytest.mark.usefixtures("_often")
@pytest.mark.parametrize(("rule", "records"), [("uniqueid", 7), ("leg", 24), ("function", 7)])
async def test_legs_far_apart(tmp_path: Path, rule: str, records: int) -> None:
    """A further leg of a call that an earlier run wrote is known, hours and runs later."""
    sent = [
        call(f"{DAY + hour * HOUR + HOUR / 2}", uniqueid=f"call-{hour % 7}", sequence=f"{hour}")
        for hour in range(24)
    ]
    provider = Provider(sent)
    target = tmp_path / "calls.jsonl"
    arguments: dict[str, Any] = {"window": HOUR, "resume": True}
    arguments["unique_by"] = (lambda cdr: cdr.uniqueid) if rule == "function" else rule
    for hour in (3, 9, 17):
        provider.faults = refusing_from(DAY + hour * HOUR)
        with pytest.raises(WindowError):
            await finish(provider, target, DAY, NEXT_DAY, **arguments)
    provider.faults = []
    exported = await finish(provider, target, DAY, NEXT_DAY, **arguments)
    arguments["resume"] = False
    whole = await finish(provider, tmp_path / "whole.jsonl", DAY, NEXT_DAY, **arguments)
    assert read(target) == read(tmp_path / "whole.jsonl")
    assert exported.records == whole.records == records
    assert exported.conflicts == whole.conflicts == 24 - records


@pytest.mark.parametrize("way", ["raise", "fail"])
async def test_records_without_a_uniqueid(tmp_path: Path, way: str) -> None:
    """Records without a uniqueid are neither lost nor repeated, on the edges of windows too."""
    sent = [
        call(f"{DAY + number * HOUR / 2}", uniqueid="", dst=f"{copy}")
        for number in range(48)
        for copy in range(2)
    ]
    provider = Provider(sent, filter_mode="overlap")
    target = tmp_path / "calls.csv"
    for hour in range(1, 24, 3):

        def progress(stats: Stats, until: float = hour / 24) -> None:
            if way == "raise" and stats.covered > until:
                raise StoppedError

        if way == "fail":
            provider.faults = refusing_from(DAY + hour * HOUR)
        with pytest.raises((WindowError, StoppedError)):
            await finish(
                provider, target, DAY, NEXT_DAY, window=HOUR, resume=True, progress=progress
            )
    provider.faults = []
    exported = await finish(provider, target, DAY, NEXT_DAY, window=HOUR, resume=True)
    assert exported.conflicts == 0
    assert len(set(read(target))) == len(read(target)) == exported.records == 96


async def test_a_progress_that_raises_each_time(tmp_path: Path) -> None:
    """A callback that raises after each batch costs no record, and no conflict twice."""
    sent = [call(f"{DAY + at * HOUR / 4}", uniqueid=f"call-{at % 5}") for at in range(96)]
    provider = Provider([row | {"sequence": f"{at}"} for at, row in enumerate(sent)])
    target = tmp_path / "calls.csv"

    for windows in (2, 3, 4, 5, 6, 7, 8):
        seen = iter(range(windows))

        def progress(_: Stats, seen: Any = seen) -> None:  # noqa: ANN401
            if next(seen, None) is None:
                raise StoppedError

        with pytest.raises(StoppedError):
            await finish(
                provider, target, DAY, NEXT_DAY, window=HOUR / 2, resume=True, progress=progress
            )
    exported = await finish(provider, target, DAY, NEXT_DAY, window=HOUR / 2, resume=True)
    whole = await finish(provider, tmp_path / "whole.csv", DAY, NEXT_DAY, window=HOUR / 2)
    assert (exported.records, exported.conflicts) == (whole.records, whole.conflicts) == (5, 91)
    assert read(target) == read(tmp_path / "whole.csv")


PROGRAM = """
import asyncio, sys
from datetime import datetime, timedelta
from boxis_async import BoxisClient, WindowError
from boxis_async.export import export

def ends(cdr):
    known = cdr.src in {"1", "2", "3", "4", "5", "6", "7"}
    return frozenset({cdr.uniqueid, cdr.src, cdr.dst, known})

async def main():
    async with BoxisClient(retry=None) as client:
        calls = client.cdrs(
            datetime(2024, 3, 5), datetime(2024, 3, 6), window=timedelta(hours=1), unique_by=ends
        )
        try:
            done = await export(calls, sys.argv[1], resume=True)
            print(done.records, done.resumed, done.conflicts)
        except WindowError:
            print("failed")

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.subprocess
def test_keys_that_are_sets(server: LoopbackServer, tmp_path: Path) -> None:
    """Processes that order sets otherwise have the same function, and know each other's keys."""
    # A further leg of each call comes twelve hours later.
    provider = Provider(
        call(f"{DAY + hour * HOUR}", uniqueid=f"call-{hour % 12}", sequence=f"{hour}")
        for hour in range(24)
    )
    url = server.mount(provider)
    printed: list[str] = []
    for seed, hour in enumerate((6, 14, 20, 24)):
        provider.faults = refusing_from(DAY + hour * HOUR)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path / "calls.csv")],
            env=os.environ
            | {
                "BOXIS_USERNAME": provider.username,
                "BOXIS_API_KEY": provider.api_key,
                "BOXIS_TENANT": provider.tenant,
                "BOXIS_BASE_URL": url,
                "PYTHONPATH": str(ROOT),
                "PYTHONHASHSEED": f"{seed}",
            },
            capture_output=True,
            text=True,
            check=True,
        )
        printed.append(done.stdout.strip())
    server.unmount(provider)
    assert printed == ["failed", "failed", "failed", "12 True 12"]
    assert len(read(tmp_path / "calls.csv")) == 12


async def test_keys_that_no_other_process_knows(client: BoxisClient, tmp_path: Path) -> None:
    """A key that is written with its place in memory is refused: it would never be known again."""

    class Key:
        pass

    def key(_: CDR) -> Hashable:
        return ("a", Key())

    with pytest.raises(UsageError, match=r"unique_by gave a Key.*a text, a number"):
        await export(client.cdrs(DAY, NEXT_DAY, unique_by=key), tmp_path / "calls.csv")
    assert names(tmp_path) == set()


# Halves


@pytest.mark.slow
@pytest.mark.usefixtures("_often")
@pytest.mark.parametrize("mode", MODES)
async def test_windows_in_halves(tmp_path: Path, mode: FilterMode) -> None:
    """Where windows are cut in halves the file is the same, whatever run cut them."""
    provider = Provider(hourly(calls=10), filter_mode=mode)
    target = tmp_path / "calls.csv"
    arguments: dict[str, Any] = {"row_limit": 25, "resume": True, "unique_by": "leg"}
    for hour in (2, 7, 12, 18):
        provider.faults = refusing_from(DAY + hour * HOUR + HOUR / 2)
        with pytest.raises(WindowError):
            await finish(provider, target, DAY, NEXT_DAY, **arguments)
    provider.faults = []
    await finish(provider, target, DAY, NEXT_DAY, **arguments)
    async with connected(provider, retry=ONCE_MORE) as client:
        cdrs = await client.cdrs(DAY, NEXT_DAY, unique_by="leg").to_list()
    assert Counter(read(target)) == Counter(comparable(cdrs))
    assert len(cdrs) == 240


# Time


def at(moment: datetime) -> Any:  # noqa: ANN401
    return time_machine.travel(moment, tick=False)


async def test_now_stays_what_it_was(tmp_path: Path) -> None:
    """A range that ran to now runs to that now when it is resumed, days later."""
    provider = Provider(hourly())
    target = tmp_path / "calls.jsonl"
    with at(datetime(2024, 3, 5, 15, 10, 0, 500_000, tzinfo=UTC)):
        provider.faults = refusing_from(DAY + 9 * HOUR)
        with pytest.raises(WindowError):
            await finish(provider, target, DAY, window=HOUR, settle=HOUR)
    begun = unfinished(target)
    assert begun is not None
    assert begun.dateto == DAY + 16 * HOUR + 10 * MINUTE + timedelta(seconds=1)
    provider.faults = []
    provider.reset()
    with at(datetime(2024, 3, 9, 12, 0, tzinfo=UTC)):
        exported = await finish(provider, target, DAY, window=HOUR, settle=HOUR, resume=True)
    assert exported.records == len(read(target)) == 16
    assert max(got.dateto or "" for got in provider.requests) == "2024-03-05 16:10:01"
    assert min(got.datefrom or "" for got in provider.requests) == "2024-03-05 08:59:59"


async def test_now_is_anew_after_a_finished_export(tmp_path: Path) -> None:
    """An export that ended but for the clearing away does not lend its "now" to the next one."""
    provider = Provider(hourly())
    target = tmp_path / "calls.jsonl"

    def appear(_: Stats) -> None:
        target.write_text("theirs")

    with at(datetime(2024, 3, 5, 9, 40, tzinfo=UTC)), pytest.raises(ExportExistsError):
        await finish(provider, target, DAY, window=HOUR, progress=appear)
    # What a crash after the last step leaves, once somebody has taken the file away.
    target.unlink()
    (work_folder(target) / "lines").unlink()
    with at(datetime(2024, 3, 5, 14, 40, tzinfo=UTC)):
        exported = await finish(provider, target, DAY, resume=True)
    assert not exported.resumed
    assert exported.records == len(read(target)) == 16


async def test_now_is_anew_where_nothing_is_unfinished(tmp_path: Path) -> None:
    """To resume what is not there is to begin; without the word to resume, now is now."""
    provider = Provider(hourly())
    target = tmp_path / "calls.jsonl"
    for hour, more in ((10, {"resume": True}), (15, {"overwrite": True})):
        with at(datetime(2024, 3, 5, hour - 1, 40, tzinfo=UTC)):
            exported = await finish(provider, target, DAY, **more)
        assert exported.records == len(read(target)) == hour + 1
        assert not exported.resumed


@pytest.mark.usefixtures("_whenever")
@pytest.mark.parametrize("form", FORMATS)
async def test_young_windows_come_again(tmp_path: Path, form: Format) -> None:
    """What is too young is cut off and fetched again, as it is by then."""
    provider = Provider(hourly())
    target = tmp_path / f"calls.{form}"
    seen = 0

    def stop(_: Stats) -> None:
        nonlocal seen
        seen += 1
        if seen == 20:
            raise StoppedError

    arguments: dict[str, Any] = {"window": HOUR, "resume": True, "settle": 6 * HOUR}
    with at(datetime(2024, 3, 5, 17, 0, tzinfo=UTC)), pytest.raises(StoppedError):  # 18:00 there
        await finish(provider, target, DAY, NEXT_DAY, progress=stop, **arguments)
    begun = unfinished(target)
    assert begun is not None
    assert (begun.records, begun.covered) == (12, 0.5)
    # A call that ended late, and a cost that was worked out.
    provider.add(call(f"{DAY + 13 * HOUR}", uniqueid="late", cc_cost="1.5"))
    provider.reset()
    with at(datetime(2024, 3, 8, 17, 0, tzinfo=UTC)):
        exported = await finish(provider, target, DAY, NEXT_DAY, **arguments)
    assert exported.stats.requests == 12
    assert exported.records == 25
    async with connected(provider, retry=ONCE_MORE) as client:
        assert read(target) == comparable(await client.cdrs(DAY, NEXT_DAY).to_list())


class Clock:
    """The clock by which checkpoints are set, in the hands of a test."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Give the time."""
        return self.now


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("is_killed", [False, True])
async def test_whenever_a_checkpoint_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Format, *, is_killed: bool
) -> None:
    """Before whichever batch a checkpoint is due, young ones too, the file is the same."""
    clock = Clock()
    monkeypatch.setattr("boxis_async.export.checkpoints.time", clock)
    provider = Provider(hourly())
    arguments: dict[str, Any] = {"window": 2 * HOUR, "settle": 6 * HOUR}
    for due in range(1, 12) if form == "csv" else (2, 5, 7):
        target = tmp_path / f"{due}.{form}"

        def progress(stats: Stats, due: int = due, target: Path = target) -> None:
            if stats.windows + 1 in (due, due + 3):
                clock.now += 5
            if is_killed and stats.windows == due:
                shutil.copytree(work_folder(target), tmp_path / "left")

        with at(datetime(2024, 3, 5, 17, 0, tzinfo=UTC)):
            await finish(provider, target, DAY, NEXT_DAY, progress=progress, **arguments)
        if is_killed:
            rows = read(target)
            target.unlink()
            shutil.move(tmp_path / "left", work_folder(target))
            with at(datetime(2024, 3, 6, 17, 0, tzinfo=UTC)):
                exported = await finish(provider, target, DAY, NEXT_DAY, resume=True, **arguments)
            assert exported.resumed
            assert read(target) == rows
        assert len(set(read(target))) == len(read(target)) == 24


@pytest.mark.usefixtures("_whenever")
async def test_failures_before_young_windows(tmp_path: Path) -> None:
    """With failures collected, what is at rest is kept though the range ends in young windows."""
    provider = Provider(hourly())
    target = tmp_path / "calls.csv"
    arguments: dict[str, Any] = {"window": HOUR, "settle": 6 * HOUR, "resume": True}
    provider.faults = lambda got: (
        Fault.refuse("no") if got.datefrom == f"{DAY + 3 * HOUR - SECOND}" else None
    )
    with at(datetime(2024, 3, 5, 17, 0, tzinfo=UTC)), pytest.raises(IncompleteExportError):
        await finish(provider, target, DAY, NEXT_DAY, on_error="collect", **arguments)
    begun = unfinished(target)
    assert begun is not None
    assert begun.records == 11
    provider.faults = []
    provider.reset()
    with at(datetime(2024, 3, 8, 17, 0, tzinfo=UTC)):
        await finish(provider, target, DAY, NEXT_DAY, **arguments)
    assert len(provider.requests) == 13
    assert len(set(read(target))) == len(read(target)) == 24


# Clock changes


AUTUMN = datetime(2024, 10, 27, tzinfo=ZURICH)
ENDS = (
    (AUTUMN, AUTUMN + timedelta(hours=5)),
    (AUTUMN, AUTUMN.replace(hour=2, minute=30)),
    (AUTUMN, AUTUMN.replace(hour=2, minute=30, fold=1)),
    (AUTUMN.replace(hour=2, minute=15, fold=1), AUTUMN + timedelta(hours=5)),
    (AUTUMN.astimezone(UTC), AUTUMN.replace(hour=2, minute=30, fold=1).astimezone(UTC)),
    (AUTUMN.replace(tzinfo=None), datetime(2024, 10, 27, 2, 30)),  # noqa: DTZ001
    (date(2024, 10, 27), date(2024, 10, 28)),
)


@pytest.mark.slow
@pytest.mark.usefixtures("_often")
@pytest.mark.parametrize("clip", [None, "start"])
@pytest.mark.parametrize(("begin", "end"), ENDS, ids=str)
async def test_the_repeated_hour(
    tmp_path: Path, begin: datetime, end: datetime, clip: str | None
) -> None:
    """Ends in the repeated hour, aware or not, in whatever zone, are resumed as they were."""
    rows = generate_calls(date(2024, 10, 26), date(2024, 10, 28), calls_per_day=200)
    provider = Provider(rows)
    arguments: dict[str, Any] = {"window": 20 * MINUTE, "clip": clip, "unique_by": "leg"}
    target, whole = tmp_path / "calls.csv", tmp_path / "whole.csv"
    await finish(provider, whole, begin, end, **arguments)
    for after in (2, 3):
        numbers = iter(range(1000))
        provider.faults = lambda _, numbers=numbers, after=after: (  # type: ignore[misc]
            Fault.refuse("no") if next(numbers) >= after else None
        )
        with pytest.raises(WindowError):
            await finish(provider, target, begin, end, resume=True, **arguments)
    provider.faults = []
    # The same moments, as another program might say them.
    if isinstance(begin, datetime) and begin.tzinfo is ZURICH:
        begin, end = begin.astimezone(UTC), end.astimezone(UTC)
    exported = await finish(provider, target, begin, end, resume=True, **arguments)
    assert exported.resumed
    assert read(target) == read(whole)
    assert exported.records > 0


async def test_a_date_is_its_midnight(tmp_path: Path) -> None:
    """A date and its midnight are the same end of a range."""
    provider = Provider(hourly())
    target = tmp_path / "calls.csv"
    provider.faults = refusing_from(DAY + 5 * HOUR)
    with pytest.raises(WindowError):
        await finish(provider, target, DAY.date(), NEXT_DAY.date(), window=HOUR)
    provider.faults = []
    exported = await finish(provider, target, DAY, NEXT_DAY, window=HOUR, resume=True)
    assert exported.resumed
    assert exported.records == 24
    provider.faults = refusing_from(DAY + 5 * HOUR)
    with pytest.raises(WindowError):
        await finish(provider, target, DAY, NEXT_DAY, window=HOUR, overwrite=True)
    with pytest.raises(UsageError, match="dateto"):
        await finish(provider, target, DAY, NEXT_DAY.replace(tzinfo=UTC), resume=True)


# Cancelled


class Slowly:
    """Lets a run come to a number of turns of the loop, then cancels it."""

    def __init__(self, turns: int) -> None:
        self._left = turns

    async def cancel(self, *tasks: asyncio.Task[Any]) -> None:
        """Cancel the tasks after so many turns, unless they end before."""
        while self._left > 0 and not all(task.done() for task in tasks):
            self._left -= 1
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()


@pytest.mark.slow
@pytest.mark.both_loops
@pytest.mark.usefixtures("_often")
@pytest.mark.parametrize("times", [1, 3])
async def test_cancelled_at_any_await(tmp_path: Path, times: int) -> None:
    """Cancelled after any number of turns, once or again and again, and resumed: exact."""
    provider = Provider(hourly(calls=2))
    arguments: dict[str, Any] = {"window": 2 * HOUR, "resume": True, "unique_by": "leg"}
    whole = tmp_path / "whole.jsonl"
    await finish(provider, whole, DAY, NEXT_DAY, **arguments)
    ended = 0
    for turns in (*range(0, 20, 3), *range(20, 400, 47)):
        target = tmp_path / f"{turns}.jsonl"
        for _ in range(times):
            task = asyncio.ensure_future(finish(provider, target, DAY, NEXT_DAY, **arguments))
            await Slowly(turns).cancel(task)
            for _ in range(times - 1):
                await asyncio.sleep(0)
                task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                ended += 1
            if target.exists():
                break
        if not target.exists():
            await finish(provider, target, DAY, NEXT_DAY, **arguments)
        assert read(target) == read(whole)
    assert ended > 5
    assert not [name for name in names(tmp_path) if "unfinished" in name]


async def test_cancelled_while_it_waits(make_client: MakeClient, tmp_path: Path) -> None:
    """Timed out while a request is under way, it keeps what came before."""
    provider = Provider(hourly())
    target = tmp_path / "calls.csv"
    client = make_client(provider)
    provider.faults = lambda got: (
        Fault.hang() if (got.datefrom or "") >= f"{DAY + 7 * HOUR - SECOND}" else None
    )
    seen: list[Stats] = []

    async def run() -> None:
        async with asyncio.timeout(None) as scope:

            def progress(stats: Stats) -> None:
                seen.append(stats)
                if len(seen) == 7:
                    scope.reschedule(0)

            await export(client.cdrs(DAY, NEXT_DAY, window=HOUR), target, progress=progress)

    with pytest.raises(TimeoutError):
        await run()
    begun = unfinished(target)
    assert begun is not None
    assert begun.records == len(seen) == 7
    provider.faults = []
    await export(client.cdrs(DAY, NEXT_DAY, window=HOUR), target, resume=True)
    assert len(set(read(target))) == 24


# The provider changes nothing, the user does


async def test_windows_of_another_length(tmp_path: Path) -> None:
    """The length of windows, limits and what to do on errors may be others when resumed."""
    provider = Provider(hourly(calls=3))
    target = tmp_path / "calls.parquet"
    for hour, more in ((5, {"window": HOUR}), (13, {"window": 3 * HOUR, "row_limit": 100})):
        provider.faults = refusing_from(DAY + hour * HOUR)
        with pytest.raises(WindowError):
            await finish(provider, target, DAY, NEXT_DAY, resume=True, unique_by="leg", **more)
    provider.faults = []
    exported = await finish(
        provider, target, DAY, NEXT_DAY, resume=True, unique_by="leg", on_error="collect"
    )
    assert exported.stats.requests < 3
    rows: list[Comparable] = read(target)
    assert len(set(rows)) == len(rows) == 72


async def test_a_key_that_cannot_be_a_key(client: BoxisClient, tmp_path: Path) -> None:
    """What the user's function raises, or gives that is no key, ends it in words."""

    def broken(cdr: CDR) -> Hashable:
        raise StoppedError(cdr.uniqueid)

    with pytest.raises(StoppedError):
        await export(client.cdrs(DAY, NEXT_DAY, unique_by=broken), tmp_path / "a.csv")

    def unhashable(cdr: CDR) -> Any:  # noqa: ANN401 - what no key may be
        return [cdr.uniqueid]

    with pytest.raises(UsageError, match="not hashable"):
        await export(client.cdrs(DAY, NEXT_DAY, unique_by=unhashable), tmp_path / "b.csv")
    assert names(tmp_path) == set()
