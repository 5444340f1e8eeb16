"""The promise: the stream is what one undivided request would have returned, each key once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Literal, get_args

import attrs
import pytest
from calls import HOUR, call, ids
from choices import MODES, ORDERS
from clients import connected, known_rule
from hypothesis import given
from hypothesis import strategies as st
from keys import by_minute
from ledgers import NIGHTS, SPAN, Content, content_of_cdr, content_of_row, ledgers
from strategies import ZURICH
from waiting import jitter

from boxis_async import CDR, Contract, Stats, Window
from boxis_async.testing import DateRule, EmptyForm, Provider, generate_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from conftest import MakeClient

    from boxis_async.testing import FilterMode, ResultAs, Row
    from boxis_async.types import Order, UniqueBy


def leg(content: Content) -> Content:
    """Name a leg: by uniqueid and sequence, or by what stands in for a missing sequence."""
    uniqueid, start, _, sequence, dstchannel, _ = content
    return (uniqueid, sequence) if sequence else (uniqueid, start, dstchannel)


KEYS: dict[str, tuple[UniqueBy, Callable[[Content], Hashable]]] = {
    # A record without a uniqueid is known by its whole content.
    "uniqueid": ("uniqueid", lambda content: content[0] or content),
    "leg": ("leg", lambda content: leg(content) if content[0] else content),
    "function": (by_minute, lambda content: content[1][11:16]),
}


@pytest.mark.slow
@pytest.mark.both_loops
@given(data=st.data())
async def test_stream_equals_the_undivided_request(data: st.DataObject) -> None:
    """For any rows, windows, filter, order and key: the same keys, each once, and true counts."""
    night = data.draw(st.sampled_from(NIGHTS))
    rows = data.draw(ledgers(night))
    begin, end = sorted(data.draw(st.tuples(*[st.integers(-600, 15000)] * 2)))
    datefrom, dateto = night + timedelta(seconds=begin), night + timedelta(seconds=end)
    least = max(1, (end - begin) // 30)
    window = data.draw(st.none() | st.integers(least, max(least, 20000)))
    mode = data.draw(st.sampled_from(MODES))
    order = data.draw(st.sampled_from(ORDERS))
    unique_by, key = KEYS[data.draw(st.sampled_from(sorted(KEYS)))]
    turns = Random(data.draw(st.integers(0, 1000)))
    provider = Provider(rows, filter_mode=mode, gate=jitter(turns))
    async with connected(provider, concurrency=data.draw(st.integers(1, 8))) as client:
        if window is None and data.draw(st.booleans()):
            # As if it had been busy of late, so that the windows are of some minutes.
            past = Window(night - 2 * HOUR, night + 5 * HOUR)
            seconds = range(-2 * 3600, 5 * 3600, data.draw(st.integers(1, 4)))
            # Of its own accord it would be so after 25,000 records, an hour of them for the test.
            traffic = client._traffic_of(provider.tenant)  # noqa: SLF001 - as above
            traffic.learn(past, len(seconds))
        stream = client.cdrs(
            datefrom,
            dateto,
            window=None if window is None else timedelta(seconds=window),
            order=order,
            unique_by=unique_by,
        )
        batches = [batch async for batch in stream.batches()]

    undivided = [content_of_row(row) for row in provider.select(f"{datefrom}", f"{dateto}")]
    found = [content_of_cdr(cdr) for batch in batches for cdr in batch.cdrs]
    keys = [key(content) for content in found]
    assert Counter(keys) == Counter(set(map(key, undivided)))
    assert set(found) <= set(undivided)
    if order == "time":
        if window is not None:
            assert [batch.window for batch in batches] == list(stream.plan())
        for batch in batches:
            starts = [(content_of_cdr(cdr)[1], cdr.sequence or -1) for cdr in batch.cdrs]
            assert starts == sorted(starts)
    sent = sum(
        len(provider.select(request.datefrom, request.dateto)) for request in provider.requests
    )
    expected = Stats(
        records=len(found),
        duplicates=sent - len(set(undivided)),
        requests=len(batches),
        windows=len(batches),
        covered=1.0,
        conflicts=stream.stats.conflicts,
        revisions=stream.stats.revisions,
    )
    assert stream.stats == expected
    assert stream.stats.conflicts + stream.stats.revisions == len(set(undivided)) - len(found)
    if unique_by == "leg":
        assert stream.stats.conflicts == 0
    elif unique_by == "uniqueid":
        legs = {leg(content) for content in undivided if content[0]}
        assert stream.stats.conflicts == len(legs) - len(
            {content[0] for content in undivided if content[0]}
        )


# Ranges that share no call


@pytest.mark.slow
@given(data=st.data())
async def test_neighbouring_ranges_share_no_call(data: st.DataObject) -> None:
    """Clipped by start, neighbouring ranges share no record and together hold all that start."""
    night = data.draw(st.sampled_from(NIGHTS))
    provider = Provider(data.draw(ledgers(night)), filter_mode=data.draw(st.sampled_from(MODES)))
    cuts = sorted(data.draw(st.sets(st.integers(0, int(SPAN.total_seconds())), min_size=2)))
    edges = [night + timedelta(seconds=second) for second in cuts]
    window = timedelta(seconds=data.draw(st.integers(600, 7200)))
    parts: list[list[Content]] = []
    async with connected(provider) as client:
        for datefrom, dateto in pairwise(edges):
            stream = client.cdrs(
                datefrom, dateto, window=window, clip="start", unique_by=content_of_cdr
            )
            parts.append([content_of_cdr(cdr) for cdr in await stream.to_list()])
            assert all(f"{datefrom}" <= content[1] < f"{dateto}" for content in parts[-1])
    together = [content for part in parts for content in part]
    assert len(together) == len(set(together))
    everything = {content_of_row(row) for row in provider.select()}
    within = {content for content in everything if f"{edges[0]}" <= content[1] < f"{edges[-1]}"}
    rule = provider.filter_mode
    assert isinstance(rule, DateRule)
    if rule.by == "end" or not rule.include_from:
        # Such a server is asked for calls by their end: what ends after a range is not in it.
        within = {content for content in within if content in together}
    assert set(together) == within


# The repeated hour


def autumn(hour: int, minute: int) -> datetime:
    """Name a moment of the autumn night by UTC: the clock is turned back at 01:00."""
    return datetime(2024, 10, 27, hour, minute, tzinfo=UTC)


def call_at(moment: datetime, **fields: str) -> dict[str, str | None]:
    """Record a call with the epoch of its true moment inside its uniqueid."""
    wall = moment.astimezone(ZURICH)
    end = (moment + timedelta(minutes=1)).astimezone(ZURICH)
    return call(
        f"{wall:%Y-%m-%d %H:%M:%S}",
        f"sip022.voice.boxis.net-{int(moment.timestamp())}.1",
        end=f"{end:%Y-%m-%d %H:%M:%S}",
        **fields,
    )


QUARTERS = [autumn(22, 0) - timedelta(days=1) + timedelta(minutes=15 * n) for n in range(24)]


async def test_both_passes_of_the_repeated_hour(make_client: MakeClient) -> None:
    """The same text on the wall gives both moments, told apart by the epoch in the uniqueid."""
    first, second = autumn(0, 30), autumn(1, 30)
    provider = Provider([call_at(second), call_at(first)])
    assert len({row["start"] for row in provider.select()}) == 1
    client = make_client(provider)
    found = await client.cdrs(date(2024, 10, 27), date(2024, 10, 28), window=HOUR).to_list()
    assert sorted(cdr.start.astimezone(UTC) for cdr in found) == [first, second]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("clip", [None, "start"])
async def test_an_aware_range_in_the_repeated_hour(
    make_client: MakeClient, mode: DateRule, clip: Literal["start"] | None
) -> None:
    """An aware range asks for the whole hour, and leaves out what lies in its other pass."""
    provider = Provider([call_at(moment) for moment in QUARTERS], filter_mode=mode)
    client = make_client(provider)
    stream = client.cdrs(autumn(1, 10), autumn(1, 50), window=timedelta(minutes=20), clip=clip)
    found = [cdr.start.astimezone(UTC) for cdr in await stream.to_list()]
    assert found == [autumn(1, 15), autumn(1, 30), autumn(1, 45)]
    asked = [request.datefrom for request in provider.requests]
    assert min(text or "" for text in asked) == "2024-10-27 02:00:00"
    first_pass = await client.cdrs(autumn(0, 10), autumn(0, 50), clip=clip).to_list()
    assert [cdr.start.astimezone(UTC) for cdr in first_pass] == [
        autumn(0, 15),
        autumn(0, 30),
        autumn(0, 45),
    ]


@pytest.mark.parametrize("mode", ["start", "start_half_open", "overlap"])
async def test_aware_neighbours_in_the_repeated_hour(
    make_client: MakeClient, mode: FilterMode
) -> None:
    """Aware ranges that follow one another through the repeated hour share and lose no call."""
    provider = Provider([call_at(moment) for moment in QUARTERS], filter_mode=mode)
    client = make_client(provider)
    found: list[datetime] = []
    edges = [QUARTERS[0] + timedelta(minutes=40 * n) for n in range(10)]
    for datefrom, dateto in pairwise(edges):
        part = await client.cdrs(datefrom, dateto, clip="start").to_list()
        found += [cdr.start.astimezone(UTC) for cdr in part]
        assert all(datefrom <= cdr.start < dateto for cdr in part)
    assert sorted(found) == QUARTERS


async def test_a_record_that_cannot_be_told_apart(make_client: MakeClient) -> None:
    """A call of the repeated hour without an epoch is not left out on a guess."""
    provider = Provider([call("2024-10-27 02:30:00", "no-epoch")])
    client = make_client(provider)
    for datefrom in (autumn(0, 20), autumn(1, 20)):
        found = await client.cdrs(datefrom, datefrom + timedelta(minutes=20)).to_list()
        assert ids(found) == ["no-epoch"]


# Over HTTP


@pytest.fixture(scope="module")
def generated() -> Sequence[Row]:
    """Make up about five thousand calls of three months, some of them under one uniqueid."""
    return generate_calls(date(2024, 9, 1), date(2024, 12, 1), calls_per_day=55, seed=7)


AUTUMN = datetime(2024, 9, 1), datetime(2024, 12, 1)  # noqa: DTZ001 - the wall clock
OCTOBER = datetime(2024, 10, 1), datetime(2024, 11, 1)  # noqa: DTZ001 - the wall clock
FORTNIGHT = datetime(2024, 10, 20), datetime(2024, 11, 3)  # noqa: DTZ001 - the wall clock


def legs_of_rows(rows: Iterable[Row]) -> set[tuple[str, str]]:
    return {(str(row["uniqueid"]), str(row["sequence"])) for row in rows}


def test_there_are_enough_generated_calls(generated: Sequence[Row]) -> None:
    """The end to end tests look at about five thousand calls, some under one uniqueid."""
    assert len({row["linkedid"] for row in generated}) > 5_000
    legs = legs_of_rows(generated)
    assert len({row["uniqueid"] for row in generated}) < len(legs) == len(generated)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "order", "window"),
    [
        ("start", "time", 1),
        ("start_half_open", "completion", 24),
        ("end", "time", 31 * 24),
        ("end", "completion", 1),
        ("overlap", "time", 24),
        ("overlap", "completion", 31 * 24),
    ],
)
async def test_end_to_end(
    make_client: MakeClient,
    generated: Sequence[Row],
    mode: FilterMode,
    order: Order,
    window: int,
) -> None:
    """Five thousand calls over HTTP are the server's own rows for the range."""
    provider = Provider(generated, filter_mode=mode)
    known = attrs.evolve(known_rule(provider), no_cap_up_to=100_000)
    client = make_client(provider, over_http=True, contract=known)
    datefrom, dateto = OCTOBER if window == 1 else AUTUMN
    stream = client.cdrs(
        datefrom, dateto, window=timedelta(hours=window), order=order, unique_by="leg"
    )
    found = await stream.to_list()
    rows = provider.select(f"{datefrom}", f"{dateto}")
    assert len(found) == len(rows)
    assert {(cdr.uniqueid, str(cdr.sequence)) for cdr in found} == legs_of_rows(rows)
    assert stream.stats.requests == len(provider.requests) == len(stream.plan())
    assert provider.refusals == []
    assert provider.peak_in_flight <= 8


@pytest.mark.slow
@pytest.mark.both_loops
@pytest.mark.parametrize("order", ORDERS)
async def test_end_to_end_by_uniqueid(
    make_client: MakeClient, generated: Sequence[Row], order: Order
) -> None:
    """By default each uniqueid comes once, and what was dropped for it is counted."""
    provider = Provider(generated, filter_mode="overlap")
    known = attrs.evolve(known_rule(provider), no_cap_up_to=100_000)
    client = make_client(provider, over_http=True, contract=known)
    stream = client.cdrs(*FORTNIGHT, window=6 * HOUR, order=order)
    found = await stream.to_list()
    rows = provider.select(*map(str, FORTNIGHT))
    assert sorted(ids(found)) == sorted({str(row["uniqueid"]) for row in rows})
    assert stream.stats.conflicts == len(rows) - len(found) > 0
    assert stream.stats.revisions == 0


async def test_xml_equals_json(make_client: MakeClient, generated: Sequence[Row]) -> None:
    """The same calls are the same records from XML as from JSON."""
    provider = Provider(generated)
    lists: dict[str, list[CDR]] = {}
    for returntype in ("json", "xml"):
        client = make_client(
            provider,
            over_http=True,
            returntype=returntype,
            contract=Contract(rule="start", no_cap_up_to=1000),
        )
        stream = client.cdrs(*FORTNIGHT, window=24 * HOUR, unique_by="leg")
        lists[returntype] = await stream.to_list()
    assert len(lists["json"]) > 500
    assert lists["xml"] == lists["json"]
    assert Counter(request.parameters["returntype"] for request in provider.requests) == {
        "json": 14,
        "xml": 14,
    }


@pytest.mark.parametrize("returntype", ["json", "xml"])
@pytest.mark.parametrize("empty", get_args(EmptyForm))
@pytest.mark.parametrize("result_as", ["text", "number"])
async def test_every_form_of_nothing(
    make_client: MakeClient, returntype: str, empty: EmptyForm, result_as: ResultAs
) -> None:
    """However an answer says that there are no calls, there are none, and the stream ends."""
    provider = Provider(empty=empty, result_as=result_as)
    stream = make_client(provider, returntype=returntype).cdrs(*AUTUMN, window=31 * 24 * HOUR)
    assert await stream.to_list() == []
    assert stream.stats == Stats(requests=3, windows=3, covered=1.0)
