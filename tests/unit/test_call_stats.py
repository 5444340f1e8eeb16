"""Calls counted from their legs, against a count by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

import attrs
from hypothesis import given
from hypothesis import strategies as st

from boxis_async import CDR, Disposition, group_calls
from boxis_async.call_stats import CallStats, Totals

if TYPE_CHECKING:
    from collections.abc import Iterable

START = datetime(2026, 10, 1, 8, tzinfo=UTC)

legs_of_few_calls = st.lists(
    st.builds(
        CDR,
        uniqueid=st.sampled_from(["u1", "u2", "u3", ""]),
        linkedid=st.sampled_from(["c1", "c2", ""]),
        sequence=st.none() | st.integers(0, 3),
        start=st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 4), timezones=st.just(UTC)),  # noqa: DTZ001
        clid=st.sampled_from(["0041440000001", '"A" <0041440000002>', ""]),
        src=st.just("0041440000003"),
        dst=st.sampled_from(["0041440000004", "201"]),
        billsec=st.none() | st.integers(0, 100),
        cc_cost=st.none() | st.decimals(0, 10, places=4),
        userfield=st.sampled_from(["[inbound]", "[outbound]", "[local]", ""]),
        disposition=st.sampled_from([None, *Disposition, Disposition("VOICEMAIL")]),
    ),
    max_size=12,
)


def leg(call: str = "c", **fields: object) -> CDR:
    return attrs.evolve(CDR(linkedid=call, start=START, userfield="[inbound]"), **fields)


def stats_of(legs: Iterable[CDR]) -> CallStats:
    stats = CallStats()
    stats.add(group_calls(legs))
    return stats


def everything(stats: CallStats) -> tuple[object, ...]:
    return (
        stats.total,
        stats.by_day(),
        stats.by_hour(),
        stats.by_direction(),
        stats.by_outcome(),
        stats.by_number(99),
        stats.by_dialled(99),
        stats.by_answerer(99),
        stats.by_extension(99),
        stats.by_cc_date(),
        stats.waits(),
        stats.dispositions,
    )


def test_a_call_that_somebody_answered_was_not_missed() -> None:
    """In a queue some telephones are not answered; the call counts once, and as answered."""
    stats = stats_of([
        leg(disposition=Disposition.NO_ANSWER, sequence=1),
        leg(disposition=Disposition.BUSY, sequence=2),
        leg(disposition=Disposition.ANSWERED, sequence=3, billsec=60, answer=START,
            end=START + timedelta(minutes=1), dstchannel="SIP/301-1", cc_cost=Decimal("0.1")),
        leg("d", disposition=Disposition.NO_ANSWER, cc_cost=Decimal("0.2")),
        leg("e", disposition=Disposition.NO_ANSWER, userfield="[outbound]"),
    ])  # fmt: skip
    assert stats.total == Totals(
        calls=3, legs=5, answered=1, missed=1, talk=60, cost=Decimal("0.3")
    )
    assert stats.dispositions == {"NO ANSWER": 3, "BUSY": 1, "ANSWERED": 1}


@given(legs_of_few_calls)
def test_costs_do_not_depend_on_the_decimal_context(legs: list[CDR]) -> None:
    """No digit of a cost is lost, whatever precision the program set for its own decimals."""
    with localcontext() as context:
        context.prec = 2
        narrow = everything(stats_of(legs))
        calls = group_calls(legs)
    assert narrow == everything(stats_of(legs))
    assert calls == group_calls(legs)


def test_a_box_and_a_machine_are_counted_apart() -> None:
    """Voicemail and an announcement are missed calls, and each has a figure of its own."""
    answered = {"disposition": Disposition.ANSWERED, "billsec": 30}
    total = stats_of([leg("a", lastapp="VoiceMail", **answered), leg("b", **answered)]).total
    assert total == Totals(calls=2, legs=2, missed=2, voicemail=1, machine=1)


def test_a_call_counts_where_its_first_leg_began() -> None:
    """A call that runs past midnight, or past the hour, is counted once."""
    late = START.replace(hour=23, minute=59)
    stats = stats_of([leg(start=START.replace(day=2, hour=0)), leg(start=late, billsec=9)])
    assert stats.by_day() == {date(2026, 10, 1): Totals(calls=1, legs=2, missed=1)}
    assert list(stats.by_hour()) == [23]


def test_the_number_is_the_party_outside() -> None:
    """Who called in, by `clid` before `src`; what was dialled at first; nobody for a local call."""
    stats = stats_of([
        leg("a", clid='"Anna" <0041440000001>', src="201", dst="202"),
        leg("b", clid="", src="0041440000002"),
        leg("c", userfield="[outbound]", dst="203", firstdst="0041440000001", src="201"),
        leg("d", userfield="[outbound]", dst="0041440000003"),
        leg("e", userfield="[local]", src="201", dst="202"),
    ])  # fmt: skip
    assert {number: group.calls for number, group in stats.by_number(9).items()} == {
        "0041440000001": 2,
        "0041440000002": 1,
        "0041440000003": 1,
    }
    assert list(stats.by_number(1)) == ["0041440000001"]


def test_an_inbound_call_that_is_sent_out_again_is_inbound() -> None:
    """The first leg of a call decides its direction and its number."""
    stats = stats_of([
        leg(userfield="[outbound]", dst="0041440000009", start=START.replace(hour=9)),
        leg(clid="0041440000001"),
        leg("x", userfield=""),
    ])  # fmt: skip
    assert list(stats.by_direction()) == ["-", "inbound"]
    assert list(stats.by_number(9)) == ["0041440000001"]


def test_records_without_an_id_are_calls_of_their_own() -> None:
    """Two records without `linkedid` and `uniqueid` need not belong together."""
    assert stats_of([leg(""), leg("")]).total.calls == 2
    assert stats_of([leg("", uniqueid="u"), leg("", uniqueid="u")]).total.calls == 1


@given(legs=legs_of_few_calls, data=st.data())
def test_order_does_not_matter(legs: list[CDR], data: st.DataObject) -> None:
    """The totals are the same in whatever order the legs come, and in whatever batches."""
    calls = data.draw(st.permutations(group_calls(legs)))
    stats = CallStats()
    for call in calls:
        stats.add([call])
    assert everything(stats) == everything(stats_of(legs))


@given(legs=legs_of_few_calls)
def test_groups_add_up_to_the_total(legs: list[CDR]) -> None:
    """Each call is in one group of each kind that has all calls."""
    stats = stats_of(legs)
    assert stats.total.legs == len(legs)
    assert stats.total.calls == len(group_calls(legs))
    for groups in (stats.by_day(), stats.by_hour(), stats.by_direction(), stats.by_outcome()):
        for name in ("calls", "legs", "answered", "missed", "voicemail", "machine", "cost"):
            parts = (getattr(group, name) for group in groups.values())
            assert sum(parts) == getattr(stats.total, name)


def test_who_answered_and_by_which_line() -> None:
    """By who answered, by what was dialled, and by extension: made, and answered."""
    talk = {"disposition": Disposition.ANSWERED, "dstchannel": "SIP/301-1"}
    stats = stats_of([
        leg("a", firstdst="0445550100", **talk),
        leg("b", firstdst="+41445550100"),
        leg("c", userfield="[outbound]", realsrc="301", dst="0445550199",
            disposition=Disposition.ANSWERED, dstchannel="SIP/trunk-1"),
        leg("d", userfield="[local]", src="302", dst="301", **talk),
    ])  # fmt: skip
    assert {name: group.calls for name, group in stats.by_dialled(9).items()} == {"+41445550100": 2}
    assert {name: group.calls for name, group in stats.by_answerer(9).items()} == {"301": 2}
    assert {name: group.calls for name, group in stats.by_extension(9).items()} == {
        "301": 2,
        "302": 1,
    }
