"""Coverage: what a run is done with, in a file, and a later run that fetches just the rest."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import partial
from hashlib import blake2b
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING

import attrs
import pytest
import time_machine
from calls import DAY, HOUR, MINUTE, NEXT_DAY, SECOND, call, hour, hourly, ids, ids_of
from choices import MODES, ORDERS
from clients import ONCE_MORE, connected
from consumers import take_into
from faults import failing_at
from hypothesis import example, given
from hypothesis import strategies as st
from keys import by_dst, by_src
from ledgers import NIGHTS, SPAN, ledgers
from resumes import is_within
from waiting import Gate, jitter

from boxis_async import (
    CDR,
    BoxisClient,
    Coverage,
    UsageError,
    Window,
    WindowError,
)
from boxis_async._run.coverage_builder import CoverageBuilder, Marks
from boxis_async.coverage import (
    Memory,
    RejectedSpan,
    SealedSpan,
    memory_of,
)
from boxis_async.testing import Fault, Provider, generate_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from conftest import MakeClient

    from boxis_async import CDRStream
    from boxis_async.types import Order, UniqueBy


def starts(provider: Provider) -> list[str]:
    """List when the windows began that were asked for, in order."""
    return sorted(received.datefrom or "" for received in provider.requests)


# What it says


async def test_before_the_first_item(provider: Provider, client: BoxisClient) -> None:
    """A stream that was not begun is done with nothing, and sends nothing to say so."""
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    assert stream.coverage.sealed == ()
    assert stream.coverage.failed == stream.coverage.empty == stream.coverage.unsealed == ()
    assert provider.requests == []


async def test_a_window_counts_with_the_item_after_it(client: BoxisClient) -> None:
    """A window is done with once the item after its last record is asked for, not before."""
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    done: list[tuple[Window, ...]] = []
    async for _ in stream:
        done.append(stream.coverage.sealed)  # noqa: PERF401 - as it was within the loop
    assert done == [(), *((hour(0, hours),) for hours in range(1, 24))]
    assert stream.coverage.sealed == (hour(0, 24),)


async def test_a_window_half_read_does_not_count(make_client: MakeClient) -> None:
    """A window of which some records were taken is not done with."""
    client = make_client(Provider(hourly(calls=3)))
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    for taken in range(1, 10):
        await anext(stream)
        whole = (taken - 1) // 3
        assert stream.coverage.sealed == ((hour(0, whole),) if whole else ())
    await stream.aclose()
    assert stream.coverage.sealed == (hour(0, 2),)


async def test_batches_count_alike(client: BoxisClient) -> None:
    """A batch counts once the next one is asked for."""
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    batches = stream.batches()
    for taken in range(24):
        assert stream.coverage.sealed == ((hour(0, taken - 1),) if taken > 1 else ())
        await anext(batches)
    with pytest.raises(StopAsyncIteration):
        await anext(batches)
    assert stream.coverage.sealed == (hour(0, 24),)


async def test_spans_are_merged(make_client: MakeClient) -> None:
    """Spans that meet are one; the empty and the failed ones are listed, merged as well."""
    rows = [row for row in hourly() if not "05" <= str(row["start"])[11:13] <= "07"]
    provider = Provider(rows, faults=failing_at(10, 11, 20))
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR, on_error="collect")
    await stream.to_list()
    coverage = stream.coverage
    assert coverage.sealed == (hour(0, 10), hour(12, 8), hour(21, 3))
    assert coverage.failed == (hour(10, 2), hour(20))
    assert coverage.empty == (hour(5, 3),)
    assert coverage.unsealed == ()
    assert len(stream.failures) == 3
    assert "failed=2" in repr(coverage)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_record_of_two_spans_reaches_as_far_as_in_either(order: tuple[int, int]) -> None:
    """Where two spans that are merged mark one record, the farther reach of the two counts."""
    builder = CoverageBuilder("x", b"key", None, carry_keys=False, overlap=2 * HOUR)
    mark = b"%048d" % 1
    spans = (Window(DAY, DAY + 3 * HOUR), Window(DAY + HOUR, DAY + 5 * HOUR))
    nearer, farther = DAY + 2 * HOUR, DAY + 3 * HOUR
    marks = (Marks({mark: DAY}, {mark: nearer}), Marks({mark: DAY + HOUR}, {mark: farther}))
    for number in order:
        builder.hand_over(spans[number], marks[number], is_sealed=True, is_empty=False)
    (sealed,) = memory_of(builder.coverage()).sealed
    assert (sealed.first, sealed.last) == ({mark: DAY}, {mark: farther})


@given(order=st.permutations(range(10)), count=st.integers(0, 10))
def test_any_order_of_spans(order: list[int], count: int) -> None:
    """In whatever order windows are handed over, the spans are the same, merged and sorted."""
    builder = CoverageBuilder("x", b"key", None, carry_keys=False)
    for number in order[:count]:
        window = hour(number)
        assert window.start is not None
        assert window.end is not None
        marks = Marks({b"%048d" % number: window.start}, {b"%048d" % (number + 100): window.end})
        builder.hand_over(window, marks, is_sealed=True, is_empty=False)
    coverage = builder.coverage()
    done = set(order[:count])
    covered = {
        number
        for window in coverage.sealed
        for number in range(10)
        if window.start is not None
        and window.end is not None
        and window.start <= DAY + number * HOUR
        and DAY + (number + 1) * HOUR <= window.end
    }
    assert covered == done
    assert coverage.sealed == tuple(sorted(coverage.sealed, key=lambda window: f"{window.start}"))
    for span in memory_of(coverage).sealed:
        first = (span.start + SECOND - DAY) // HOUR
        last = (span.end - DAY) // HOUR - 1
        assert Window(span.start, span.end) == hour(first, last + 1 - first)
        assert {first - 1, last + 1}.isdisjoint(done)
        # Only the outer edges are marked: what meets within is sealed on both sides.
        assert span.first == {b"%048d" % first: span.start}
        assert span.last == {b"%048d" % (last + 100): span.end}
    missing = coverage.missing(DAY, DAY + 10 * HOUR)
    # Each is a run of hours that were not handed over, but for the second that a sealed span has.
    runs: list[tuple[datetime, datetime]] = []
    for number in sorted(set(range(10)) - done):
        begin, end = DAY + number * HOUR, DAY + (number + 1) * HOUR
        if runs and runs[-1][1] == begin:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((begin, end))
    assert missing == [
        (begin, end if end == DAY + 10 * HOUR else end - SECOND) for begin, end in runs
    ]
    rest = sum((end - begin for begin, end in missing), timedelta())
    assert builder.share(DAY, DAY + 10 * HOUR) == (10 * HOUR - rest) / (10 * HOUR)


minutes = st.integers(0, 30)


@given(
    ends=st.lists(st.tuples(minutes, minutes).map(sorted), max_size=8),
    overlap=st.sampled_from([1 / 60, 1, 4, 60]),
)
def test_spans_of_any_length_in_any_order(ends: list[list[int]], overlap: float) -> None:
    """Whatever is handed over lies within one of the spans, and no span within another.

    Also spans that are shorter than windows overlap, as a range of some minutes is under a contract
    that knows of calls of an hour.
    """
    builder = CoverageBuilder("x", b"key", None, carry_keys=False, overlap=overlap * MINUTE)
    windows = [Window(DAY + first * MINUTE, DAY + last * MINUTE) for first, last in ends]
    for window in windows:
        builder.hand_over(window, Marks(), is_sealed=True, is_empty=False)
    sealed = [(span.start, span.end) for span in memory_of(builder.coverage()).sealed]
    for (start, end), (next_start, next_end) in pairwise(sealed):
        assert start < next_start
        assert end < next_end
        assert end - next_start < overlap * MINUTE
    for window in windows:
        assert window.start is not None
        assert window.end is not None
        assert any(start <= window.start and window.end <= end for start, end in sealed)
    missing = builder.coverage().missing(DAY, DAY + 30 * MINUTE)
    assert len(set(missing)) == len(missing)


# To and from JSON


a_mark = st.binary(min_size=48, max_size=48)
marks = st.frozensets(a_mark, max_size=3)
moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0)
)
ends = st.tuples(moments, moments).map(sorted)
reaches = st.dictionaries(a_mark, moments, max_size=3)
spans = st.builds(lambda ends, *edges: SealedSpan(*ends, *edges), ends, reaches, reaches)
rejected_spans = st.builds(lambda ends, marks: RejectedSpan(*ends, marks), ends, marks)
windows = st.lists(ends.map(lambda ends: Window(*ends)), max_size=3).map(tuple)
coverages = st.builds(
    Coverage,
    st.text(st.characters(exclude_categories=["Cs"])),
    windows,
    windows,
    windows,
    memory=st.builds(
        Memory,
        st.lists(spans, max_size=3).map(tuple),
        st.binary(max_size=16),
        marks,
        st.lists(rejected_spans, max_size=3).map(tuple),
    ),
)


@given(coverages)
def test_json_and_back(coverage: Coverage) -> None:
    """What is written is read back the same."""
    assert Coverage.from_json(coverage.to_json()) == coverage
    json.loads(coverage.to_json())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["version", "sealed", "unsealed", "rejected", "key", "marks", "checksum"]
            )
            | st.text(max_size=3),
            inner,
            max_size=6,
        )
    ),
    max_leaves=10,
)


@given(st.one_of(st.text(max_size=30), JSON.map(json.dumps)))
@example("")
@example("null")
@example("[" * 100_000)
@example("9" * 5000)
@example('{"version": 5}')
def test_what_is_no_coverage(text: str) -> None:
    """What to_json did not write is refused in words."""
    with pytest.raises(UsageError, match="coverage"):
        Coverage.from_json(text)


GOOD = {
    "version": 5,
    "fingerprint": "x",
    "sealed": [["2024-03-05 00:00:00", "2024-03-06 00:00:00", "", ""]],
    "unsealed": [["2024-03-05 00:00:00", "2024-03-06 00:00:00"]],
    "empty": [],
    "failed": [],
    "rejected": [["2024-03-05 00:00:00", "2024-03-06 00:00:00", ""]],
    "key": "00ff",
    "marks": "",
}


def written(content: dict[str, object]) -> str:
    """Write a coverage by hand, with the sum that belongs to it."""
    text = json.dumps(content, sort_keys=True).encode()
    return json.dumps(content | {"checksum": blake2b(text, digest_size=16).hexdigest()})


@given(name=st.sampled_from(sorted(GOOD)), value=JSON)
def test_a_spoiled_part(name: str, value: object) -> None:
    """A part that is something else is refused, or the whole can be written again."""
    try:
        coverage = Coverage.from_json(written(GOOD | {name: value}))
    except UsageError:
        return
    assert Coverage.from_json(coverage.to_json()) == coverage


@pytest.mark.parametrize(
    "spoiled",
    [
        {"version": 1},
        {"version": 4},
        {"version": "5"},
        {"version": None},
        {"sealed": [["2024-03-05 00:00:00", "2024-03-06 00:00:00", ""]]},
        {"sealed": [["2024-03-05", "2024-03-06 00:00:00", "", ""]]},
        {"sealed": [["2024-02-30 00:00:00", "2024-03-06 00:00:00", "", ""]]},
        {"sealed": [["2024-03-05 00:00:00", "2024-03-06 00:00:00", "AAAA", ""]]},
        {"sealed": [["2024-03-05 00:00:00", "2024-03-06 00:00:00", "?", ""]]},
        {"sealed": None},
        {"failed": [["2024-03-05 00:00:00"]]},
        {"failed": [[None, None]]},
        {"unsealed": [["2024-03-06 00:00:00", "2024-03-05 00:00:00"]]},
        {"sealed": [["2024-03-06 00:00:00", "2024-03-05 00:00:00", "", ""]]},
        {"rejected": None},
        {"rejected": [["2024-03-05 00:00:00", "2024-03-06 00:00:00"]]},
        {"rejected": [["2024-03-06 00:00:00", "2024-03-05 00:00:00", ""]]},
        {"rejected": [["2024-03-05 00:00:00", "2024-03-06 00:00:00", "AAAA"]]},
        {"key": 5},
        {"key": "é"},
        {"key": "00" * 65},
        {"version": float("nan")},
        {"version": 10**400},
        {"version": "5" * 100_000},
        {"sealed": [["9999-12-31 23:59:59", "10000-01-01 00:00:00", "", ""]]},
        {"sealed": [["2024-03-05 00:00:00", "2024-03-06 00:00:00", "", "A" * 76]]},
        {"empty": [[float("nan"), float("inf")]]},
        {"failed": [[10**18, 10**19]]},
        {"sealed": {"a": "b"}},
        {"marks": 5},
        {"marks": "é"},
    ],
    ids=str,
)
def test_a_foreign_version(spoiled: dict[str, object]) -> None:
    """Another version, a cut mark, a date that is none: each is refused."""
    assert Coverage.from_json(written(GOOD)).sealed == (Window(DAY, NEXT_DAY),)
    with pytest.raises(UsageError, match=r"(?s)coverage.*: fetch the range anew") as caught:
        Coverage.from_json(written(GOOD | spoiled))
    assert len(str(caught.value)) < 500


@given(at=st.integers(min_value=0), digit=st.sampled_from("0123456789"))
def test_a_changed_digit(at: int, digit: str) -> None:
    """A coverage of which one character was changed is refused, or means the same."""
    text = written(GOOD)
    at %= len(text)
    changed = text[:at] + digit + text[at + 1 :]
    if changed == text:
        return
    with pytest.raises(UsageError, match="coverage"):
        Coverage.from_json(changed)


@st.composite
def spoiled_texts(draw: st.DrawFn, text: str) -> str:
    """Draw what becomes of a text: a part of it is lost, comes twice, or is something else."""
    begin, end = sorted(draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    other = draw(
        st.one_of(
            st.just(text[begin:end] * 2),
            st.text(max_size=3),
            st.sampled_from(["NaN", "1e999", "9" * 5000, "[" * 2000, "null", '"sealed":[],', "{}"]),
        )
    )
    return text[:begin] + other + text[draw(st.sampled_from([begin, end])) :]


@given(coverages, st.data())
def test_whatever_becomes_of_it(coverage: Coverage, data: st.DataObject) -> None:
    """Whatever is lost or changed of a coverage, it is refused with what to do, or the same."""
    text = data.draw(spoiled_texts(coverage.to_json()))
    problem = ""
    try:
        assert Coverage.from_json(text) == coverage
    except UsageError as error:
        problem = str(error)
    assert not problem or "fetch the range anew" in problem
    assert len(problem) < 500


def test_many_spans() -> None:
    """A coverage of very many spans is read, resumed and written in no more time than they take."""
    start = datetime(2024, 1, 1)  # noqa: DTZ001 - the provider's wall clock
    many = [Window(start + 2 * n * HOUR, start + (2 * n + 1) * HOUR) for n in range(20_000)]
    builder = CoverageBuilder("x", b"key", None, carry_keys=False)
    for window in many:
        builder.hand_over(window, Marks(), is_sealed=True, is_empty=True)
    coverage = Coverage.from_json(builder.coverage().to_json())
    began = time.process_time()
    resumed = CoverageBuilder("x", b"key", coverage, carry_keys=False)
    assert resumed.coverage() == coverage
    # To compare each empty window with each sealed one took a minute.
    assert time.process_time() - began < 10


def test_an_earlier_version() -> None:
    """A coverage of an earlier version is refused with what to do."""
    with pytest.raises(UsageError, match=r"version 4, .* fetch the range anew"):
        Coverage.from_json(written(GOOD | {"version": 4}))


@pytest.mark.parametrize("text", [None, 5, ["x"]])
def test_what_is_no_text(text: object) -> None:
    """So is what is no text at all."""
    with pytest.raises(UsageError, match="coverage"):
        Coverage.from_json(text)  # type: ignore[arg-type]


# Whose it is


class Keyed:
    """A key function that is an object."""

    def __call__(self, cdr: CDR) -> str:
        return cdr.uniqueid


@pytest.mark.parametrize(
    ("client_settings", "asked"),
    [
        ({}, {"tenant": "VOICE-1-1"}),
        ({"tenant": "VOICE-1-1"}, {}),
        ({"timezone": "Europe/London"}, {}),
        ({}, {"unique_by": "leg"}),
        ({}, {"unique_by": by_dst}),
        ({}, {"clip": "start"}),
    ],
    ids=["tenant", "client's tenant", "timezone", "leg", "function", "clip"],
)
async def test_another_querys_coverage_is_refused(
    provider: Provider,
    make_client: MakeClient,
    client_settings: dict[str, str],
    asked: dict[str, str],
) -> None:
    """A coverage of another tenant, zone, key rule or filter is refused at once."""
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR)
    await stream.to_list()
    other = make_client(provider, **client_settings)
    with pytest.raises(UsageError, match="another query"):
        other.cdrs(DAY, NEXT_DAY, resume=stream.coverage, **asked)  # type: ignore[arg-type]
    assert len(provider.requests) == 24


async def test_another_functions_coverage_is_refused(client: BoxisClient) -> None:
    """Of two key functions, each has its own coverage."""
    stream = client.cdrs(DAY, NEXT_DAY, unique_by=by_dst)
    await stream.to_list()
    with pytest.raises(UsageError, match="another query"):
        client.cdrs(DAY, NEXT_DAY, unique_by=by_src, resume=stream.coverage)
    assert (
        await client.cdrs(DAY, NEXT_DAY, unique_by=by_dst, resume=stream.coverage).to_list() == []
    )


@pytest.mark.parametrize(
    "unique_by",
    [attrgetter("uniqueid"), Keyed(), Keyed().__call__, partial(by_src), lambda cdr: cdr.uniqueid],
    ids=["attrgetter", "object", "method", "partial", "lambda"],
)
async def test_any_callable_is_a_key(
    client: BoxisClient, unique_by: Callable[[CDR], Hashable]
) -> None:
    """A key may be any callable, one without a name of its own too."""
    stream = client.cdrs(DAY, NEXT_DAY, unique_by=unique_by)
    found = await stream.to_list()
    assert found
    again = client.cdrs(DAY, NEXT_DAY, unique_by=unique_by, resume=stream.coverage)
    assert await again.to_list() == []


async def test_another_lambda_is_another_key(client: BoxisClient) -> None:
    """Two functions without a name of their own are told apart by what they do."""
    first, second = (lambda cdr: cdr.src), (lambda cdr: cdr.dst)
    stream = client.cdrs(DAY, NEXT_DAY, unique_by=first)
    await stream.to_list()
    with pytest.raises(UsageError, match="another query"):
        client.cdrs(DAY, NEXT_DAY, unique_by=second, resume=stream.coverage)


async def test_what_may_differ(provider: Provider, client: BoxisClient) -> None:
    """Window, order, limits and the range itself may be others when going on."""
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    await anext(stream)
    await anext(stream)
    await stream.aclose()
    further = client.cdrs(
        DAY - HOUR,
        NEXT_DAY + HOUR,
        window=7 * HOUR,
        order="completion",
        row_limit=1000,
        on_error="collect",
        settle=timedelta(0),
        carry_keys=True,
        resume=stream.coverage,
    )
    found = await further.to_list()
    assert sorted(ids(found)) == sorted(ids_of(provider.select()[1:]))
    assert further.coverage.sealed == (Window(DAY - HOUR, NEXT_DAY + HOUR),)


@pytest.mark.parametrize("resume", ["{}", 5, {}, [Window(DAY, NEXT_DAY)]])
def test_what_is_no_coverage_to_resume(client: BoxisClient, resume: object) -> None:
    """Something else than a coverage is refused by the name of the argument."""
    with pytest.raises(UsageError, match="resume"):
        client.cdrs(DAY, NEXT_DAY, resume=resume)  # type: ignore[arg-type]


async def test_everything_cannot_be_resumed(client: BoxisClient) -> None:
    """A request without dates has no coverage to go on from."""
    stream = client.cdrs()
    assert len(await stream.to_list()) == 24
    assert stream.coverage.sealed == ()
    with pytest.raises(UsageError, match="datefrom"):
        client.cdrs(resume=stream.coverage)


# Going on


async def test_nothing_is_missing(provider: Provider, client: BoxisClient) -> None:
    """A range that is sealed is not asked for again; the stream ends at once, complete."""
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    await stream.to_list()
    provider.reset()
    for datefrom, dateto in ((DAY, NEXT_DAY), (DAY + HOUR, DAY + 2 * HOUR), (DAY, DAY)):
        again = client.cdrs(datefrom, dateto, resume=stream.coverage)
        assert await again.to_list() == []
        assert [batch async for batch in again.batches()] == []
        assert again.stats.requests == 0
        assert again.stats.covered == 1.0
        assert len(again.plan()) == 0
        assert again.coverage.sealed == (Window(DAY, NEXT_DAY),)
    assert provider.requests == []


async def test_just_what_failed(make_client: MakeClient) -> None:
    """Going on after collected failures asks for exactly these."""
    provider = Provider(hourly(), faults=failing_at(3, 4, 20))
    client = make_client(provider)
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR, on_error="collect")
    first = await stream.to_list()
    assert len(stream.failures) == 3
    provider.faults = lambda _: None
    provider.reset()
    again = client.cdrs(
        DAY, NEXT_DAY, window=HOUR, resume=Coverage.from_json(stream.coverage.to_json())
    )
    second = await again.to_list()
    assert starts(provider) == [f"{hour(number).start}" for number in (3, 4, 20)]
    assert sorted(ids(first + second)) == sorted(ids_of(provider.select()))
    assert again.coverage.sealed == (Window(DAY, NEXT_DAY),)
    assert again.coverage.failed == ()
    assert again.stats.covered == 1.0


async def test_after_an_error(make_client: MakeClient) -> None:
    """Going on after an error begins at the window that failed."""
    provider = Provider(hourly(), faults=failing_at(9))
    client = make_client(provider)
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    found: list[CDR] = []
    with pytest.raises(WindowError):
        await take_into(found, stream)
    provider.faults = lambda _: None
    provider.reset()
    found += await client.cdrs(DAY, NEXT_DAY, window=HOUR, resume=stream.coverage).to_list()
    assert ids(found) == ids_of(provider.select())
    assert starts(provider) == [f"{hour(number).start}" for number in range(9, 24)]


@pytest.mark.parametrize("order", ORDERS)
async def test_calls_on_the_edges(make_client: MakeClient, order: Order) -> None:
    """A call on a boundary that a sealed window shares with a missing one comes once."""
    rows = [call(f"{DAY + number * HOUR}", end=f"{DAY + number * HOUR}") for number in range(25)]
    provider = Provider(rows, filter_mode="overlap")
    client = make_client(provider)
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR, order=order)
    kept: list[CDR] = []
    batches = stream.batches()
    for _ in range(7):
        kept += (await anext(batches)).cdrs
    # Another is asked for, so that the seventh counts; it is not written, and so not kept.
    await anext(batches)
    await stream.aclose()
    again = client.cdrs(DAY, NEXT_DAY, window=HOUR, order=order, resume=stream.coverage)
    kept += await again.to_list()
    assert sorted(ids(kept)) == sorted(ids_of(rows))
    assert again.stats.duplicates > 0


# Killed anywhere


class Consumer:
    """Writes batches down, and after a crash keeps what its last checkpoint covers."""

    def __init__(self) -> None:
        self.written: list[tuple[Window | None, tuple[CDR, ...]]] = []
        self._length = 0
        self._coverage: str | None = None

    def checkpoint(self, stream: CDRStream) -> None:
        self._coverage = stream.coverage.to_json()
        self._length = len(self.written)

    def crash(self) -> Coverage | None:
        """Forget what came since the checkpoint, and what will come again."""
        coverage = None if self._coverage is None else Coverage.from_json(self._coverage)
        sealed = () if coverage is None else coverage.sealed
        self.written = [
            (window, cdrs)
            for window, cdrs in self.written[: self._length]
            if window is None or any(is_within(window, span) for span in sealed)
        ]
        self._length = len(self.written)
        return coverage

    @property
    def cdrs(self) -> list[CDR]:
        return [cdr for _, cdrs in self.written for cdr in cdrs]


def whole(cdr: CDR) -> tuple[str, ...]:
    return tuple(f"{value}" for value in attrs.astuple(cdr))


def by_uniqueid_and_start(cdr: CDR) -> Hashable:
    return (cdr.uniqueid, f"{cdr.start:%F %T}")


RULES: dict[str, UniqueBy] = {
    "uniqueid": "uniqueid",
    "leg": "leg",
    "function": by_uniqueid_and_start,
}


def alike(cdr: CDR, rule: str) -> Hashable:
    """Give what makes a record the same under a rule."""
    if rule == "function":
        return by_uniqueid_and_start(cdr)
    if not cdr.uniqueid:
        return whole(cdr)
    if rule == "uniqueid":
        return cdr.uniqueid
    if cdr.sequence is not None:
        return (cdr.uniqueid, cdr.sequence)
    return (cdr.uniqueid, f"{cdr.start:%F %T}", cdr.channel, cdr.dstchannel)


async def read_in_pieces(  # noqa: PLR0913 - all that may differ
    provider: Provider,
    datefrom: datetime,
    dateto: datetime,
    *,
    rule: str,
    turns: random.Random,
    carry_keys: bool,
    by_record: bool,
    settle: timedelta = timedelta(hours=24),
    row_limit: int | None = None,
) -> Consumer:
    """Read a range, cut short at random and resumed, until it is done."""
    consumer = Consumer()
    length = max(1, int((dateto - datefrom).total_seconds()))
    for _ in range(60):
        resume = consumer.crash()
        async with connected(provider, retry=ONCE_MORE, concurrency=turns.randint(1, 8)) as client:
            stream = client.cdrs(
                datefrom,
                dateto,
                window=timedelta(seconds=turns.randint(-(-length // 12), length)),
                order=turns.choice(ORDERS),
                unique_by=RULES[rule],
                on_error=turns.choice(("raise", "collect")),
                resume=resume,
                carry_keys=carry_keys,
                settle=settle,
                row_limit=row_limit,
            )
            left = turns.choice((1, 2, 3, 5, 1000))
            if by_record:
                is_done = await take_records(stream, consumer, left)
            else:
                is_done = await take_batches(stream, consumer, left, turns)
            is_done = not stream.failures and is_done
            await stream.aclose()
            if is_done:
                return consumer
    raise AssertionError("it never ended")


async def take_batches(
    stream: CDRStream, consumer: Consumer, left: int, turns: random.Random
) -> bool:
    """Write batches, with a checkpoint now and then; tell whether that was all."""
    async for batch in stream.batches():
        # Asked for the next one: what is written is covered.
        if turns.random() < 0.7:
            consumer.checkpoint(stream)
        if not left:
            return False
        left -= 1
        consumer.written.append((batch.window, batch.cdrs))
    consumer.checkpoint(stream)
    return True


async def take_records(stream: CDRStream, consumer: Consumer, left: int) -> bool:
    """Write record by record, with a checkpoint where more is covered; tell whether that was all.

    What is unsealed will come again, so nothing behind it is kept.
    """
    before = stream.coverage
    async for cdr in stream:
        if stream.coverage != before and not stream.coverage.unsealed:
            # What was written before this record is covered.
            before = stream.coverage
            consumer.checkpoint(stream)
        if not left:
            return False
        left -= 1
        consumer.written.append((None, (cdr,)))
    return True


@pytest.mark.slow
@given(data=st.data())
async def test_killed_anywhere(data: st.DataObject) -> None:
    """Cut short anywhere, and resumed, until it is done: each key once, and none lost."""
    night = data.draw(st.sampled_from(NIGHTS))
    rows = data.draw(ledgers(night))
    mode = data.draw(st.sampled_from(MODES))
    rule = data.draw(st.sampled_from(sorted(RULES)))
    turns = random.Random(data.draw(st.integers(0, 2**32)))
    provider = Provider(rows, filter_mode=mode, gate=jitter(turns))
    datefrom, dateto = night + 600 * SECOND, night + SPAN - 600 * SECOND
    consumer = await read_in_pieces(
        provider,
        datefrom,
        dateto,
        rule=rule,
        turns=turns,
        carry_keys=True,
        by_record=data.draw(st.booleans()),
    )
    assert_each_once(consumer, await at_once(provider, datefrom, dateto, rule), rule)


async def at_once(provider: Provider, datefrom: datetime, dateto: datetime, rule: str) -> list[CDR]:
    """Read the range in one window."""
    provider.gate = None
    async with connected(provider) as client:
        return await client.cdrs(
            datefrom, dateto, window=dateto - datefrom, unique_by=RULES[rule]
        ).to_list()


def assert_each_once(consumer: Consumer, undivided: list[CDR], rule: str) -> None:
    found = Counter(alike(cdr, rule) for cdr in consumer.cdrs)
    expected = Counter(alike(cdr, rule) for cdr in undivided)
    assert found - expected == Counter(), "handed over twice, or never sent"
    assert expected - found == Counter(), "lost"


@pytest.mark.slow
@given(data=st.data())
async def test_killed_anywhere_without_the_keys(data: st.DataObject) -> None:
    """The marks of the edges alone are enough where no key has two contents."""
    night = data.draw(st.sampled_from(NIGHTS))
    drawn = data.draw(ledgers(night))
    mode = data.draw(st.sampled_from(MODES))
    rule = data.draw(st.sampled_from(sorted(RULES)))
    # Copies, yes; but what differs has another name.
    names: dict[tuple[str | None, ...], str] = {}
    rows = [
        row | {"uniqueid": names.setdefault(tuple(row.values()), f"a-{len(names)}.1")}
        for row in drawn
    ]
    turns = random.Random(data.draw(st.integers(0, 2**32)))
    provider = Provider(rows, filter_mode=mode, gate=jitter(turns))
    datefrom, dateto = night + 600 * SECOND, night + SPAN - 600 * SECOND
    consumer = await read_in_pieces(
        provider,
        datefrom,
        dateto,
        rule=rule,
        turns=turns,
        carry_keys=False,
        by_record=data.draw(st.booleans()),
    )
    assert_each_once(consumer, await at_once(provider, datefrom, dateto, rule), rule)


@pytest.mark.slow
@given(data=st.data())
async def test_killed_anywhere_at_the_horizon(data: st.DataObject) -> None:
    """The same holds where a part of the range is too young to be sealed."""
    night = NIGHTS[0]
    rows = data.draw(ledgers(night))
    mode = data.draw(st.sampled_from(MODES))
    rule = data.draw(st.sampled_from(sorted(RULES)))
    turns = random.Random(data.draw(st.integers(0, 2**32)))
    provider = Provider(rows, filter_mode=mode, gate=jitter(turns))
    datefrom, dateto = night, night + SPAN
    # In winter the wall clock is an hour ahead of UTC.
    now = (night + data.draw(st.integers(0, 16)) * 900 * SECOND - HOUR).replace(tzinfo=UTC)
    with time_machine.travel(now + 24 * HOUR, tick=False):
        consumer = await read_in_pieces(
            provider,
            datefrom,
            dateto,
            rule=rule,
            turns=turns,
            carry_keys=data.draw(st.booleans())
            or len({row["uniqueid"] for row in rows}) < len(rows),
            by_record=data.draw(st.booleans()),
        )
        assert_each_once(consumer, await at_once(provider, datefrom, dateto, rule), rule)


@pytest.mark.slow
@given(data=st.data())
async def test_ranges_that_grow(data: st.DataObject) -> None:
    """Parts of a range in any order, each gone on from the last, come to the whole range."""
    night = data.draw(st.sampled_from(NIGHTS))
    rows = [
        row | {"uniqueid": f"a-{number}.1"} for number, row in enumerate(data.draw(ledgers(night)))
    ]
    provider = Provider(rows, filter_mode=data.draw(st.sampled_from(MODES)))
    ends = st.integers(0, 16).map(lambda quarter: night + 900 * quarter * SECOND)
    parts = [sorted(data.draw(st.tuples(ends, ends))) for _ in range(data.draw(st.integers(0, 4)))]
    coverage: Coverage | None = None
    found: list[CDR] = []
    async with connected(provider) as client:
        for datefrom, dateto in [*parts, (night, night + SPAN)]:
            stream = client.cdrs(datefrom, dateto, window=HOUR, unique_by="leg", resume=coverage)
            batches = [batch async for batch in stream.batches()]
            coverage = Coverage.from_json(stream.coverage.to_json())
            # A part that ends within the repeated hour is not sealed there, and comes again.
            for batch in batches:
                if any(is_within(batch.window, span) for span in coverage.sealed):
                    found += batch.cdrs
    expected = provider.select(f"{night}", f"{night + SPAN}")
    assert sorted(ids(found)) == sorted(ids_of(expected))
    assert coverage is not None
    assert coverage.sealed == (Window(night, night + SPAN),)


async def test_what_an_unsealed_window_shares(make_client: MakeClient) -> None:
    """A window that shares a call with one that will come again is not sealed without it."""
    long_call = call("2024-10-27 02:15:00", end="2024-10-27 03:30:00")
    client = make_client(Provider([long_call], filter_mode="overlap"))
    night = datetime(2024, 10, 27)  # noqa: DTZ001 - the wall clock
    coverage, found = None, 0
    for begin, end in ((2.25, 3.5), (1, 3.25), (1, 6)):
        stream = client.cdrs(night + begin * HOUR, night + end * HOUR, window=HOUR, resume=coverage)
        batches = [batch async for batch in stream.batches()]
        coverage = stream.coverage
        found += sum(
            len(batch.cdrs)
            for batch in batches
            if any(is_within(batch.window, span) for span in coverage.sealed)
        )
    assert found == 1


async def test_a_part_that_ends_in_the_repeated_hour(make_client: MakeClient) -> None:
    """A call that ends, on the wall, before it began is in the whole, and in neither part."""
    night = datetime(2024, 10, 27)  # noqa: DTZ001 - the wall clock
    through = call("2024-10-27 02:50:00", end="2024-10-27 02:10:00")
    client = make_client(Provider([through], filter_mode="overlap"))
    parted = night + 2.5 * HOUR
    for begin, end in ((night, parted), (parted, night + 5 * HOUR)):
        part = client.cdrs(begin, end)
        assert await part.to_list() == []
        whole_night = client.cdrs(night, night + 5 * HOUR, resume=part.coverage)
        assert len(await whole_night.to_list()) == 1
        assert whole_night.coverage.sealed == (Window(night, night + 5 * HOUR),)


@pytest.mark.slow
async def test_a_month_killed_often() -> None:
    """A month of believable calls in pieces, with faults, is the month at once."""
    rows = generate_calls(date(2024, 10, 13), date(2024, 11, 3), calls_per_day=15, seed=3)
    datefrom, dateto = datetime(2024, 10, 15), datetime(2024, 11, 1)  # noqa: DTZ001
    for seed, mode in enumerate(MODES):
        turns = random.Random(seed)
        provider = Provider(rows, filter_mode=mode, gate=jitter(turns))
        provider.faults = lambda _, turns=turns: (  # type: ignore[misc]
            Fault.cut() if turns.random() < 0.1 else None
        )
        consumer = await read_in_pieces(
            provider,
            datefrom,
            dateto,
            rule="leg",
            turns=turns,
            carry_keys=False,
            by_record=False,
        )
        provider.faults = lambda _: None
        undivided = await at_once(provider, datefrom, dateto, "leg")
        assert len(undivided) > 250
        assert_each_once(consumer, undivided, "leg")


# What is too young to be at rest


NOW = datetime(2024, 3, 6, 13, 30, tzinfo=UTC)
"""14:30 on the wall: what ended by 14:30 of the day before is a day old."""


async def test_windows_are_cut_at_the_horizon(make_client: MakeClient) -> None:
    """A window is sealed only when it ended a day ago: the horizon is a boundary."""
    provider = Provider(hourly())
    client = make_client(provider)
    with time_machine.travel(NOW, tick=False):
        stream = client.cdrs(DAY, NEXT_DAY, window=6 * HOUR)
        horizon = DAY + timedelta(hours=14, minutes=30)
        assert [(window.start, window.end) for window in stream.plan()] == [
            (DAY, DAY + 6 * HOUR),
            (DAY + 6 * HOUR - SECOND, DAY + 12 * HOUR),
            (DAY + 12 * HOUR - SECOND, horizon),
            (horizon - SECOND, horizon + 6 * HOUR),
            (horizon + 6 * HOUR - SECOND, NEXT_DAY),
        ]
        found = await stream.to_list()
    assert ids(found) == ids_of(provider.select())
    assert stream.coverage.sealed == (Window(DAY, horizon),)
    assert stream.coverage.unsealed == (Window(horizon - SECOND, NEXT_DAY),)
    assert stream.stats.covered == 1.0


async def test_what_is_unsealed_is_fetched_again(make_client: MakeClient) -> None:
    """Going on fetches what was too young, with what has been written since, and nothing else."""
    provider = Provider(hourly())
    client = make_client(provider)
    horizon = DAY + timedelta(hours=14, minutes=30)
    with time_machine.travel(NOW, tick=False):
        stream = client.cdrs(DAY, NEXT_DAY, window=6 * HOUR)
        await stream.to_list()
        provider.reset()
        provider.add(call(f"{DAY + 15 * HOUR}", "late"))
        again = client.cdrs(DAY, NEXT_DAY, window=6 * HOUR, resume=stream.coverage)
        found = await again.to_list()
    assert starts(provider) == [f"{horizon - SECOND}", f"{horizon + 6 * HOUR - SECOND}"]
    # Of 14:30 itself the sealed side has told.
    expected = [row for row in provider.select() if str(row["start"]) > f"{horizon}"]
    assert sorted(ids(found)) == sorted(ids_of(expected))
    assert "late" in ids(found)
    assert again.coverage.unsealed == (Window(horizon - SECOND, NEXT_DAY),)
    provider.reset()
    # Two days later all is at rest.
    last = client.cdrs(DAY, NEXT_DAY, window=6 * HOUR, resume=again.coverage)
    assert sorted(ids(await last.to_list())) == sorted(ids_of(expected))
    assert last.coverage.sealed == (Window(DAY, NEXT_DAY),)
    assert last.coverage.unsealed == ()


@pytest.mark.parametrize(
    ("settle", "sealed"),
    [
        (timedelta(0), NEXT_DAY),
        (timedelta(hours=24), DAY + timedelta(hours=14, minutes=30)),
        (timedelta(hours=30), DAY + timedelta(hours=8, minutes=30)),
        (timedelta(days=30), None),
    ],
)
async def test_settle(make_client: MakeClient, settle: timedelta, sealed: datetime | None) -> None:
    """How long records take to come to rest is a setting; nothing at rest, nothing sealed."""
    client = make_client(Provider(hourly()))
    with time_machine.travel(NOW, tick=False):
        stream = client.cdrs(DAY, NEXT_DAY, window=HOUR, settle=settle)
        assert len(await stream.to_list()) == 24
    assert stream.coverage.sealed == (() if sealed is None else (Window(DAY, sealed),))


@pytest.mark.parametrize("settle", [timedelta(-1), 5, None])
def test_settle_is_checked(client: BoxisClient, settle: object) -> None:
    """A settling time is a timedelta, zero or more."""
    with pytest.raises(UsageError, match="settle"):
        client.cdrs(DAY, NEXT_DAY, settle=settle)  # type: ignore[arg-type]


async def test_the_horizon_in_the_repeated_hour(make_client: MakeClient) -> None:
    """While an hour comes the second time, none of it is sealed."""
    provider = Provider([call("2024-10-27 02:10:00"), call("2024-10-27 01:50:00")])
    client = make_client(provider)
    with time_machine.travel(datetime(2024, 10, 27, 1, 30, tzinfo=UTC), tick=False):
        stream = client.cdrs(date(2024, 10, 27), date(2024, 10, 28), settle=timedelta(0))
        assert len(await stream.to_list()) == 2
    assert [window.end for window in stream.coverage.sealed] == [
        datetime(2024, 10, 27, 2)  # noqa: DTZ001 - the wall clock
    ]


async def test_the_horizon_is_the_providers(make_client: MakeClient) -> None:
    """Where our clock is ahead, nothing is sealed that the provider's clock says is young."""
    provider = Provider(hourly(), clock_skew=-timedelta(days=3).total_seconds())
    client = make_client(provider)
    with time_machine.travel(NOW + timedelta(days=2), tick=False):
        stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
        assert len(await stream.to_list()) == 24
    # By the provider's clock it is 14:30 of the day itself.
    assert stream.coverage.sealed == ()
    assert stream.coverage.unsealed == (Window(DAY, NEXT_DAY),)


@pytest.mark.parametrize("carry_keys", [False, True])
async def test_a_call_on_the_horizon_seen_by_the_younger_side_first(
    make_client: MakeClient, *, carry_keys: bool
) -> None:
    """A record handed over with an unsealed window is handed over with it again."""
    horizon = DAY + timedelta(hours=14, minutes=30)
    provider = Provider([call(f"{horizon}", "edge"), call(f"{horizon + HOUR}", "young")])
    old = Gate(lambda received: received.datefrom == f"{DAY}")
    provider.gate = old
    client = make_client(provider)
    with time_machine.travel(NOW, tick=False):
        stream = client.cdrs(
            DAY, NEXT_DAY, window=24 * HOUR, order="completion", carry_keys=carry_keys
        )
        batches = stream.batches()
        young = await anext(batches)
        old.open()
        sealed = await anext(batches)
        assert [batch async for batch in batches] == []
        assert (young.window.start, ids(young.cdrs)) == (horizon - SECOND, ["edge", "young"])
        assert (sealed.window.end, ids(sealed.cdrs)) == (horizon, [])
        # Who keeps what is sealed has neither yet.
        again = client.cdrs(DAY, NEXT_DAY, resume=stream.coverage, carry_keys=carry_keys)
        assert ids(await again.to_list()) == ["edge", "young"]


# What it carries


async def test_it_stays_small(make_client: MakeClient) -> None:
    """A coverage does not grow with the records, unless it is to carry their keys."""
    rows = generate_calls(date(2024, 3, 1), date(2024, 4, 1), calls_per_day=60, seed=1)
    client = make_client(Provider(rows, filter_mode="overlap"))
    sizes: dict[bool, list[int]] = {False: [], True: []}
    for carry_keys, found in sizes.items():
        stream = client.cdrs(
            date(2024, 3, 1),
            date(2024, 4, 1),
            window=6 * HOUR,
            unique_by="leg",
            carry_keys=carry_keys,
        )
        async for _ in stream.batches():
            found.append(len(stream.coverage.to_json()))
        assert stream.stats.records == len(rows)
        assert len(stream.coverage.sealed) == 1
    assert max(sizes[False]) < 4000
    # 48 bytes a record, in base64.
    assert sizes[True][-1] > 60 * len(rows)


async def legs_of_one_call(
    make_client: MakeClient, *, carry_keys: bool
) -> tuple[list[CDR], CDRStream]:
    rows = [
        call(f"{DAY + HOUR / 2}", "one", sequence="1"),
        call(f"{DAY + 9 * HOUR}", "one", sequence="2"),
        call(f"{DAY + 10 * HOUR}", "two"),
    ]
    client = make_client(Provider(rows))
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR, carry_keys=carry_keys)
    batches = stream.batches()
    kept = [cdr for _ in range(3) for cdr in (await anext(batches)).cdrs]
    await stream.aclose()
    coverage = Coverage.from_json(stream.coverage.to_json())
    again = client.cdrs(DAY, NEXT_DAY, resume=coverage, carry_keys=carry_keys)
    kept += await again.to_list()
    return kept, again


async def test_a_further_leg_is_known_by_its_key(make_client: MakeClient) -> None:
    """With all keys carried, a further leg of a call handed over before is a conflict, as ever."""
    kept, stream = await legs_of_one_call(make_client, carry_keys=True)
    assert ids(kept) == ["one", "two"]
    assert stream.stats.conflicts == 1


async def test_a_further_leg_is_not_known_without(make_client: MakeClient) -> None:
    """Without, it is handed over: that is what a resumed stream cannot know."""
    kept, stream = await legs_of_one_call(make_client, carry_keys=False)
    assert ids(kept) == ["one", "one", "two"]
    assert stream.stats.conflicts == 0


async def test_keys_that_are_sets(client: BoxisClient) -> None:
    """A key may be a set: a resumed run recognises it, in whatever order its items come."""

    def ends(cdr: CDR) -> frozenset[str]:
        return frozenset({cdr.src, cdr.dst, cdr.uniqueid})

    stream = client.cdrs(DAY, DAY + 12 * HOUR, unique_by=ends, carry_keys=True)
    first = await stream.to_list()
    rest = client.cdrs(DAY, NEXT_DAY, unique_by=ends, resume=stream.coverage)
    assert len(first) + len(await rest.to_list()) == 24
