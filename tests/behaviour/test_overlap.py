"""Windows overlap by a second: no bound of the server loses a call, however a range was cut."""

# Naive datetimes here are the provider's wall clock.
# ruff: noqa: DTZ001

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from calls import DAY, HOUR, NEXT_DAY, SECOND, call, ids, ids_of
from choices import MODES, ORDERS
from clients import connected
from hypothesis import example, given, settings
from hypothesis import strategies as st
from resumes import kept

from boxis_async import Coverage, Window, WindowError
from boxis_async.export import export
from boxis_async.testing import DateRule, Fault, Provider

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from conftest import MakeClient

    from boxis_async import CDR, Batch
    from boxis_async.testing import Received

LAST = datetime(9999, 12, 31, 23, 59, 59)
FIRST = datetime(1, 1, 1)
NOON = DAY + 12 * HOUR
AUTUMN = datetime(2024, 10, 27, 2), datetime(2024, 10, 27, 3)
"""The hour that comes twice."""
SPRING = datetime(2024, 3, 31, 2), datetime(2024, 3, 31, 3)
"""The hour that never comes. A range that ends there is not sealed."""
# Ranges that begin within a minute of these: a quiet noon, and all edges of both clock changes.
BASES = (
    NOON,
    datetime(2024, 3, 31, 1, 59, 40),
    AUTUMN[0] - 20 * SECOND,
    AUTUMN[1] - 20 * SECOND,
)


@st.composite
def calls_around(draw: st.DrawFn, base: datetime) -> list[dict[str, str | None]]:
    """Draw calls of seconds within a minute, some of them long; back to front in autumn."""
    rows: list[dict[str, str | None]] = []
    for number in range(draw(st.integers(0, 12))):
        start = base + draw(st.integers(-5, 45)) * SECOND
        end = start + draw(st.one_of(st.integers(0, 4), st.integers(0, 60))) * SECOND
        if AUTUMN[0] <= start < AUTUMN[1] and draw(st.booleans()):
            end = max(AUTUMN[0], start - draw(st.integers(1, 60)) * SECOND)
        rows.append(call(f"{start}", f"a-{number}.1", end=f"{end}"))
    return rows


# Chains of resumes


@pytest.mark.slow
@pytest.mark.parametrize("clip", [None, "start"])
@pytest.mark.parametrize("rule", MODES, ids=str)
@settings(max_examples=settings.default.max_examples // 5)  # for each of 32 rules and clips
@given(data=st.data())
async def test_chains_of_resumes(rule: DateRule, clip: Any, data: st.DataObject) -> None:  # noqa: ANN401
    """Under every rule, parts of a range, each cut short and resumed, come to the whole of it.

    With `clip="start"` a range may grow at its end: what starts there was left out before.
    """
    base = data.draw(st.sampled_from(BASES))
    rows = data.draw(calls_around(base))
    length = data.draw(st.integers(0, 40))
    provider = Provider(rows, filter_mode=rule)
    places = st.integers(0, length)
    coverage: Coverage | None = None
    found: list[CDR] = []
    async with connected(provider) as client:
        for _ in range(data.draw(st.integers(0, 4))):
            low, high = sorted((data.draw(places), data.draw(places)))
            stream = client.cdrs(
                base if clip else base + low * SECOND,
                base + high * SECOND,
                window=data.draw(st.integers(1, 30)) * SECOND,
                order=data.draw(st.sampled_from(ORDERS)),
                clip=clip,
                resume=coverage,
            )
            left = data.draw(st.sampled_from((0, 1, 3, 100)))
            batches: list[Batch] = []
            async for batch in stream.batches():
                if not left:
                    break
                left -= 1
                batches.append(batch)
            await stream.aclose()
            coverage = Coverage.from_json(stream.coverage.to_json())
            found += kept(batches, coverage)
        end = base + length * SECOND
        window = data.draw(st.integers(1, 60)) * SECOND
        stream = client.cdrs(base, end, window=window, clip=clip, resume=coverage)
        found += await stream.to_list()
        assert stream.stats.covered == 1.0
        undivided = await client.cdrs(base, end, window=HOUR, clip=clip).to_list()
    if clip is None:
        assert Counter(ids(undivided)) == Counter(ids_of(provider.select(f"{base}", f"{end}")))
    assert Counter(ids(found)) == Counter(ids(undivided))
    if not any(
        AUTUMN[0] < moment < AUTUMN[1] or SPRING[0] <= moment < SPRING[1] for moment in (base, end)
    ):
        assert stream.coverage.sealed == (Window(base, end),)


@pytest.mark.parametrize(
    "rule",
    [
        DateRule("start", include_from=False),
        DateRule("start", include_to=False),
        DateRule("start", include_from=False, include_to=False),
        DateRule("overlap", include_to=False),
        DateRule("overlap", include_from=False, include_to=False),
    ],
    ids=str,
)
async def test_a_clipped_range_that_grows_at_its_end(
    make_client: MakeClient, rule: DateRule
) -> None:
    """The call at exactly the old end, which was left out, is there once."""
    rows = [call(f"{NOON - HOUR}", "before"), call(f"{NOON}", "edge"), call(f"{NOON + HOUR}", "on")]
    client = make_client(Provider(rows, filter_mode=rule))
    first = client.cdrs(DAY, NOON, clip="start")
    assert ids(await first.to_list()) == ["before"]
    assert first.coverage.sealed == (Window(DAY, NOON),)
    again = client.cdrs(DAY, NEXT_DAY, clip="start", resume=first.coverage)
    assert ids(await again.to_list()) == ["edge", "on"]
    assert again.coverage.sealed == (Window(DAY, NEXT_DAY),)


EITHER = [rule for rule in MODES if rule.by == "either"]


@pytest.mark.parametrize("rule", EITHER, ids=str)
async def test_a_long_call_across_merged_spans(make_client: MakeClient, rule: DateRule) -> None:
    """A call that comes with its first window and its last is known after the ones between."""
    long_call = call(f"{NOON + HOUR / 2}", "long", end=f"{NOON + 3.5 * HOUR}")
    client = make_client(Provider([long_call], filter_mode=rule))
    for done in range(1, 6):
        stream = client.cdrs(NOON, NOON + 5 * HOUR, window=HOUR)
        batches = stream.batches()
        first = [cdr for _ in range(done) for cdr in (await anext(batches)).cdrs]
        await anext(batches, None)
        await stream.aclose()
        coverage = Coverage.from_json(stream.coverage.to_json())
        assert [span.end for span in coverage.sealed] == [NOON + done * HOUR]
        again = client.cdrs(NOON, NOON + 5 * HOUR, window=HOUR, resume=coverage)
        assert ids(first) + ids(await again.to_list()) == ["long"]
        assert again.coverage.sealed == (Window(NOON, NOON + 5 * HOUR),)


@pytest.mark.parametrize("rule", EITHER, ids=str)
async def test_a_long_call_in_an_export(tmp_path: Path, rule: DateRule) -> None:
    """It stands once in a file that was broken off in the middle of it, and resumed."""
    long_call = call(f"{NOON + HOUR / 2}", "long", end=f"{NOON + 3.5 * HOUR}")
    provider = Provider([long_call], filter_mode=rule)
    target = tmp_path / "calls.jsonl"

    def third(received: Received) -> Fault | None:
        is_late = f"{received.dateto}" > f"{NOON + 2 * HOUR}"
        return Fault.refuse("no") if is_late else None

    provider.faults = third
    async with connected(provider) as client:
        stream = client.cdrs(NOON, NOON + 5 * HOUR, window=HOUR)
        with pytest.raises(WindowError):
            await export(stream, target)
        provider.faults = []
        whole = await export(stream, target, resume=True)
    assert whole.resumed
    assert target.read_text(encoding="utf-8").count("long") == 1


@pytest.mark.parametrize("rule", [rule for rule in MODES if rule.by == "overlap"], ids=str)
@pytest.mark.parametrize("window", [HOUR / 2, HOUR, 3 * HOUR])
async def test_a_call_that_ends_where_the_repeated_hour_begins(
    make_client: MakeClient, rule: DateRule, window: timedelta
) -> None:
    """From 02:30 of the first pass to exactly 02:00 of the second: there, in the whole or parts."""
    through = call("2024-10-27 02:30:00", "through", end="2024-10-27 02:00:00")
    client = make_client(Provider([through], filter_mode=rule))
    night = datetime(2024, 10, 27)
    stream = client.cdrs(night, night + 6 * HOUR, window=window)
    assert AUTUMN[0] in {planned.end for planned in stream.plan()} or window == 3 * HOUR
    assert ids(await stream.to_list()) == ["through"]
    first = client.cdrs(night, AUTUMN[0], window=window)
    found = ids(await first.to_list())
    rest = client.cdrs(night, night + 6 * HOUR, window=window, resume=first.coverage)
    assert found + ids(await rest.to_list()) == ["through"]
    assert rest.coverage.sealed == (Window(night, night + 6 * HOUR),)


# The smallest ranges and windows


@pytest.mark.slow
@pytest.mark.parametrize("rule", MODES, ids=str)
@pytest.mark.parametrize("start", [NOON, FIRST, LAST - 3 * SECOND], ids=str)
@given(seconds=st.integers(0, 3), window=st.integers(1, 4))
@example(seconds=0, window=1)
@example(seconds=3, window=1)
async def test_ranges_of_a_few_seconds(
    rule: DateRule, start: datetime, seconds: int, window: int
) -> None:
    """They give what one request gives, at both ends of time too, and are resumed."""
    end = start + seconds * SECOND
    rows = [
        call(f"{DAY}", f"a-{number}.1") | dict.fromkeys(("start", "answer", "end"), f"{moment}")
        for number, moment in enumerate(start + at * SECOND for at in range(4))
        if start == NOON  # no record is of the first year, or of the last
    ]
    provider = Provider(rows, filter_mode=rule)
    async with connected(provider) as client:
        stream = client.cdrs(start, end, window=window * SECOND, settle=timedelta(0))
        found = ids(await stream.to_list())
        assert sorted(found) == sorted(ids_of(provider.select(f"{start}", f"{end}")))
        assert stream.stats.covered == 1.0
        assert len(provider.requests) == len(stream.plan()) == max(1, -(-seconds // window))
        # The second that both have is dropped as a duplicate, and as nothing else.
        assert stream.stats.conflicts == stream.stats.revisions == 0
        coverage = Coverage.from_json(stream.coverage.to_json())
        assert await client.cdrs(start, end, resume=coverage).to_list() == (
            [] if coverage.sealed else await client.cdrs(start, end).to_list()
        )


async def test_the_end_of_time_is_resumed_at_its_edges(make_client: MakeClient) -> None:
    """A missing part at either end of time is asked for, and no second beyond it."""
    client = make_client(Provider())
    for start, end in ((FIRST, FIRST + 4 * SECOND), (LAST - 4 * SECOND, LAST)):
        middle = client.cdrs(start + SECOND, end - SECOND, settle=timedelta(0))
        await middle.to_list()
        missing = client.cdrs(start, end, settle=timedelta(0), resume=middle.coverage)
        if middle.coverage.sealed:
            assert list(missing.plan()) == [
                Window(start, start + 2 * SECOND),
                Window(end - 2 * SECOND, end),
            ]
        assert await missing.to_list() == []
        assert missing.stats.covered == 1.0


async def test_what_lies_between_spans_that_touch_is_missing(make_client: MakeClient) -> None:
    """Ranges that end and begin with one second are two spans, until that second is asked for."""
    edge = call(f"{NOON}", "edge", end=f"{NOON}")
    both_out = DateRule("start", include_from=False, include_to=False)
    client = make_client(Provider([edge], filter_mode=both_out))
    first = client.cdrs(DAY, NOON)
    assert await first.to_list() == []
    second = client.cdrs(NOON, NEXT_DAY, resume=first.coverage)
    assert await second.to_list() == []
    assert second.coverage.sealed == (Window(DAY, NOON), Window(NOON, NEXT_DAY))
    # A moment has no length: it joins nothing.
    moment = client.cdrs(NOON, NOON, resume=second.coverage)
    assert await moment.to_list() == []
    assert moment.coverage.sealed == second.coverage.sealed
    whole = client.cdrs(DAY, NEXT_DAY, resume=moment.coverage)
    assert list(whole.plan()) == [Window(NOON - SECOND, NOON + SECOND)]
    assert ids(await whole.to_list()) == ["edge"]
    assert whole.coverage.sealed == (Window(DAY, NEXT_DAY),)
    assert whole.stats.covered == 1.0


async def test_a_failure_between_spans_that_touch_is_not_covered(make_client: MakeClient) -> None:
    """Two seconds that failed, both of which their neighbours have as well, are not all covered."""
    failing = Window(DAY + SECOND, DAY + 3 * SECOND)

    def faults(received: Received) -> Fault | None:
        return Fault.refuse("no") if received.datefrom == f"{failing.start}" else None

    client = make_client(Provider(faults=faults))
    stream = client.cdrs(DAY, DAY + 10 * SECOND, window=SECOND, on_error="collect")
    assert await stream.to_list() == []
    assert stream.coverage.failed == (failing,)
    assert stream.stats.covered == 0.9
    again = client.cdrs(DAY, DAY + 10 * SECOND, resume=stream.coverage)
    assert list(again.plan()) == [failing]
