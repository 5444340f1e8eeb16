"""Guards: whatever the two dates mean, and wherever answers are cut, no gap is silent."""

# Naive datetimes here are the provider's wall clock.

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

import attrs
import pytest
from calls import DAY, HOUR, MINUTE, NEXT_DAY, SECOND, call, ids, ids_of
from choices import MODES, ORDERS
from clients import connected
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import NIGHTS, ledgers
from resumes import kept

from boxis_async import (
    Batch,
    BoxisClient,
    ConfigurationError,
    Contract,
    ContractError,
    UsageError,
    Window,
    WindowError,
)
from boxis_async.testing import DATE_RULES, DateRule, Fault, Provider

if TYPE_CHECKING:
    from conftest import MakeClient

    from boxis_async import Coverage
    from boxis_async.testing import Received, Row
    from boxis_async.types import Order

WITHIN = tuple(rule for rule in DATE_RULES if rule.by == "within")
KEEPS: tuple[Literal["first", "last"], ...] = ("first", "last")
FOUR_DAYS = DAY, DAY + timedelta(days=4)


def many(count: int, *, start: datetime = DAY, length: timedelta = MINUTE) -> list[Row]:
    """Make calls at even distances over a day, each as long as said, none at its very ends."""
    step = timedelta(days=1) / (count + 1)
    starts = [(start + step * number).replace(microsecond=0) for number in range(1, count + 1)]
    return [call(f"{begin}", end=f"{begin + length}") for begin in starts]


def busy(*, days: int, calls_per_day: int) -> list[Row]:
    """Make the calls of some days from `DAY` on."""
    return [
        row for day in range(days) for row in many(calls_per_day, start=DAY + timedelta(days=day))
    ]


def undivided(provider: Provider, datefrom: datetime, dateto: datetime) -> list[str]:
    """Name the records that one undivided request to a server without limits would give."""
    return sorted(ids_of(provider.undivided(f"{datefrom}", f"{dateto}")))


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "boxis_async" and record.levelno == logging.WARNING
    ]


# Every meaning of the two dates


@pytest.mark.slow
@given(data=st.data())
async def test_under_every_rule_the_stream_is_right_or_raises(data: st.DataObject) -> None:
    """Whatever the rule, a client that knows nothing of it hands over all, or raises."""
    night = data.draw(st.sampled_from(NIGHTS))
    rule = data.draw(st.sampled_from(DATE_RULES))
    rows = [row | {"uniqueid": f"a-{n}.1"} for n, row in enumerate(data.draw(ledgers(night)))]
    provider = Provider(rows, filter_mode=rule)
    begin, end = sorted(data.draw(st.tuples(*[st.integers(-600, 15000)] * 2)))
    datefrom, dateto = night + begin * SECOND, night + end * SECOND
    least = max(1, (end - begin) // 30)
    window = data.draw(st.none() | st.integers(least, max(least, 20000)))
    found: list[str] = []
    resume: Coverage | None = None
    # Each run but the last is cut off somewhere, and a new client resumes it, which knows nothing.
    cuts = [*data.draw(st.lists(st.integers(0, 20), max_size=3)), None]
    for cut in cuts:
        async with connected(provider, contract=None) as client:
            stream = client.cdrs(
                datefrom,
                dateto,
                window=None if window is None else window * SECOND,
                order=data.draw(st.sampled_from(ORDERS)),
                resume=resume,
            )
            batches: list[Batch] = []
            try:
                async for batch in stream.batches():
                    batches.append(batch)
                    if len(batches) == cut:
                        break
            except ContractError:
                assert rule.by == "within"
                return
            await stream.aclose()
            resume = stream.coverage
            if cut is not None:
                batches = [
                    Batch(batch.window, (cdr,))
                    for batch in batches
                    for cdr in kept([batch], resume)
                ]
            found += [cdr.uniqueid for batch in batches for cdr in batch.cdrs]
    assert sorted(found) == undivided(provider, datefrom, dateto)


@pytest.mark.slow
@pytest.mark.parametrize("rule", WITHIN, ids=str)
@settings(max_examples=settings.default.max_examples // 2)  # for each of four rules
@given(data=st.data())
async def test_a_contract_cures_within(rule: DateRule, data: st.DataObject) -> None:
    """With the longest call known, windows overlap by it, and lose none; a resumed run neither."""
    night = data.draw(st.sampled_from(NIGHTS))
    rows = [row | {"uniqueid": f"a-{n}.1"} for n, row in enumerate(data.draw(ledgers(night)))]
    provider = Provider(rows, filter_mode=rule)
    begin, end = sorted(data.draw(st.tuples(*[st.integers(-600, 15000)] * 2)))
    datefrom, dateto = night + begin * SECOND, night + end * SECOND
    # The longest call of a ledger takes 8,000 seconds, and on the clock an hour more in spring.
    contract = Contract(rule="within", longest_call=16000 * SECOND)
    window = data.draw(st.none() | st.integers(600, 20000).map(lambda seconds: seconds * SECOND))
    async with connected(provider, contract=contract) as client:
        stream = client.cdrs(datefrom, dateto, window=window)
        cut = data.draw(st.integers(0, 10))
        batches: list[Batch] = []
        async for batch in stream.batches():
            if len(batches) == cut:
                break
            batches.append(batch)
        await stream.aclose()
        found = kept(batches, stream.coverage)
        again = client.cdrs(datefrom, dateto, window=window, resume=stream.coverage)
        found += await again.to_list()
    assert sorted(ids(found)) == undivided(provider, datefrom, dateto)


@pytest.mark.parametrize("rule", WITHIN, ids=str)
@pytest.mark.parametrize("order", ORDERS)
async def test_within_is_found_out(make_client: MakeClient, rule: DateRule, order: Order) -> None:
    """Windows would lose calls: the stream raises, says so, and later ones of the client do too."""
    client = make_client(Provider(many(50), filter_mode=rule))
    for _ in range(2):
        stream = client.cdrs(DAY, NEXT_DAY, window=HOUR, order=order)
        with pytest.raises(ContractError, match=r"within the two dates as a whole.*longest_call"):
            await stream.to_list()
        assert stream.coverage.sealed == ()
    assert client.contract.rule == "within"


async def test_within_is_no_matter_for_one_request(make_client: MakeClient) -> None:
    """A range that one request asks for has no boundary over which a call could be lost."""
    provider = Provider(many(50), filter_mode=WITHIN[0])
    client = make_client(provider)
    found = await client.cdrs(DAY, NEXT_DAY, window=timedelta(days=1)).to_list()
    assert sorted(ids(found)) == undivided(provider, DAY, NEXT_DAY)
    assert len(provider.requests) == 1


@pytest.mark.parametrize("rule", WITHIN, ids=str)
async def test_the_only_call_lies_over_a_boundary(make_client: MakeClient, rule: DateRule) -> None:
    """No window holds the only call, so that nothing but the undivided request can show it."""
    provider = Provider([call(f"{DAY + HOUR - 30 * SECOND}")], filter_mode=rule)
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR)
    with pytest.raises(ContractError, match="over the boundary"):
        await stream.to_list()
    assert stream.coverage.sealed == ()


@pytest.mark.parametrize("rule", WITHIN, ids=str)
async def test_the_only_call_lies_over_the_seam_of_two_runs(
    make_client: MakeClient, rule: DateRule
) -> None:
    """Neither run held the only call: the second, though it is one window, asks beyond the seam."""
    provider = Provider([call(f"{DAY + 12 * HOUR - 30 * SECOND}")], filter_mode=rule)
    client = make_client(provider)
    first = client.cdrs(DAY, DAY + 12 * HOUR, window=timedelta(days=1))
    assert await first.to_list() == []
    second = client.cdrs(DAY, NEXT_DAY, window=timedelta(days=1), resume=first.coverage)
    with pytest.raises(ContractError, match="over the boundary"):
        await second.to_list()


@pytest.mark.parametrize(
    ("rule", "start", "end"),
    [
        *((rule, "01:16:17", "02:16:17") for rule in WITHIN),
        (DateRule("within", include_from=False, include_to=False), "01:14:59", "01:15:00"),
    ],
    ids=str,
)
async def test_the_only_call_lies_next_to_a_clock_change(
    make_client: MakeClient, rule: DateRule, start: str, end: str
) -> None:
    """Where the wall clock jumps no rule can be decided: what only the whole range has raises."""
    night = datetime(2024, 3, 31, 1)  # noqa: DTZ001 - the wall clock
    provider = Provider([call(f"2024-03-31 {start}", end=f"2024-03-31 {end}")], filter_mode=rule)
    stream = make_client(provider).cdrs(night, night + 2 * HOUR, window=15 * MINUTE)
    with pytest.raises(ContractError, match="over the boundary"):
        await stream.to_list()
    assert stream.coverage.sealed == ()


@pytest.mark.parametrize("rule", MODES, ids=str)
async def test_a_call_over_the_boundary_of_an_honest_server(
    make_client: MakeClient, rule: DateRule
) -> None:
    """By every other rule the same call is handed over, once."""
    provider = Provider([call(f"{DAY + HOUR - 30 * SECOND}", "over")], filter_mode=rule)
    client = make_client(provider, contract=None)
    assert ids(await client.cdrs(DAY, NEXT_DAY, window=HOUR).to_list()) == ["over"]
    assert client.contract.rule is None


async def test_nothing_is_sealed_before_it_is_proved(make_client: MakeClient) -> None:
    """While windows may lose calls, none is sealed; at the end of a run without calls all are."""
    client = make_client(Provider(), contract=None)
    stream = client.cdrs(DAY, NEXT_DAY, window=HOUR)
    async for _ in stream.batches():
        assert stream.coverage.sealed == ()
    assert stream.coverage.sealed == (Window(DAY, NEXT_DAY),)
    assert stream.stats.covered == 1.0
    assert stream.stats.requests == 25


@pytest.mark.parametrize("rule", DATE_RULES, ids=str)
async def test_a_call_that_is_added_during_the_run(make_client: MakeClient, rule: DateRule) -> None:
    """One within a window that was answered before is new, and not one that the windows lost."""
    provider = Provider([call(f"{DAY + 20 * HOUR}", end=f"{DAY + 20 * HOUR}")], filter_mode=rule)
    added = DAY + 3 * HOUR + 30 * MINUTE

    async def add(_: Received) -> None:
        if len(provider.requests) == 5:  # the undivided request at the end
            provider.add(call(f"{added}", end=f"{added + SECOND}"))

    provider.gate = add
    stream = make_client(provider, contract=None).cdrs(DAY, NEXT_DAY, window=6 * HOUR)
    assert len(await stream.to_list()) == 1
    assert len(provider.requests) == 5


async def test_one_record_beyond_its_window_is_proof_enough(make_client: MakeClient) -> None:
    """A call over a boundary that comes excludes the rule, without a request more."""
    rows = [*many(24), call(f"{DAY + HOUR - 30 * SECOND}")]
    provider = Provider(rows, filter_mode="start")
    client = make_client(provider, contract=None, concurrency=1)
    await client.cdrs(DAY, NEXT_DAY, window=HOUR).to_list()
    assert len(provider.requests) == 24


async def test_a_known_call_decides(make_client: MakeClient) -> None:
    """Where no call reaches beyond its window, two requests at most decide, once for a client."""
    for rule in MODES:
        provider = Provider(many(24), filter_mode=rule)
        client = make_client(provider, contract=None)
        for more in (2, 0):
            before = len(provider.requests)
            found = await client.cdrs(DAY, NEXT_DAY, window=HOUR).to_list()
            assert len(found) == 24
            assert 24 <= len(provider.requests) - before <= 24 + more


async def test_a_contract_that_the_answers_contradict(make_client: MakeClient) -> None:
    """A record beyond its window shows that the rule is not within, whatever the contract says."""
    provider = Provider([call(f"{DAY + HOUR - 30 * SECOND}")], filter_mode="start")
    contract = Contract(rule="within", longest_call=MINUTE)
    client = make_client(provider, contract=contract)
    with pytest.raises(ContractError, match="does not follow the rule within"):
        await client.cdrs(DAY, NEXT_DAY, window=HOUR).to_list()


async def test_a_call_longer_than_half_of_the_longest(make_client: MakeClient) -> None:
    """A call that comes near to the longest shows that a longer one may be lost: it raises."""
    provider = Provider(many(24, length=31 * MINUTE), filter_mode=WITHIN[0])
    contract = Contract(rule="within", longest_call=HOUR)
    with pytest.raises(ContractError, match=r"0:31:00, more than half .* 1:00:00"):
        await make_client(provider, contract=contract).cdrs(DAY, NEXT_DAY, window=HOUR).to_list()
    contract = attrs.evolve(contract, longest_call=62 * MINUTE)
    client = make_client(provider, contract=contract)
    assert len(await client.cdrs(DAY, NEXT_DAY, window=HOUR).to_list()) == 24


async def test_a_coverage_knows_its_overlap(make_client: MakeClient) -> None:
    """A coverage that was made under another contract is refused where calls could be missing."""
    provider = Provider(many(24), filter_mode=WITHIN[0])
    coverages = {}
    for hours in (1, 2):
        contract = Contract(rule="within", longest_call=hours * HOUR)
        stream = make_client(provider, contract=contract).cdrs(DAY, NEXT_DAY)
        await stream.to_list()
        coverages[hours] = stream.coverage
    with pytest.raises(UsageError, match="longest_call"):
        make_client(provider, contract=contract).cdrs(DAY, NEXT_DAY, resume=coverages[1])
    client = make_client(provider, contract=contract)
    assert await client.cdrs(DAY, NEXT_DAY, resume=coverages[2]).to_list() == []


def test_within_needs_the_longest_call() -> None:
    """Without it no window can be right, which is said before any request."""
    with pytest.raises(ConfigurationError, match="longest_call"):
        BoxisClient("a@example.com", "key", contract=Contract(rule="within"))


@pytest.mark.parametrize("days", [36526, 600_000_000, timedelta.max.days])
def test_a_longest_call_that_cannot_be_meant(days: int) -> None:
    """Windows that overlap by more than any time there is are refused; elsewhere it counts not."""
    longest = timedelta(days=days, hours=23)
    with pytest.raises(ConfigurationError, match="longest_call must be a hundred years at most"):
        BoxisClient("a@example.com", "key", contract=Contract(rule="within", longest_call=longest))
    for rule in (None, "start"):
        contract = Contract(rule=rule, longest_call=longest)
        client = BoxisClient("a@example.com", "key", tenant="T", contract=contract)
        assert client.cdrs(DAY, NEXT_DAY, window=HOUR).plan()[1].start == DAY + HOUR - SECOND


# Caps


@pytest.mark.slow
@pytest.mark.parametrize("keeps", KEEPS)
@pytest.mark.parametrize("cap", [100, 500, 1000])
@pytest.mark.parametrize("window", [None, 6 * HOUR, timedelta(days=1)], ids=str)
async def test_a_cap_is_found(
    make_client: MakeClient,
    caplog: pytest.LogCaptureFixture,
    cap: int,
    keeps: Literal["first", "last"],
    window: timedelta | None,
) -> None:
    """Answers that are cut off are never handed over: the cap is found, logged once, and minded."""
    provider = Provider(
        busy(days=4, calls_per_day=cap + cap // 10),
        filter_mode="overlap",
        row_limit=cap,
        row_limit_keeps=keeps,
    )
    client = make_client(provider)
    for _ in range(2):
        found = await client.cdrs(*FOUR_DAYS, window=window).to_list()
        assert sorted(ids(found)) == undivided(provider, *FOUR_DAYS)
    assert client.contract.row_cap in {cap, None}
    assert len([text for text in warnings_in(caplog) if "cuts answers off" in text]) == (
        client.contract.row_cap is not None
    )
    assert client.contract.row_cap == cap or window != timedelta(days=1)


@pytest.mark.parametrize("keeps", KEEPS)
@pytest.mark.parametrize("unreadable", ["the last", "the first", "all"])
async def test_a_cap_cuts_off_what_cannot_be_read(
    make_client: MakeClient, keeps: Literal["first", "last"], unreadable: str
) -> None:
    """A record that cannot be read counts in a proof like any other: none is missing in rejects."""
    rows = many(150)
    chosen = {"the last": rows[100:], "the first": rows[:50], "all": rows}[unreadable]
    for row in chosen:
        row["duration"] = "12.885"
    provider = Provider(rows, filter_mode="start", row_limit=100, row_limit_keeps=keeps)
    stream = make_client(provider).cdrs(
        DAY, NEXT_DAY, window=timedelta(days=1), bad_records="collect"
    )
    found = await stream.to_list()
    rejects = [str(reject.row["uniqueid"]) for reject in stream.rejects]
    assert sorted([*ids(found), *rejects]) == undivided(provider, DAY, NEXT_DAY)


@pytest.mark.parametrize("keeps", KEEPS)
async def test_a_cap_on_everything(
    make_client: MakeClient, keeps: Literal["first", "last"]
) -> None:
    """Without dates there are no halves, so that a cap is an error that says what to do."""
    provider = Provider(busy(days=2, calls_per_day=150), row_limit=200, row_limit_keeps=keeps)
    with pytest.raises(WindowError, match="give datefrom and dateto"):
        await make_client(provider).cdrs().to_list()
    provider.row_limit = None
    assert len(await make_client(provider).cdrs().to_list()) == 300


@pytest.mark.parametrize("keeps", KEEPS)
@pytest.mark.parametrize("seconds", [0, 1, 60])
@pytest.mark.parametrize("rule", WITHIN, ids=str)
async def test_a_cap_cuts_off_the_call_over_the_halves(
    make_client: MakeClient, rule: DateRule, seconds: int, keeps: Literal["first", "last"]
) -> None:
    """Where halves may lose a call, they cannot show that an answer is whole: it raises."""
    noon, length = DAY + 12 * HOUR, seconds * SECOND
    begin = DAY + HOUR if keeps == "first" else noon + HOUR
    short = [begin + number * MINUTE for number in range(100)]
    over = noon - 7 * HOUR, noon + 7 * HOUR
    rows = [call(f"{start}", end=f"{start + length}") for start in short]
    rows.insert(100 if keeps == "first" else 0, call(f"{over[0]}", end=f"{over[1]}"))
    provider = Provider(rows, filter_mode=rule, row_limit=100, row_limit_keeps=keeps)
    with pytest.raises(ContractError, match="whether more were cut off cannot be shown") as caught:
        await make_client(provider, contract=None).cdrs(DAY, NEXT_DAY, window=24 * HOUR).to_list()
    assert caught.value.tenant == provider.tenant
    assert provider.tenant in str(caught.value)


@pytest.mark.parametrize("row_limit", [None, 100])
@pytest.mark.parametrize("rule", WITHIN, ids=str)
async def test_a_cap_cuts_off_the_last_request_of_a_run(
    make_client: MakeClient, rule: DateRule, row_limit: int | None
) -> None:
    """A run that saw no call of any length is not complete by an answer that may be cut off."""
    starts = [DAY + number * 6 * MINUTE for number in range(1, 240)]
    rows = [call(f"{start}", end=f"{start}") for start in starts]
    rows.append(call(f"{DAY + 5 * HOUR}", end=f"{DAY + 22 * HOUR}"))
    provider = Provider(rows, filter_mode=rule, row_limit=100)
    stream = make_client(provider, contract=None).cdrs(
        DAY, NEXT_DAY, window=6 * HOUR, row_limit=row_limit
    )
    with pytest.raises(ContractError):
        await stream.to_list()
    assert stream.coverage.sealed == ()


async def test_halves_that_overlap_by_hours_are_few(make_client: MakeClient) -> None:
    """Where no window is small enough for the cap, the error comes after a few requests."""
    provider = Provider(many(2400), filter_mode=DateRule("within"), row_limit=100)
    contract = Contract(rule="within", longest_call=HOUR, row_cap=100)
    stream = make_client(provider, contract=contract).cdrs(DAY, DAY + 6 * HOUR, window=6 * HOUR)
    with pytest.raises(WindowError, match="no smaller window can be asked for"):
        await stream.to_list()
    assert len(provider.requests) < 70
    provider.row_limit = 300
    contract = attrs.evolve(contract, row_cap=300)
    stream = make_client(provider, contract=contract).cdrs(DAY, DAY + 6 * HOUR, window=6 * HOUR)
    assert sorted(ids(await stream.to_list())) == undivided(provider, DAY, DAY + 6 * HOUR)


def at_once(count: int, *, start: datetime, hours: int) -> list[Row]:
    """Make calls that all run at the same time, each of them some hours long."""
    starts = [start + number * SECOND for number in range(count)]
    return [call(f"{begin}", end=f"{begin + hours * HOUR}") for begin in starts]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("window", [None, HOUR, timedelta(days=1)], ids=str)
@pytest.mark.parametrize("keeps", KEEPS)
async def test_more_calls_at_a_time_than_the_cap(
    make_client: MakeClient, keeps: Literal["first", "last"], window: timedelta | None, order: Order
) -> None:
    """No window is small enough then, which some requests find out, and not thousands."""
    rows = [*at_once(15, start=DAY + 8 * HOUR, hours=7), *many(30, length=SECOND)]
    provider = Provider(rows, filter_mode="overlap", row_limit=10, row_limit_keeps=keeps)
    stream = make_client(provider, contract=Contract(rule="overlap", row_cap=10)).cdrs(
        DAY, NEXT_DAY, window=window, order=order
    )
    # In order of completion the window at the end of such hours may fail first, at its start.
    with pytest.raises((ContractError, WindowError), match=r"no (smaller window|window is small)"):
        await stream.to_list()
    assert len(provider.requests) < (50 if window != HOUR else 150)


@pytest.mark.parametrize("keeps", KEEPS)
async def test_more_calls_at_a_time_than_a_cap_that_is_not_known(
    make_client: MakeClient, keeps: Literal["first", "last"]
) -> None:
    """The cap is found first, and then that no window is small enough."""
    rows = [*at_once(150, start=DAY + 8 * HOUR, hours=7), *many(300, length=SECOND)]
    provider = Provider(rows, filter_mode="overlap", row_limit=100, row_limit_keeps=keeps)
    with pytest.raises(ContractError, match="no window is small enough") as caught:
        await make_client(provider).cdrs(DAY, NEXT_DAY).to_list()
    assert caught.value.window is not None
    assert len(provider.requests) < 60


async def test_more_calls_at_a_time_than_the_cap_for_hours(make_client: MakeClient) -> None:
    """What can be had around such hours is collected, and they are failures."""
    rows = [*at_once(15, start=DAY + 8 * HOUR, hours=7), *many(30, length=SECOND)]
    provider = Provider(rows, filter_mode="overlap", row_limit=10)
    client = make_client(provider, contract=Contract(rule="overlap", row_cap=10))
    stream = client.cdrs(DAY, NEXT_DAY, on_error="collect")
    found = await stream.to_list()
    assert len(provider.requests) < 300
    failed = [error.window for error in stream.failures if error.window is not None]
    assert failed
    for window in failed:
        assert window.start is not None
        assert window.end is not None
        assert DAY + 7 * HOUR < window.start < window.end < DAY + 16 * HOUR
    missing = set(undivided(Provider(rows, filter_mode="overlap"), DAY, NEXT_DAY)) - set(ids(found))
    assert all(
        any(
            f"{span.start}" <= f"{row['end']}" and f"{row['start']}" <= f"{span.end}"
            for span in failed
        )
        for row in rows
        if row["uniqueid"] in missing
    )


@pytest.mark.parametrize("order", ORDERS)
async def test_one_second_with_more_calls_than_the_cap(
    make_client: MakeClient, order: Order
) -> None:
    """It costs its two seconds alone, and a run that stops there asks for less than all."""
    crowd = DAY + 5 * HOUR
    rows = [*many(120, length=SECOND), *(call(f"{crowd}") for _ in range(15))]
    provider = Provider(rows, filter_mode="start", row_limit=10)
    contract = Contract(rule="start", row_cap=10)
    stream = make_client(provider, contract=contract).cdrs(
        DAY, NEXT_DAY, window=timedelta(days=1), on_error="collect", order=order
    )
    assert len(await stream.to_list()) == 120
    assert {error.window and error.window.length for error in stream.failures} == {2 * SECOND}
    requests = len(provider.requests)
    with pytest.raises(WindowError, match="no smaller window can be asked for"):
        await (
            make_client(provider, contract=contract)
            .cdrs(DAY, NEXT_DAY, window=timedelta(days=1), order=order)
            .to_list()
        )
    assert len(provider.requests) - requests < requests


async def test_a_known_cap_spares_the_proof(make_client: MakeClient) -> None:
    """A contract that names a cap, or how large answers are whole, costs no request more."""
    provider = Provider(many(300))
    for known in (
        {"contract": Contract(row_cap=301)},
        {"contract": Contract(no_cap_up_to=301)},
    ):
        before = len(provider.requests)
        client = make_client(provider, **known)
        assert len(await client.cdrs(DAY, NEXT_DAY).to_list()) == 300
        assert len(provider.requests) - before == 1
    before = len(provider.requests)
    assert len(await make_client(provider).cdrs(DAY, NEXT_DAY, row_limit=301).to_list()) == 300
    assert len(provider.requests) - before == 1


async def test_a_cap_of_a_contract_is_minded(make_client: MakeClient) -> None:
    """Answers of as many records are asked for in halves, from the first on."""
    provider = Provider(many(300), row_limit=100)
    client = make_client(provider, contract=Contract(rule="start", row_cap=100))
    assert len(await client.cdrs(DAY, NEXT_DAY).to_list()) == 300


async def test_what_a_proof_costs_on_an_honest_server(make_client: MakeClient) -> None:
    """A small answer needs no proof, a large one a request; then a client has done with it."""
    provider = Provider(busy(days=30, calls_per_day=300))
    client = make_client(provider)
    small = DAY, DAY + 6 * HOUR
    assert len(await client.cdrs(*small).to_list()) == 75
    assert len(provider.requests) == 1
    middle = DAY + timedelta(days=10)
    assert len(await client.cdrs(middle, middle + timedelta(days=1)).to_list()) == 300
    assert len(provider.requests) == 3
    for day in range(30):
        start = DAY + timedelta(days=day)
        await client.cdrs(start, start + timedelta(days=1)).to_list()
    assert len(provider.requests) == 33


async def test_records_that_are_added_during_a_proof(make_client: MakeClient) -> None:
    """Records that appear between the requests of a proof are not taken for a cap."""
    provider = Provider(many(200), filter_mode="start")
    late = many(80, start=DAY + SECOND)

    async def add(_: Received) -> None:
        if late:
            provider.add(late.pop())

    provider.gate = add
    client = make_client(provider)
    found = await client.cdrs(DAY, NEXT_DAY, window=timedelta(days=1)).to_list()
    assert len(found) >= 200
    assert client.contract.row_cap is None


async def test_records_that_are_replaced_during_a_proof(make_client: MakeClient) -> None:
    """Where some are removed and others added, the later answer is handed over."""
    rows = many(150)
    provider = Provider(rows)
    turns = iter(rows[:3])

    async def replace(request: Received) -> None:
        if provider.requests.index(request) in {2, 5} and (row := next(turns, None)):
            provider.remove(uniqueid=row["uniqueid"])
            provider.add(call(f"{DAY + 3 * HOUR}"))

    provider.gate = replace
    client = make_client(provider)
    found = await client.cdrs(DAY, NEXT_DAY, window=timedelta(days=1)).to_list()
    assert len(found) == 150
    assert client.contract.row_cap is None


async def test_many_records_in_one_second(make_client: MakeClient) -> None:
    """What no smaller window can prove, another one with more records does; else it raises."""
    rows = [call(f"{DAY + HOUR}", sequence=f"{number}") for number in range(1, 151)]
    client = make_client(Provider(rows))
    with pytest.raises(ContractError, match=r"150 records .* one second"):
        await client.cdrs(DAY, NEXT_DAY, window=timedelta(days=1)).to_list()
    provider = Provider([*rows, call(f"{DAY + 20 * timedelta(days=1)}")])
    found = await make_client(provider).cdrs(DAY, NEXT_DAY, window=timedelta(days=1)).to_list()
    assert len(found) == 150


async def test_a_proof_that_the_server_does_not_answer(make_client: MakeClient) -> None:
    """A longer window that is too much for the server shows nothing: the halves are asked for."""
    provider = Provider(many(200))

    def too_long(request: Received) -> Fault | None:
        is_long = request.datefrom is not None and request.datefrom < f"{DAY}"
        return Fault.status(504) if is_long else None

    provider.faults = too_long
    client = make_client(provider)
    assert len(await client.cdrs(DAY, NEXT_DAY, window=timedelta(days=1)).to_list()) == 200


async def test_a_proof_that_fails_is_a_failure_of_its_window(make_client: MakeClient) -> None:
    """What cannot be proved is not handed over; it is collected as any other failure."""
    provider = Provider(many(200))
    provider.faults = lambda _: None if len(provider.requests) == 1 else Fault.status(403)
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=timedelta(days=1), on_error="collect")
    assert await stream.to_list() == []
    assert [error.window for error in stream.failures] == [Window(DAY, NEXT_DAY)]


async def test_a_consumer_that_waits_for_moments_only(make_client: MakeClient) -> None:
    """A proof is made by the stream's own task: a time-out around an item does not stop it."""
    provider = Provider(busy(days=3, calls_per_day=200))
    stream = make_client(provider, contract=None).cdrs(
        DAY, DAY + timedelta(days=3), window=timedelta(days=1)
    )
    found = 0
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                try:
                    await anext(stream)
                except StopAsyncIteration:
                    break
                found += 1
    assert found == 600


@pytest.mark.parametrize("days", [200, 5000])
@pytest.mark.parametrize("kind", ["without a length", "of a second", "in one second", "at once"])
async def test_what_only_a_far_call_proves(make_client: MakeClient, kind: str, days: int) -> None:
    """On an honest server nothing is raised, however far away the call is that proves it."""
    rows = {
        "without a length": many(150, length=0 * SECOND),
        "of a second": many(150, length=SECOND),
        "in one second": [call(f"{DAY + HOUR}", sequence=f"{number}") for number in range(150)],
        "at once": at_once(150, start=DAY + 2 * HOUR, hours=2),
    }[kind]
    rows.append(call(f"{DAY - timedelta(days=days)}"))
    provider = Provider(rows, filter_mode="overlap")
    stream = make_client(provider, contract=None).cdrs(DAY, NEXT_DAY, window=timedelta(days=1))
    assert sorted(ids(await stream.to_list())) == undivided(provider, DAY, NEXT_DAY)
    assert len(provider.requests) < 60


def decides_by_a_second(rule: DateRule) -> bool:
    """Tell whether a window with only one end of a call of a second may have it."""
    has_its_start = rule.include_to and rule.by != "end"
    return has_its_start or (rule.include_from and rule.by != "start")


@pytest.mark.parametrize("rule", [*filter(decides_by_a_second, MODES)], ids=str)
async def test_calls_of_a_second_exclude_within(make_client: MakeClient, rule: DateRule) -> None:
    """A window up to such a call's start, or from its end on, has it if a server includes that."""
    provider = Provider(many(150, length=SECOND), filter_mode=rule)
    stream = make_client(provider, contract=None).cdrs(DAY, NEXT_DAY, window=timedelta(days=1))
    assert len(await stream.to_list()) == 150
    assert len(provider.requests) < 10


@pytest.mark.parametrize("rule", WITHIN, ids=str)
@pytest.mark.parametrize("length", [0, 1])
async def test_calls_of_a_second_never_show_another_rule(
    make_client: MakeClient, rule: DateRule, length: int
) -> None:
    """Under within no window shows otherwise, so that it stays open."""
    provider = Provider(many(150, length=length * SECOND), filter_mode=rule)
    client = make_client(provider, contract=None)
    with pytest.raises(ContractError, match="whether more were cut off cannot be shown"):
        await client.cdrs(DAY, NEXT_DAY, window=timedelta(days=1)).to_list()


async def test_what_no_request_can_prove(make_client: MakeClient) -> None:
    """Where nobody has more calls than came, a cap of just so many may hide a longer one."""
    provider = Provider(many(150, length=0 * SECOND), filter_mode="start")
    day = timedelta(days=1)
    with pytest.raises(ContractError, match="whether more were cut off cannot be shown"):
        await make_client(provider, contract=None).cdrs(DAY, NEXT_DAY, window=day).to_list()
    for contract in (Contract(rule="start"), Contract(no_cap_up_to=151)):
        client = make_client(provider, contract=contract)
        assert len(await client.cdrs(DAY, NEXT_DAY, window=day).to_list()) == 150


# Dates that are ignored


async def test_dates_that_are_ignored(
    make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Every answer holds everything: one is enough, which is logged once."""
    provider = Provider(busy(days=4, calls_per_day=50), ignore_dates=True)
    client = make_client(provider, concurrency=1)
    for requests in (2, 1):
        before = len(provider.requests)
        stream = client.cdrs(*FOUR_DAYS, window=HOUR)
        assert sorted(ids(await stream.to_list())) == undivided(provider, *FOUR_DAYS)
        assert stream.stats.covered == 1.0
        assert len(provider.requests) - before == requests
    assert client.contract.dates_ignored is True
    assert len([text for text in warnings_in(caplog) if "ignores the two dates" in text]) == 1


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("count", [1, 2, 30])
async def test_dates_that_are_ignored_show_in_a_proof(
    make_client: MakeClient, count: int, order: Order
) -> None:
    """Where all calls lie in one window, the proof about the rule shows that dates are ignored."""
    rows = [call(f"{DAY + 2 * MINUTE * number}") for number in range(1, count + 1)]
    provider = Provider(rows, ignore_dates=True)
    client = make_client(provider, contract=None, concurrency=1)
    stream = client.cdrs(DAY, NEXT_DAY, window=2 * HOUR, order=order)
    assert sorted(ids(await stream.to_list())) == undivided(provider, DAY, NEXT_DAY)
    assert client.contract.dates_ignored is True


@pytest.mark.parametrize("rule", MODES, ids=str)
async def test_a_record_of_an_earlier_run_is_not_lost(
    make_client: MakeClient, rule: DateRule
) -> None:
    """Next to a clock change no rule is decided, but the coverage knows what was handed over."""
    night = datetime(2024, 3, 31)  # noqa: DTZ001 - the wall clock
    rows = [
        call(f"{night + 20 * MINUTE}"),
        call("2024-03-31 01:10:00", end="2024-03-31 03:10:00"),
    ]
    provider = Provider(rows, filter_mode=rule)
    found: list[str] = []
    coverage: Coverage | None = None
    for end in (night + HOUR * 1.5, night + 5 * HOUR):
        stream = make_client(provider, contract=None).cdrs(
            night, end, window=15 * MINUTE, resume=coverage
        )
        found += ids(await stream.to_list())
        coverage = stream.coverage
    assert sorted(found) == undivided(provider, night, night + 5 * HOUR)


async def test_a_contract_says_that_dates_are_ignored(make_client: MakeClient) -> None:
    """Then one request is sent for a range, from the first on."""
    provider = Provider(busy(days=4, calls_per_day=50), ignore_dates=True)
    client = make_client(provider, contract=Contract(dates_ignored=True))
    assert len(await client.cdrs(*FOUR_DAYS, window=HOUR).to_list()) == 200
    assert len(provider.requests) == 1


async def test_dates_that_are_ignored_at_times(make_client: MakeClient) -> None:
    """An answer from outside of its window that another one does not hold raises."""
    provider = Provider(busy(days=4, calls_per_day=50), ignore_dates=True)

    async def forget(_: Received) -> None:
        provider.ignore_dates = len(provider.requests) == 1

    provider.gate = forget
    with pytest.raises(ContractError, match="from outside of it"):
        await make_client(provider, concurrency=1).cdrs(*FOUR_DAYS, window=HOUR).to_list()


def keep_the_second(provider: Provider) -> asyncio.Event:
    """Keep the second request waiting until an event is set."""
    go_on = asyncio.Event()

    async def gate(request: Received) -> None:
        if provider.requests.index(request) == 1:
            await go_on.wait()

    provider.gate = gate
    return go_on


async def test_an_answer_that_holds_less_than_everything(make_client: MakeClient) -> None:
    """Where dates are ignored, an answer with fewer records than an earlier one raises."""
    provider = Provider(busy(days=4, calls_per_day=50), ignore_dates=True)
    go_on = keep_the_second(provider)
    client = make_client(provider, concurrency=2)
    stream = client.cdrs(*FOUR_DAYS, window=HOUR, order="completion")
    async for batch in stream.batches():
        assert len(batch.cdrs) == 200
        break
    provider.ignore_dates = False
    go_on.set()
    with pytest.raises(ContractError, match=r"an answer holds 2 records where .* held 200"):
        await stream.to_list()


async def test_an_answer_with_others_than_everything(make_client: MakeClient) -> None:
    """As many records as before, but not the same: the answers of such a server are cut off."""
    provider = Provider(busy(days=4, calls_per_day=50), ignore_dates=True, row_limit=150)
    go_on = keep_the_second(provider)
    client = make_client(provider, concurrency=2)
    stream = client.cdrs(*FOUR_DAYS, window=HOUR, order="completion")
    async for batch in stream.batches():
        assert len(batch.cdrs) == 150
        break
    provider.row_limit_keeps = "last"
    go_on.set()
    with pytest.raises(ContractError, match=r"holds 150 records where .* 150: it lacks 50"):
        await stream.to_list()


@pytest.mark.parametrize("window", [None, HOUR, timedelta(days=1)], ids=str)
@pytest.mark.parametrize("known", ["contract", "row_limit"])
async def test_dates_that_are_ignored_and_a_cap(
    make_client: MakeClient, window: timedelta | None, known: str
) -> None:
    """No window brings what is cut off, so that it raises at once where the cap is known."""
    provider = Provider(busy(days=4, calls_per_day=5), ignore_dates=True, row_limit=15)
    contract = Contract(row_cap=15) if known == "contract" else None
    stream = make_client(provider, contract=contract).cdrs(
        *FOUR_DAYS, window=window, row_limit=15 if known == "row_limit" else None
    )
    with pytest.raises((ContractError, WindowError)):
        await stream.to_list()
    assert stream.coverage.sealed == ()
    assert len(provider.requests) < (20 if known == "contract" else 150)


async def test_a_run_cannot_be_resumed_where_dates_are_ignored(make_client: MakeClient) -> None:
    """The answer would hold again what was handed over."""
    provider = Provider(busy(days=4, calls_per_day=50))
    stream = make_client(provider).cdrs(DAY, NEXT_DAY)
    await stream.to_list()
    provider.ignore_dates = True
    for contract in (None, Contract(dates_ignored=True)):
        again = make_client(provider, contract=contract).cdrs(*FOUR_DAYS, resume=stream.coverage)
        with pytest.raises(ContractError, match="cannot be resumed"):
            await again.to_list()


# Errors


async def test_the_error_says_what_to_do_and_shows_nobody(make_client: MakeClient) -> None:
    """It names window, tenant and evidence, and points at the probe; no number is in it."""
    provider = Provider(many(50), filter_mode=WITHIN[0])
    stream = make_client(provider).cdrs(DAY, NEXT_DAY, window=HOUR, on_error="collect")
    with pytest.raises(ContractError, match="boxis probe") as caught:
        await stream.to_list()
    assert caught.value.window is not None
    assert caught.value.tenant == provider.tenant
    assert provider.tenant in str(caught.value)
    assert "0041445550123" not in str(caught.value)
