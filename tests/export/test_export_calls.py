"""A row for each call: each once, whole, where its first leg starts, and resumed like any other."""

from __future__ import annotations

import io
import json
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from calls import DAY, HOUR, MINUTE, NEXT_DAY, call
from clients import ONCE_MORE, connected
from exports import names, quick_folder, sheet_cells
from hypothesis import given, settings
from hypothesis import strategies as st

from boxis_async import LateLegError, UsageError, WindowError, group_calls
from boxis_async.export import (
    FORMATS,
    Format,
    IncompleteExportError,
    export,
    unfinished,
    write,
)
from boxis_async.testing import Fault, Provider, generate_calls

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import MakeClient

    from boxis_async import BoxisClient, Call

OF_CALLS = ["id", "start", "end", "direction", "caller_number", "caller_name", "dialled"]
OF_CALLS += ["outside", "outcome", "answered_by", "answered", "missed", "wait_seconds"]
OF_CALLS += ["talk_seconds", "cost", "legs"]
BEGIN, END = date(2024, 10, 26), date(2024, 10, 29)  # the clock is turned back in between


def rows_of(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.decode().splitlines()]


def dicts(calls: list[Call]) -> list[dict[str, Any]]:
    return [call.to_dict() for call in calls]


@pytest.fixture(scope="module")
def some_days() -> Provider:
    return Provider(generate_calls(BEGIN - timedelta(days=1), END + timedelta(days=1)))


@pytest.mark.parametrize("form", FORMATS)
async def test_calls_in_each_format(tmp_path: Path, some_days: Provider, form: Format) -> None:
    """A file of calls holds those that `client.calls` gives, by their start."""
    target = tmp_path / f"calls.{form}"
    async with connected(some_days) as client:
        calls = await client.calls(BEGIN, END)
        stream = client.cdrs(BEGIN, END, unique_by="leg")
        done = await export(stream, target, rows="calls")
    assert done.records == len(calls) > 100
    assert names(tmp_path) == {target.name}
    data = target.read_bytes()
    if form == "jsonl":
        assert rows_of(data) == dicts(calls)
        assert list(rows_of(data)[0]) == OF_CALLS
    elif form == "csv":
        assert data.decode().count("\r\n") == len(calls) + 1
        assert data.decode().splitlines()[0].split(",") == OF_CALLS
    elif form == "xlsx":
        ((header, *lines),) = sheet_cells(data)
        assert [name.replace(" ", "_") for name in header] == OF_CALLS
        assert [line[0] for line in lines] == [call.id for call in calls]
        assert [line[1] for line in lines] == [call.start.replace(tzinfo=None) for call in calls]


async def test_into_an_open_file(some_days: Provider) -> None:
    """`write` writes the same calls; its stream must not be begun."""
    async with connected(some_days) as client:
        stream = client.cdrs(BEGIN, END, unique_by="leg", window=timedelta(hours=6))
        file = io.BytesIO()
        done = await write(stream, file, "jsonl", rows="calls")
        calls = await client.calls(BEGIN, END)
        assert rows_of(file.getvalue()) == dicts(calls)
        assert done.records == len(calls)
        begun = client.cdrs(BEGIN, END, unique_by="leg")
        await anext(begun)
        with pytest.raises(UsageError, match="from its beginning"):
            await write(begun, file, "jsonl", rows="calls")


async def test_months_add_up(some_days: Provider, tmp_path: Path) -> None:
    """Neighbouring ranges share no call and lack none, whatever the calls over midnight are."""
    middle = datetime(2024, 10, 27, 9, 41)  # noqa: DTZ001 - the provider's wall clock
    found: list[dict[str, Any]] = []
    async with connected(some_days) as client:
        for number, ends in enumerate(((BEGIN, middle), (middle, END))):
            target = tmp_path / f"{number}.jsonl"
            await export(client.cdrs(*ends, unique_by="leg"), target, rows="calls")
            found += rows_of(target.read_bytes())
        assert found == dicts(await client.calls(BEGIN, END))


async def test_a_call_is_whole_beyond_the_range(make_client: MakeClient, tmp_path: Path) -> None:
    """Legs behind the range's end belong to it; a call that began before it does not."""
    legs = [
        call(f"{DAY - MINUTE}", linkedid="before"),
        call(f"{DAY + MINUTE}", linkedid="before"),
        call(f"{NEXT_DAY - MINUTE}", linkedid="last"),
        call(f"{NEXT_DAY + HOUR}", linkedid="last"),
        call(f"{NEXT_DAY}", linkedid="after"),
    ]
    client = make_client(Provider(legs))
    target = tmp_path / "calls.jsonl"
    for clip in (None, "start"):
        stream = client.cdrs(DAY, NEXT_DAY, unique_by="leg", clip=clip)  # type: ignore[arg-type]
        await export(stream, target, rows="calls", overwrite=True)
        assert [(row["id"], row["legs"]) for row in rows_of(target.read_bytes())] == [("last", 2)]


@pytest.mark.parametrize(("hours", "whole"), [(2, True), (3, False), (5, False)])
async def test_a_call_that_goes_on_for_longer(
    make_client: MakeClient, tmp_path: Path, *, hours: int, whole: bool
) -> None:
    """A call that may have legs where none are fetched is an error, and never a row with a part."""
    legs = [
        call(f"{NEXT_DAY - MINUTE}", linkedid="long"),
        call(f"{NEXT_DAY}", end=f"{NEXT_DAY + hours * HOUR}", linkedid="long"),
        *([] if whole else [call(f"{NEXT_DAY + (hours + 1) * HOUR}", linkedid="long")]),
    ]
    client = make_client(Provider(legs))
    target = tmp_path / "calls.jsonl"
    stream = client.cdrs(DAY, NEXT_DAY, unique_by="leg")
    file = io.BytesIO()
    if whole:
        assert (await export(stream, target, rows="calls")).records == 1
        assert (await write(stream.again(), file, "jsonl", rows="calls")).records == 1
        return
    for written in (
        export(stream, target, rows="calls"),
        write(stream.again(), file, "jsonl", rows="calls"),
    ):
        with pytest.raises(LateLegError, match="still going on") as caught:
            await written
        assert caught.value.margin == 4 * HOUR
    assert not target.exists()
    assert len((await client.calls(DAY, NEXT_DAY))[0].legs) == 3


@pytest.mark.parametrize("form", ["jsonl", "xlsx"])
async def test_resumed_after_each_window(tmp_path: Path, form: Format) -> None:
    """Ended at any window, an export of calls is resumed to the file of one run without a break."""
    provider = Provider(generate_calls(DAY.date(), NEXT_DAY.date(), calls_per_day=100))
    expected = tmp_path / f"whole.{form}"
    arguments: dict[str, Any] = {"unique_by": "leg", "window": 4 * HOUR}
    async with connected(provider, retry=ONCE_MORE) as client:
        await export(client.cdrs(DAY, NEXT_DAY, **arguments), expected, rows="calls")
        for hours in (1, 5, 13, 23):
            target = tmp_path / f"calls-{hours}.{form}"
            stop = f"{DAY + hours * HOUR}"
            provider.faults = lambda got, stop=stop: (  # type: ignore[misc]
                Fault.refuse("no") if (got.datefrom or "") > stop else None
            )
            with pytest.raises(WindowError):
                await export(client.cdrs(DAY, NEXT_DAY, **arguments), target, rows="calls")
            left = unfinished(target)
            assert left is not None
            assert left.rows == "calls"
            provider.faults = []
            stream = client.cdrs(DAY, NEXT_DAY, **arguments)
            done = await export(stream, target, rows="calls", resume=True)
            assert done.resumed
            if form == "jsonl":
                assert target.read_bytes() == expected.read_bytes()
                assert done.records == len(rows_of(target.read_bytes()))
            else:
                assert sheet_cells(target.read_bytes()) == sheet_cells(expected.read_bytes())


async def test_windows_that_were_fetched_later(tmp_path: Path) -> None:
    """Legs of a window that failed stand last in the draft, and are in their calls all the same."""
    provider = Provider(generate_calls(DAY.date(), NEXT_DAY.date(), calls_per_day=200))
    provider.faults = lambda got: (
        Fault.refuse("no") if (got.datefrom or "").endswith("07:59:59") else None
    )
    target = tmp_path / "calls.jsonl"
    arguments: dict[str, Any] = {"unique_by": "leg", "window": HOUR, "on_error": "collect"}
    async with connected(provider, retry=ONCE_MORE) as client:
        with pytest.raises(IncompleteExportError):
            await export(client.cdrs(DAY, NEXT_DAY, **arguments), target, rows="calls")
        provider.faults = []
        stream = client.cdrs(DAY, NEXT_DAY, **arguments)
        await export(stream, target, rows="calls", resume=True)
        assert rows_of(target.read_bytes()) == dicts(await client.calls(DAY, NEXT_DAY))


@settings(max_examples=30)
@given(
    starts=st.lists(st.integers(-6 * 60, 30 * 60), min_size=1, max_size=30),
    calls=st.integers(1, 6),
    hours=st.integers(1, 12),
)
async def test_any_legs(starts: list[int], calls: int, hours: int) -> None:
    """Whatever the legs are, the file has what `group_calls` makes of all of them in the range."""
    legs = [
        # The legs of a call lie within an hour and a half.
        call(f"{DAY + timedelta(minutes=at)}", linkedid=f"{at // 90}-{number % calls}",
             sequence=f"{number}")
        for number, at in enumerate(starts)
    ]  # fmt: skip
    provider = Provider(legs)
    async with connected(provider) as client:
        with quick_folder() as folder:
            stream = client.cdrs(DAY, NEXT_DAY, unique_by="leg", window=hours * HOUR)
            await export(stream, folder / "calls.jsonl", rows="calls")
            found = rows_of((folder / "calls.jsonl").read_bytes())
        every = await client.cdrs(DAY - 12 * HOUR, NEXT_DAY + 12 * HOUR, unique_by="leg").to_list()
    inside = [one for one in group_calls(every) if DAY <= one.start.replace(tzinfo=None) < NEXT_DAY]
    assert found == dicts(inside)


async def test_calls_need_every_leg(client: BoxisClient, tmp_path: Path) -> None:
    """Without every leg a call is not whole, so that is refused before a request."""
    with pytest.raises(UsageError, match='unique_by="leg"'):
        await export(client.cdrs(DAY, NEXT_DAY), tmp_path / "calls.csv", rows="calls")
    with pytest.raises(UsageError, match='unique_by="leg"'):
        await write(client.cdrs(DAY, NEXT_DAY), io.BytesIO(), "csv", rows="calls")
    assert names(tmp_path) == set()


async def test_everything(client: BoxisClient, tmp_path: Path) -> None:
    """A stream without dates gives all calls."""
    target = tmp_path / "calls.jsonl"
    done = await export(client.cdrs(unique_by="leg"), target, rows="calls")
    assert done.records == 24


async def test_until_now(client: BoxisClient, tmp_path: Path) -> None:
    """A range without an end ends now, by the later of two clocks, for calls as well."""
    target = tmp_path / "calls.jsonl"
    window = timedelta(days=400)
    done = await export(client.cdrs(DAY, unique_by="leg", window=window), target, rows="calls")
    assert done.records == 24
