"""Records that cannot be read: one of them costs one record, and never without a word."""

from __future__ import annotations

import json
import logging
import pickle
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, get_args

import pytest
import time_machine
from calls import DAY, HOUR, NEXT_DAY, SECOND, call, hour, hourly, ids, ids_of
from choices import MODES, ORDERS
from clients import connected
from faults import failing_at
from hypothesis import example, given
from hypothesis import strategies as st
from ledgers import NIGHTS, SPAN, ledgers

from boxis_async import (
    CDR,
    Coverage,
    MalformedAnswerError,
    RecordError,
    Reject,
    UsageError,
    Window,
    WindowError,
)
from boxis_async._run.coverage_builder import CoverageBuilder, Marks
from boxis_async._wire import json as wire_json
from boxis_async.coverage import memory_of
from boxis_async.testing import Fault, Provider
from boxis_async.types import BadRecords, ReturnType

if TYPE_CHECKING:
    from collections.abc import Hashable

    from conftest import MakeClient

    from boxis_async import BoxisClient, CDRStream
    from boxis_async.testing import DateRule
    from boxis_async.types import Order

RETURNTYPES: tuple[ReturnType, ...] = get_args(ReturnType)
BAD = {"duration": "12.885"}
MENDED = {"duration": "12"}
NUMBER = "0041445550123"


def spoil(provider: Provider, *numbers: int) -> list[str]:
    """Let some rows have a duration that is no whole number, and give their uniqueids."""
    spoiled = [str(provider.undivided()[number]["uniqueid"]) for number in numbers]
    for uniqueid in spoiled:
        provider.change(BAD, uniqueid=uniqueid)
    return spoiled


def collecting(client: BoxisClient, **more: Any) -> CDRStream:  # noqa: ANN401 - cdrs' own
    """Stream the day by hours, without the records that cannot be read."""
    arguments: dict[str, Any] = {"window": HOUR, "bad_records": "collect"} | more
    return client.cdrs(DAY, NEXT_DAY, **arguments)


def names(stream: CDRStream) -> list[str]:
    """Name the records that could not be read."""
    return [reject.row["uniqueid"] for reject in stream.rejects if isinstance(reject.row, dict)]


# What is handed over


@pytest.mark.slow
@pytest.mark.parametrize("returntype", RETURNTYPES)
@pytest.mark.parametrize("has_orjson", [True, False], ids=["orjson", "json"])
@pytest.mark.parametrize("at", [0, 300, 599])
async def test_one_in_six_hundred(
    make_client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    returntype: ReturnType,
    at: int,
    *,
    has_orjson: bool,
) -> None:
    """One record of an answer cannot be read: the others come, in order, and it is listed."""
    if not has_orjson:
        monkeypatch.setattr(wire_json, "fast_reader", lambda: None)
    provider = Provider([call(f"{DAY + number * SECOND}") for number in range(600)])
    (spoiled,) = spoil(provider, at)
    client = make_client(provider, returntype=returntype)
    stream = collecting(client, window=timedelta(days=1))
    found = await stream.to_list()
    assert ids(found) == [name for name in ids_of(provider.select()) if name != spoiled]  # type: ignore[arg-type]
    (reject,) = stream.rejects
    assert reject.window == Window(DAY, NEXT_DAY)
    assert reject.position == f"call_{at + 1}"
    assert (reject.field, reject.value) == ("duration", "12.885")
    assert reject.reason == "not a whole number"
    assert isinstance(reject.row, dict)
    assert reject.row | BAD == reject.row
    assert reject.row["uniqueid"] == spoiled
    assert reject.row["src"] == NUMBER
    assert stream.stats.records == 599
    assert stream.stats.rejects == 1
    assert stream.failures == ()


async def test_without_it_the_window_fails(provider: Provider, client: BoxisClient) -> None:
    """By default nothing of the window comes, and the error names window, place, field, value."""
    spoil(provider, 3)
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    with pytest.raises(WindowError) as caught:
        await stream.to_list()
    cause = caught.value.cause
    assert isinstance(cause, RecordError)
    assert str(cause) == (
        f"window {hour(3)}, call_1, field 'duration': not a whole number, got '12.885'"
    )
    assert stream.stats.records == 3
    assert stream.rejects == ()


@pytest.mark.parametrize(
    ("row", "field", "value"),
    [
        ('"text"', None, "text"),
        ("null", None, None),
        ("[]", None, []),
        ("{}", None, {}),
        ("7", None, "7"),
        ("true", None, True),
        ('{"uniqueid":"x"}', "start", "nothing"),
        ('{"start":"soon"}', "start", "soon"),
        ('{"start":"2024-03-05 00:00:00","end":"0"}', "end", "0"),
        ('{"start":"2024-03-05 00:00:00","duration":1.50}', "duration", "1.50"),
        ('{"start":"2024-03-05 00:00:00","billsec":{}}', "billsec", {}),
        ('{"start":"2024-03-05 00:00:00","src":["1"]}', "src", ["1"]),
        ('{"start":"2024-03-05 00:00:00","cc_cost":"free"}', "cc_cost", "free"),
        ('{"start":"2024-03-05 00:00:00","cc_date":"2024-13-01"}', "cc_date", "2024-13-01"),
    ],
)
@pytest.mark.parametrize("holder", ["object", "array"])
async def test_each_kind(
    make_client: MakeClient, row: str, field: str | None, value: object, holder: str
) -> None:
    """A row that is no record, or has a field that cannot be read, is listed as it was sent."""
    good = json.dumps(call(f"{DAY}", "good"))
    rows = f'{{"call_1":{good},"call_2":{row}}}' if holder == "object" else f"[{good},{row}]"
    body = f'{{"result":"1","params":{{"cdr":{rows}}}}}'
    client = make_client(Provider([], faults=[Fault.garbage(body.encode())]))
    stream = collecting(client, window=None)
    assert ids(await stream.to_list()) == ["good"]
    (reject,) = stream.rejects
    assert (reject.position, reject.field, reject.value) == ("call_2", field, value)
    assert reject.row == json.loads(row, parse_int=str, parse_float=str)


@pytest.mark.parametrize(
    "body",
    [
        '{"result":"1","params":{"cdr":"none"}}',
        '{"result":"1","params":{"cdr":{"call_1":{"start":"2024-03-05 00:00:00"}',
        '{"result":"1","params":{"cdr":{"call_1":{"start":"soon"},"call_2":',
        '{"result":"1","params":{"cdr":{"call_1":{"start":"soon","start":"later"}}}}',
        '{"result":"1","params":{"cdr":{"call_1":{"start":"soon"}},"truncated":true}}',
        "<html>",
    ],
)
async def test_an_answer_that_is_broken_as_a_whole(make_client: MakeClient, body: str) -> None:
    """What is no answer, or not a whole one, fails its window: no record of it is listed."""
    client = make_client(Provider([], faults=lambda _: Fault.garbage(body.encode())))
    stream = collecting(client, window=None)
    with pytest.raises(WindowError) as caught:
        await stream.to_list()
    assert isinstance(caught.value.cause, MalformedAnswerError)
    assert stream.rejects == ()


async def test_rows_count_towards_the_limit(make_client: MakeClient) -> None:
    """A record that cannot be read is one of the records at which an answer may be cut off."""
    provider = Provider(hourly(), row_limit=12)
    spoil(provider, *range(0, 24, 2))
    stream = collecting(make_client(provider), window=timedelta(days=1), row_limit=12)
    assert len(await stream.to_list()) == 12
    assert len(stream.rejects) == 12
    assert stream.stats.splits


async def test_a_record_of_two_windows_is_listed_once(make_client: MakeClient) -> None:
    """Windows overlap: a record that two of them hold is one that could not be read."""
    rows = [*hourly(), call(f"{DAY + HOUR}", "at the boundary")]
    provider = Provider(rows)
    provider.change(BAD, uniqueid="at the boundary")
    stream = collecting(make_client(provider))
    assert len(await stream.to_list()) == 24
    assert names(stream) == ["at the boundary"]
    assert stream.rejects[0].window == hour(0)
    assert stream.stats.rejects == 1
    # It is missing in both.
    assert stream.coverage.rejected == (hour(0), hour(1))


async def test_everything_at_once(provider: Provider, client: BoxisClient) -> None:
    """A request without dates is not complete either."""
    spoil(provider, 3)
    stream = client.cdrs(bad_records="collect")
    assert len(await stream.to_list()) == 23
    assert stream.stats.rejects == 1
    assert stream.stats.covered == 0


async def test_each_run_lists_its_own(provider: Provider, client: BoxisClient) -> None:
    """A new stream of the same query collects too, and begins with none."""
    spoil(provider, 3, 4)
    stream = collecting(client)
    await stream.to_list()
    again = stream.again()
    assert again.rejects == ()
    assert len(await again.to_list()) == 22
    assert len(again.rejects) == len(stream.rejects) == 2


async def test_failures_and_rejects_are_apart(provider: Provider, client: BoxisClient) -> None:
    """What to do about windows and what to do about records are two arguments."""
    spoil(provider, 3, 20)
    provider.faults = failing_at(10)
    stream = collecting(client, on_error="collect")
    assert len(await stream.to_list()) == 21
    assert [error.window for error in stream.failures] == [hour(10)]
    assert len(stream.rejects) == 2
    provider.faults = failing_at(10)
    stream = collecting(client)
    with pytest.raises(WindowError, match="out of order"):
        await stream.to_list()
    assert len(stream.rejects) == 1


@pytest.mark.parametrize("wrong", ["skip", None, True])
def test_another_choice_is_refused(client: BoxisClient, wrong: object) -> None:
    """The argument has two values."""
    assert set(get_args(BadRecords)) == {"raise", "collect"}
    with pytest.raises(UsageError, match="bad_records must be 'raise' or 'collect'"):
        client.cdrs(DAY, NEXT_DAY, bad_records=wrong)  # type: ignore[arg-type]


# What is known to be missing


async def test_coverage(provider: Provider, client: BoxisClient) -> None:
    """A window with such a record is not sealed, nor counted as covered; the others are."""
    spoil(provider, 3, 23)
    stream = collecting(client)
    await stream.to_list()
    coverage = stream.coverage
    assert coverage.sealed == (hour(0, 3), hour(4, 19))
    assert coverage.rejected == (hour(3), hour(23))
    assert coverage.unsealed == coverage.failed == coverage.empty == ()
    assert "rejected=2" in repr(coverage)
    assert Coverage.from_json(coverage.to_json()) == coverage
    # All but two hours, without the second that a sealed hour has of the next one.
    assert stream.stats.covered == pytest.approx(22 / 24, abs=1e-4)


async def test_a_window_of_rejects_is_not_empty(make_client: MakeClient) -> None:
    """A window whose only record cannot be read is none without records."""
    provider = Provider(hourly()[3:4])
    spoil(provider, 0)
    stream = collecting(make_client(provider))
    assert await stream.to_list() == []
    assert stream.coverage.empty == (hour(0, 3), hour(4, 20))


@pytest.mark.parametrize("order", ORDERS)
async def test_a_later_run_hands_over_what_was_mended(
    provider: Provider, client: BoxisClient, order: Order
) -> None:
    """A resumed run asks for the windows again, and hands over nothing but the mended records."""
    first, second = spoil(provider, 3, 20)
    stream = collecting(client, order=order)
    await stream.to_list()
    provider.change(MENDED, uniqueid=first)
    provider.reset()
    further = stream.again(resume=Coverage.from_json(stream.coverage.to_json()))
    assert ids(await further.to_list()) == [first]
    assert len(provider.requests) == 2
    assert names(further) == [second]
    provider.change(MENDED, uniqueid=second)
    last = client.cdrs(DAY, NEXT_DAY, order=order, resume=further.coverage)
    assert ids(await last.to_list()) == [second]
    assert last.coverage.sealed == (Window(DAY, NEXT_DAY),)
    assert last.coverage.rejected == ()
    assert last.stats.covered == 1


async def test_rejected_again_and_again(provider: Provider, client: BoxisClient) -> None:
    """Runs that meet the same record again hand nothing over twice, and coverage does not grow."""
    spoiled = spoil(provider, 3, 20)
    stream = collecting(client)
    await stream.to_list()
    size = len(stream.coverage.to_json())
    for length in (HOUR, timedelta(minutes=17), timedelta(minutes=7), None):
        stream = collecting(client, window=length, resume=stream.coverage)
        assert await stream.to_list() == []
        assert names(stream) == spoiled
        assert len(stream.coverage.rejected) == 2
        assert len(stream.coverage.to_json()) <= size + 1_000


async def test_by_default_a_resumed_run_raises(provider: Provider, client: BoxisClient) -> None:
    """A run that is not to collect fails at the window that an earlier one left open."""
    spoil(provider, 3)
    stream = collecting(client)
    await stream.to_list()
    with pytest.raises(WindowError, match="not a whole number"):
        await client.cdrs(DAY, NEXT_DAY, resume=stream.coverage).to_list()


async def test_what_is_too_young(make_client: MakeClient) -> None:
    """A window that is not at rest is unsealed as ever: all of its records come again."""
    provider = Provider(hourly())
    client = make_client(provider)
    (spoiled,) = spoil(provider, 23)
    with time_machine.travel(NEXT_DAY.astimezone(), tick=False):
        stream = collecting(client, settle=timedelta(hours=12))
        assert len(await stream.to_list()) == 23
        assert stream.coverage.rejected == ()
        young = len(provider.requests)
        assert stream.coverage.unsealed
        assert stream.stats.covered < 1
        provider.change(MENDED, uniqueid=spoiled)
        further = stream.again(resume=stream.coverage)
        again = ids(await further.to_list())
        assert again[-1] == spoiled
        assert 1 < len(again) < 24
        assert len(provider.requests) - young < young


def test_before_the_proof_it_is_unsealed() -> None:
    """A window waits for the proof that nothing is missing beside it, with a reject too."""
    builder = CoverageBuilder("x", b"key", None, carry_keys=False)
    marks = Marks(every=frozenset({b"m" * 48}))
    builder.hand_over(
        hour(0), marks, is_sealed=True, is_empty=False, is_proved=False, has_rejects=True
    )
    assert (builder.coverage().unsealed, builder.coverage().rejected) == ((hour(0),), ())
    assert not memory_of(builder.coverage()).every_mark()
    builder.be_proved()
    assert (builder.coverage().unsealed, builder.coverage().rejected) == ((), (hour(0),))
    assert memory_of(builder.coverage()).every_mark() == marks.every
    assert builder.share(DAY, NEXT_DAY) == 0


def by_dst_and_start(cdr: CDR) -> tuple[str, str]:
    """Give a key of another kind than the library's."""
    return cdr.dst, f"{cdr.start}"


@pytest.mark.parametrize("unique_by", ["uniqueid", "leg", by_dst_and_start])
@pytest.mark.parametrize("carry_keys", [False, True])
async def test_by_each_key(
    provider: Provider,
    client: BoxisClient,
    unique_by: Any,  # noqa: ANN401 - of three types
    *,
    carry_keys: bool,
) -> None:
    """Whatever makes records the same, those that came are known again."""
    (spoiled,) = spoil(provider, 3)
    stream = collecting(client, window=6 * HOUR, unique_by=unique_by, carry_keys=carry_keys)
    assert len(await stream.to_list()) == 23
    provider.change(MENDED, uniqueid=spoiled)
    further = stream.again(resume=stream.coverage)
    assert ids(await further.to_list()) == [spoiled]
    assert further.stats.duplicates >= 5


LENGTHS = (timedelta(minutes=17), HOUR, timedelta(days=1), None)


def identity(cdr: CDR) -> Hashable:
    """Give what a record is the same by, with `unique_by="leg"`."""
    return cdr.leg if cdr.uniqueid else cdr


@pytest.mark.slow
@given(data=st.data(), night=st.sampled_from(NIGHTS), rule=st.sampled_from(MODES))
async def test_chains_of_runs_hold_each_record_once(
    data: st.DataObject, night: datetime, rule: DateRule
) -> None:
    """Runs that are cut short and resumed, over records that are spoiled and mended, hold all.

    Each leg comes once over the whole chain, under every rule and with windows of any length.
    """
    rows = data.draw(ledgers(night))
    for row in rows:
        # A resumed run need not know a leg whose versions lie hours apart.
        row["uniqueid"] = row["uniqueid"] and f"{row['uniqueid']} {row['start']} {row['end']}"
    spoiled = data.draw(st.sets(st.integers(0, max(0, len(rows) - 1)), max_size=4))
    order = data.draw(st.sampled_from(ORDERS))
    mended = [row | MENDED if number in spoiled else row for number, row in enumerate(rows)]
    arguments: dict[str, Any] = {"unique_by": "leg", "order": order, "bad_records": "collect"}
    async with connected(Provider(mended, filter_mode=rule)) as client:
        wanted = Counter(
            map(identity, await client.cdrs(night, night + SPAN, unique_by="leg").to_list())
        )
    found: Counter[Hashable] = Counter()
    coverage: Coverage | None = None
    broken = [row | BAD if number in spoiled else row for number, row in enumerate(rows)]
    for held in (broken, broken, mended):
        async with connected(Provider(held, filter_mode=rule)) as client:
            stream = client.cdrs(
                night,
                night + SPAN,
                window=data.draw(st.sampled_from(LENGTHS)),
                resume=coverage,
                **arguments,
            )
            most = 10_000 if held is mended else data.draw(st.integers(0, 20))
            async with stream:
                batches = [batch async for batch in taken(stream, most)]
                coverage = stream.coverage
                assert held is not mended or not stream.rejects
            assert not coverage.unsealed
            for batch in batches:
                found.update(map(identity, batch))
    assert found == wanted
    assert coverage is not None
    assert coverage.rejected == ()
    assert coverage.sealed == (Window(night, night + SPAN),)


async def taken(stream: CDRStream, most: int) -> Any:  # noqa: ANN401 - an async generator
    """Take some windows, and give those that count as handed over."""
    last: tuple[CDR, ...] | None = None
    batches = stream.batches()
    for _ in range(most):
        try:
            batch = await anext(batches)
        except StopAsyncIteration:
            break
        if last is not None:
            yield last
        last = batch.cdrs
    else:
        return
    if last is not None:
        yield last


# Never without a word


async def test_unread_they_are_logged(
    provider: Provider, client: BoxisClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Rejects that nobody reads are logged when the stream is closed, without a value."""
    spoiled = spoil(provider, 3, 20)
    provider.change({"duration": NUMBER + "x"}, uniqueid=spoiled[0])
    async with collecting(client) as stream:
        await stream.to_list()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    text = record.getMessage()
    assert "2 records that could not be read" in text
    assert f"window {hour(3)}, call_1, field 'duration'" in text
    assert NUMBER not in text


async def test_read_they_are_not_logged(
    provider: Provider, client: BoxisClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Rejects that were read are not logged."""
    spoil(provider, 3)
    async with collecting(client) as stream:
        await stream.to_list()
        assert stream.rejects
    assert not caplog.records


# The value


async def test_a_reject_is_a_value(provider: Provider, client: BoxisClient) -> None:
    """A reject is frozen, equal to its copy, hashable and can be pickled; its repr has no row."""
    spoil(provider, 3)
    stream = collecting(client)
    await stream.to_list()
    (reject,) = stream.rejects
    again = pickle.loads(pickle.dumps(reject))
    assert again == reject
    assert hash(again) == hash(reject)
    assert type(again) is Reject
    assert NUMBER not in repr(reject)
    assert NUMBER in repr(reject.row)
    with pytest.raises(AttributeError):
        reject.reason = "x"  # type: ignore[misc]
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    with pytest.raises(WindowError) as caught:
        await stream.to_list()
    assert str(reject) == str(caught.value.cause)


@pytest.mark.parametrize("collects", [True, False])
@pytest.mark.parametrize("value", ["[" * 600 + "]" * 600, '{"a":' * 600 + "1" + "}" * 600])
@pytest.mark.parametrize("name", ["src", "odd", "duration"])
async def test_nested_deep(
    make_client: MakeClient, name: str, value: str, *, collects: bool
) -> None:
    """A value that is nested deep is cut off, so that reject and error can be pickled."""
    rows = f'{{"call_1":{{"start":"2024-03-05 00:00:00","duration":"x","{name}":{value}}}}}'
    rows = rows.replace('"duration":"x","duration"', '"duration"')
    body = f'{{"result":"1","params":{{"cdr":{rows}}}}}'
    client = make_client(Provider([], faults=lambda _: Fault.garbage(body.encode())))
    stream = client.cdrs(DAY, NEXT_DAY, bad_records="collect" if collects else "raise")
    if collects:
        await stream.to_list()
        (reject,) = stream.rejects
        assert pickle.loads(pickle.dumps(reject)) == reject
        json.dumps(reject.row)
        return
    with pytest.raises(WindowError) as caught:
        await stream.to_list()
    pickle.loads(pickle.dumps(caught.value))


@given(
    position=st.text(min_size=1, max_size=300),
    name=st.text(min_size=1, max_size=300),
    value=st.one_of(st.text(), st.text(min_size=500)),
)
@example(position="call_1\x1b[31m", name="\x1b]0;x\x07", value="\r\n\x9b2J")
@example(position="call_\u202e1", name="x" * 300, value="x" * 10_000)
def test_what_is_shown_is_harmless(position: str, name: str, value: str) -> None:
    """Whatever key, name and value a server chose, the line that shows them is short and plain."""
    error = RecordError(
        "odd", position=position, field=name, value=value, window=Window(DAY, NEXT_DAY)
    )
    reject = Reject(
        window=Window(DAY, NEXT_DAY),
        position=position,
        field=name,
        value=value,
        reason="odd",
        row={},
    )
    for text in (
        str(error),
        str(reject),
        str(WindowError.of(error, window=hour(0), tenant="t", attempts=1)),
    ):
        assert text.isprintable()
        assert len(text) < 700
