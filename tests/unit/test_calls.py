"""Legs into calls: the values of `calls.json`, each rule by itself, and what holds for any legs."""

from __future__ import annotations

import gc
import json
import pickle
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from legs import legs_of

from boxis_async import (
    CDR,
    Call,
    Direction,
    Disposition,
    LateLegError,
    Outcome,
    UsageError,
    e164,
    group_calls,
)
from boxis_async._calls.closed import ClosedNames
from boxis_async._calls.open_calls import OpenCalls
from boxis_async.call_stats import CallStats

if TYPE_CHECKING:
    from collections.abc import Sequence

ZURICH = ZoneInfo("Europe/Zurich")
START = datetime(2026, 12, 1, 9, tzinfo=ZURICH)
MARGIN = timedelta(hours=4)
ANSWERED, NO_ANSWER = Disposition.ANSWERED, Disposition.NO_ANSWER
CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "calls.json").read_text("utf-8")
)
HERE, THERE = "sip022.voice.boxis.net", "sip046.voice.boxis.net"


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def leg(begin: float, end: float, *, answer: float | None = None, **fields: Any) -> CDR:  # noqa: ANN401
    """Make a leg of the inbound call "c", from one second to another."""
    given: dict[str, Any] = {
        "uniqueid": "c",
        "linkedid": "c",
        "userfield": "[inbound]",
        "disposition": NO_ANSWER if answer is None else ANSWERED,
    }
    answered = None if answer is None else at(answer)
    return CDR(start=at(begin), end=at(end), answer=answered, **(given | fields))


def only(*legs: CDR, **settings: Any) -> Call:  # noqa: ANN401
    (call,) = group_calls(legs, **settings)
    return call


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_known_calls(case: dict[str, Any]) -> None:
    """Real and realistic legs give the calls that they were."""
    legs = legs_of(case["legs"])
    calls = group_calls(legs)
    found = [call.to_dict() | {"month": f"{call.start:%Y-%m}"} for call in calls]
    wanted = case["calls"]
    assert [
        {name: one[name] for name in want} for one, want in zip(found, wanted, strict=True)
    ] == (wanted)
    if "ring_seconds" in case:
        rang = [leg.ring_time for leg in legs]
        assert rang == [timedelta(seconds=seconds) for seconds in case["ring_seconds"]]


def test_a_call_as_json() -> None:
    """A call becomes JSON with times and seconds as numbers, and a cost that keeps its digits."""
    call = only(
        leg(0, 65, answer=5, dstchannel="SIP/301-1", cc_cost=Decimal("0.50000"),
            clid='"Anna" <0041445550123>', firstdst="0445550100")
    )  # fmt: skip
    assert json.loads(json.dumps(call.to_dict())) == {
        "id": "c",
        "start": "2026-12-01T09:00:00+01:00",
        "end": "2026-12-01T09:01:05+01:00",
        "direction": "inbound",
        "caller_number": "0041445550123",
        "caller_name": "Anna",
        "dialled": "0445550100",
        "outside": "0041445550123",
        "outcome": "ANSWERED",
        "answered_by": "301",
        "answered": True,
        "missed": False,
        "wait_seconds": 5,
        "talk_seconds": 60,
        "cost": "0.50000",
        "legs": 1,
    }


def test_a_call_is_a_frozen_value() -> None:
    """A call cannot be changed, pickles, and shows how many legs it has rather than all of them."""
    call = only(leg(0, 9))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        call.talk = timedelta(1)  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(call)) == call
    assert repr(call).startswith("Call(legs=1 leg, start=")


@pytest.mark.parametrize("outcome", [*Outcome, Outcome("CANCEL")])
def test_each_outcome_has_a_meaning(outcome: Outcome) -> None:
    """Each word is explained in one sentence, and a word of the exchange's own passes through."""
    assert outcome.meaning.endswith(".")
    assert outcome.meaning.count(". ") == 0
    assert pickle.loads(pickle.dumps(outcome)) == outcome


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"disposition": NO_ANSWER}, "NO ANSWER"),
        ({"disposition": Disposition.BUSY}, "BUSY"),
        ({"disposition": None}, "UNKNOWN"),
        ({"disposition": Disposition("CANCEL")}, "CANCEL"),
        ({"disposition": Disposition("VOICEMAIL")}, "VOICEMAIL"),
        ({"disposition": ANSWERED}, "MACHINE"),
        ({"disposition": ANSWERED, "dstchannel": "SIP/301-1"}, "ANSWERED"),
        ({"disposition": ANSWERED, "dstchannel": "SIP/1-1", "lastdst": "Voicemail 1"}, "VOICEMAIL"),
        ({"disposition": ANSWERED, "lastapp": "VoiceMail"}, "VOICEMAIL"),
        ({"disposition": ANSWERED, "wherelanded": "VOICEMAIL 207"}, "VOICEMAIL"),
        ({"disposition": NO_ANSWER, "wherelanded": "Voicemail 207"}, "NO ANSWER"),
        ({"disposition": ANSWERED, "dstchannel": "Local/1@x-1;1"}, "MACHINE"),
        ({"disposition": ANSWERED, "dstchannel": "Local/1@x-1;1", "wherelanded": "N/A"}, "MACHINE"),
        ({"disposition": ANSWERED, "dstchannel": "Local/1@x-1;1", "wherelanded": "3"}, "ANSWERED"),
        ({"disposition": ANSWERED, "uniqueid": f"{HERE}-1.1", "dstchannel": f"SIP/{HERE}-1"},
         "ANSWERED"),
        ({"disposition": ANSWERED, "uniqueid": f"{HERE}-1.1", "dstchannel": f"SIP/{THERE}-1"},
         "MACHINE"),
    ],
)  # fmt: skip
def test_whom_a_single_leg_reached(fields: dict[str, Any], outcome: str) -> None:
    """One leg alone shows whether it reached a person, a box, a machine, or nobody."""
    assert only(leg(0, 9, **fields)).outcome == outcome


def test_a_hop_counts_by_the_legs_behind_it() -> None:
    """Whoever is named by a leg behind a hop answered; the hop's own time does not count."""
    hop = leg(0, 100, answer=0, dstchannel="Local/301@q-1;1", wherelanded="900", sequence=1)
    behind = leg(5, 100, answer=40, channel="Local/301@q-1;2", dstchannel="SIP/301-9", sequence=2)
    call = only(hop, behind)
    assert (call.answered_by, call.wait.seconds, call.talk.seconds) == ("301", 40, 60)
    in_vain = attrs.evolve(behind, disposition=NO_ANSWER, answer=None)
    assert only(hop, in_vain).answered_by == "900"
    nobody = attrs.evolve(hop, wherelanded="N/A")
    assert only(nobody, in_vain).outcome is Outcome.NO_ANSWER


def test_hops_in_a_chain_and_in_a_circle() -> None:
    """Of hops one behind the other only the last one counts, and a circle of them has an end."""
    first = leg(0, 90, answer=1, channel="Local/a;2", dstchannel="Local/b;1", wherelanded="first")
    second = leg(5, 90, answer=9, channel="Local/b;2", dstchannel="Local/a;1", wherelanded="second")
    call = only(first, second)
    assert (call.outcome, call.answered_by, call.wait.seconds) == ("ANSWERED", "second", 9)


def test_exchanges_that_dial_each_other() -> None:
    """A call that goes to another exchange and back is one, and who took it there is found."""
    legs = [
        leg(0, 90, answer=0, uniqueid=f"{HERE}-1.1", linkedid="1", src="0041", dst="14",
            dstchannel=f"SIP/{THERE}-1"),
        leg(3, 90, answer=3, uniqueid=f"{THERE}-1.2", linkedid="2", src="0041", firstdst="14",
            dst="15", dstchannel=f"SIP/{HERE}-2"),
        leg(6, 90, answer=30, uniqueid=f"{HERE}-1.3", linkedid="3", src="0041", firstdst="15",
            dstchannel="SIP/302-1"),
    ]  # fmt: skip
    call = only(*legs)
    assert (len(call.legs), call.answered_by, call.talk.seconds) == (3, "302", 60)


@pytest.mark.parametrize(
    "fields",
    [
        {"src": "0042"},
        {"firstdst": "15"},
        {"uniqueid": f"{HERE}-1.2"},
        {"start": at(91)},
        {"uniqueid": "other-1.2"},
    ],
)
def test_a_leg_that_carries_on_no_other_is_a_call(fields: dict[str, Any]) -> None:
    """The caller, what was dialled, the exchange and the time must fit."""
    dialling = leg(
        0, 90, uniqueid=f"{HERE}-1.1", linkedid="1", src="0041", dst="14",
        lastdata=f"SIP/QUEUE-14@{THERE},,U(x)",
    )  # fmt: skip
    there = leg(
        3, 99, uniqueid=f"{THERE}-1.2", linkedid="2", src="+41", firstdst="14", dstchannel="SIP/1-1"
    )
    assert len(group_calls([dialling, there])) == 1
    assert len(group_calls([dialling, attrs.evolve(there, **fields)])) == 2


def test_a_name_of_an_exchange_that_is_cut() -> None:
    """The exchange is recognised where `lastdata` ends within its name."""
    data = f"SIP/{'1175' * 8}@sip022.voice.boxis.net&SIP/317@{THERE}"[:80]
    assert not data.endswith(THERE)
    legs = [
        leg(0, 90, uniqueid=f"{HERE}-1.1", linkedid="1", dst="14", lastdata=data),
        leg(3, 90, uniqueid=f"{THERE}-1.2", linkedid="2", firstdst="14"),
    ]
    assert len(group_calls(legs)) == 1


def test_two_calls_of_one_caller_at_once_stay_two() -> None:
    """Each goes on to the other exchange, and is joined with the leg that began there for it."""
    epoch = int(START.timestamp())
    legs = [
        one
        for number, begin in enumerate((0, 30))
        for one in (
            leg(begin, 300, answer=begin, uniqueid=f"{HERE}-{epoch + begin}.{number}",
                linkedid=f"{HERE}-{epoch + begin}.{number}", src="0041", dst="14",
                dstchannel=f"SIP/{THERE}-{number}"),
            leg(60 + number, 300, answer=90, uniqueid=f"{THERE}-{epoch + 60 + number}.{number}",
                linkedid=f"{THERE}-{epoch + begin + 3}.{number}", src="0041", firstdst="14",
                dstchannel=f"SIP/30{number}-1"),
        )
    ]  # fmt: skip
    calls = group_calls(legs)
    assert [(len(call.legs), call.answered_by) for call in calls] == [(2, "300"), (2, "301")]


def test_what_else_joins_legs() -> None:
    """A `prevuniqueid` joins, a missing `linkedid` falls back on `uniqueid`; nothing is guessed."""
    assert len(group_calls([leg(0, 9, linkedid=""), leg(1, 9, linkedid="")])) == 1
    assert len(group_calls([leg(0, 9, linkedid="x"), leg(1, 9, linkedid="")])) == 1
    assert len(group_calls([leg(0, 9, linkedid="x"), leg(1, 9, linkedid="y")])) == 2
    assert len(group_calls([leg(0, 9, linkedid="", uniqueid="")] * 2)) == 2
    transferred = leg(5, 9, linkedid="z", uniqueid="z", prevuniqueid="c")
    assert len(group_calls([leg(0, 9), transferred])) == 1
    assert len(group_calls([leg(0, 9, uniqueid="d"), transferred])) == 2


def test_talk_of_two_halves_and_of_two_persons() -> None:
    """Times that two legs recorded count once, and a pause between two persons does not count."""
    call = only(
        leg(0, 60, answer=10, dstchannel="SIP/1-1", sequence=1),
        leg(5, 70, answer=20, dstchannel="SIP/2-1", sequence=2),
        leg(80, 100, answer=90, dstchannel="SIP/3-1", sequence=3),
    )
    assert (call.talk.seconds, call.wait.seconds, call.answered_by) == (70, 10, "1")


def test_the_outside_party() -> None:
    """Who called in, or what was dialled first; a call between extensions has none."""
    inbound = only(leg(0, 9, clid="", src="0041440000002", firstdst="1"))
    assert (inbound.outside, inbound.caller_number) == ("0041440000002", "0041440000002")
    outbound = only(leg(0, 9, userfield="[outbound]", src="201", dst="203", firstdst="0445550100"))
    assert (outbound.outside, outbound.dialled, outbound.missed) == ("0445550100",) * 2 + (False,)
    assert only(leg(0, 9, userfield="[local]", src="201", dst="202")).outside == ""
    assert only(leg(0, 9, userfield="", src="201", dst="202")).direction is None


def test_the_next_leg_fills_what_the_first_one_lacks() -> None:
    """Direction, caller and what was dialled are of the first leg that has them."""
    call = only(
        leg(0, 9, userfield="", sequence=1),
        leg(0, 9, clid='"Anna" <0041>', dst="201", sequence=2),
        leg(0, 9, clid='"Bert" <0042>', dst="202", sequence=3),
    )
    assert call.direction is Direction.INBOUND
    assert (call.caller_name, call.caller_number, call.dialled) == ("Anna", "0041", "201")


def test_costs_are_added_exactly() -> None:
    """No digit of a cost is lost, however many there are."""
    costs = [Decimal("1e25"), Decimal("0.00001"), None]
    call = only(*(leg(0, 9, sequence=number, cc_cost=cost) for number, cost in enumerate(costs)))
    assert call.cost == Decimal("10000000000000000000000000.00001")


def test_an_exchange_that_writes_it_otherwise() -> None:
    """A function of a leg says whom it reached, where the rules cannot know; else they do."""
    combox = leg(0, 60, answer=9, dstchannel="SIP/combox-1")
    assert only(combox).outcome is Outcome.ANSWERED

    def reached(leg: CDR) -> Any:  # noqa: ANN401
        return "voicemail" if "combox" in leg.dstchannel else None

    assert only(combox, reached=reached).outcome is Outcome.VOICEMAIL
    assert only(leg(0, 9, answer=1, dstchannel="SIP/1-1"), reached=reached).answered
    assert only(combox, reached=lambda _: "nobody").outcome is Outcome.NO_ANSWER
    with pytest.raises(UsageError, match="reached gave 'nobody at all': it must give 'nobody'"):
        only(combox, reached=lambda _: "nobody at all")


@pytest.mark.parametrize("country", ["", "Switzerland", "XX", 41, None])
def test_countries_that_are_none(country: Any) -> None:  # noqa: ANN401
    """A country is two letters; anything else is an error that says so."""
    with pytest.raises(UsageError, match="country must be two letters of ISO 3166"):
        group_calls([], country=country)
    with pytest.raises(UsageError, match="country must be"):
        e164("1", country)


@pytest.mark.parametrize(
    ("number", "country", "spelling"),
    [
        ("+41445550123", "CH", "+41445550123"),
        ("0041445550123", "CH", "+41445550123"),
        ("0445550123", "CH", "+41445550123"),
        ("044 555 01 23", "ch", "+41445550123"),
        ("+41 (0)44 555-01-23", "CH", "+41445550123"),
        ("(044) 555.01/23", "CH", "+41445550123"),
        ("0301234567", "DE", "+49301234567"),
        ("0612345678", "IT", "+390612345678"),
        ("0041445550123", "DE", "+41445550123"),
        ("201", "CH", "201"),
        ("112", "CH", "112"),
        ("*60", "CH", "*60"),
        (" anonymous ", "CH", "anonymous"),
        ("0", "CH", "0"),
        ("00", "CH", "00"),
        ("", "CH", ""),
    ],
)
def test_one_spelling_of_a_number(number: str, country: str, spelling: str) -> None:
    """However a number is written, it is compared in one spelling."""
    assert e164(number, country) == spelling
    assert e164(spelling, country) == spelling


def test_real_time_over_a_clock_change() -> None:
    """Waiting and talking over the end of summer time last as long as they did."""
    first = datetime(2026, 10, 25, 0, 50, tzinfo=UTC)

    def moment(minutes: int) -> datetime:
        return (first + timedelta(minutes=minutes)).astimezone(ZURICH)

    late = CDR(start=moment(5), end=moment(20), linkedid="c", disposition=NO_ANSWER)
    call = only(
        late,
        CDR(start=moment(0), answer=moment(15), end=moment(75), linkedid="c", disposition=ANSWERED,
            dstchannel="SIP/1-1"),
    )  # fmt: skip
    assert [call.wait, call.talk, call.duration] == [
        timedelta(minutes=minutes) for minutes in (15, 60, 75)
    ]
    assert call.legs[1] is late


few_channels = st.sampled_from(
    ["", "SIP/301-1", f"SIP/{THERE}-2", f"SIP/{HERE}-3", "Local/1@q-1;1", "Local/1@q-1;2"]
)
few_ids = st.sampled_from(["", f"{HERE}-1.1", f"{HERE}-1.2", f"{THERE}-1.3", "x"])
few_times = st.integers(0, 40).map(lambda step: START + step * timedelta(minutes=10))
few_numbers = st.sampled_from(["", "0041440000001", "0440000001", "14", "15"])
some_legs = st.lists(
    st.builds(
        CDR,
        uniqueid=few_ids,
        linkedid=few_ids,
        prevuniqueid=st.sampled_from(["", "", "", f"{HERE}-1.2", "x"]),
        start=few_times,
        answer=st.none() | few_times,
        end=st.none() | few_times,
        sequence=st.none() | st.integers(0, 3),
        src=few_numbers,
        dst=few_numbers,
        firstdst=few_numbers,
        channel=few_channels,
        dstchannel=few_channels,
        lastdata=st.sampled_from(["", f"SIP/14@{THERE},20", f"SIP/15@{HERE}"]),
        lastapp=st.sampled_from(["Dial", "VoiceMail", "Queue"]),
        wherelanded=st.sampled_from(["", "N/A", "301"]),
        userfield=st.sampled_from(["[inbound]", "[outbound]", ""]),
        billsec=st.none() | st.integers(0, 5000),
        disposition=st.sampled_from([None, *Disposition, Disposition("VOICEMAIL")]),
        cc_cost=st.none() | st.decimals(0, 10, places=5),
    ),
    max_size=10,
)
"""Legs of few channels, exchanges and times, so that they meet in every way."""


@given(legs=some_legs, data=st.data())
def test_the_order_of_legs_does_not_matter(legs: list[CDR], data: st.DataObject) -> None:
    """The same legs give the same calls, in whatever order they come."""
    assert group_calls(data.draw(st.permutations(legs))) == group_calls(legs)


def test_a_call_of_two_exchanges_is_joined_in_any_order() -> None:
    """A leg that another exchange dials is joined, whichever leg of its own call comes first."""
    number, caller = "0440000001", "0440000002"
    dialling = CDR(
        uniqueid="x-1.1", start=START, end=at(60), src=caller, dst=number,
        lastdata=f"SIP/{number}@{HERE}",
    )  # fmt: skip
    dialled = CDR(
        uniqueid=f"{HERE}-1.2", linkedid=f"{THERE}-1.3", start=START, src=caller, firstdst=number
    )
    beside = CDR(uniqueid=f"{THERE}-1.3", start=START)
    for legs in permutations([dialling, dialled, beside]):
        (found,) = group_calls(legs)
        assert Counter(found.legs) == Counter(legs)


@given(some_legs)
def test_what_holds_for_any_legs(legs: list[CDR]) -> None:
    """All legs are kept, times lie within the call, and costs add up."""
    calls = group_calls(legs)
    assert Counter(one for call in calls for one in call.legs) == Counter(legs)
    for call in calls:
        assert timedelta(0) <= call.wait <= call.duration
        assert timedelta(0) <= call.talk <= call.duration
        assert call.wait + call.talk <= call.duration
        assert call.answered == bool(call.answered_by) or call.answered
        assert call.start.timestamp() == min(one.start.timestamp() for one in call.legs)
        json.dumps(call.to_dict())
    costs = [one.cc_cost for one in legs if one.cc_cost is not None]
    assert sum((call.cost for call in calls), Decimal(0)) == sum(costs, Decimal(0))
    assert [call.start for call in calls] == sorted(call.start for call in calls)


def streamed(legs: Sequence[CDR], margin: timedelta, at_once: int = 1) -> list[Call]:
    """Make calls of legs as a stream does, that has so many in each window."""
    calls = OpenCalls(margin, None, "CH")
    found: list[Call] = []
    for first in range(0, len(legs), at_once):
        found += calls.add(legs[first : first + at_once])
    return found + calls.close()


@given(legs=some_legs, at_once=st.integers(1, 4))
def test_a_stream_gives_the_same_calls(legs: list[CDR], at_once: int) -> None:
    """Legs in order of time, closed one by one, are the calls of all at once, or it is an error."""
    legs.sort(key=lambda one: one.start)
    wanted = group_calls(legs)
    assert sorted(streamed(legs, timedelta(hours=9), at_once), key=repr) == sorted(wanted, key=repr)
    try:
        found = streamed(legs, timedelta(minutes=20), at_once)
    except LateLegError:
        return
    assert sorted(found, key=repr) == sorted(wanted, key=repr)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 300)), min_size=2, max_size=30))
def test_a_call_that_was_quiet_for_longer_than_the_margin_is_refused(
    times: list[tuple[int, int]],
) -> None:
    """Whether it is depends on its own legs alone, not on what other calls there are."""
    legs = [
        leg(minute * 60, minute * 60 + 59, uniqueid=f"{call}", linkedid=f"{call}", sequence=number)
        for number, (call, minute) in enumerate(sorted(times, key=lambda pair: pair[1]))
    ]
    margin = timedelta(minutes=10)
    gaps = [
        later.start - earlier.end > margin
        for call in group_calls(legs)
        for earlier, later in zip(call.legs, call.legs[1:], strict=False)
        if earlier.end is not None
    ]
    if any(gaps):
        with pytest.raises(
            LateLegError, match=r"more than margin=0:10:00 after its call"
        ) as caught:
            streamed(legs, margin)
        assert caught.value.margin == margin
        assert pickle.loads(pickle.dumps(caught.value)).margin == margin
    else:
        assert len(streamed(legs, margin)) == len(group_calls(legs))


def test_a_stream_keeps_only_open_calls() -> None:
    """A long stream keeps the legs of the last hours, and hands over calls as it goes."""
    calls = OpenCalls(timedelta(hours=1), None, "CH")
    most = handed_over = 0
    for number in range(3000):
        one = leg(number * 60, number * 60 + 59, uniqueid=f"{number}", linkedid=f"{number}")
        handed_over += len(calls.add([one]))
        most = max(most, len(calls.legs))
    assert most < 400
    assert handed_over > 2600
    assert handed_over + len(calls.close()) == 3000


@given(st.sets(st.text(max_size=5)), st.sets(st.text(max_size=5)))
def test_names_of_closed_calls(added: set[str], others: set[str]) -> None:
    """What was added is known, and nothing else is."""
    names = ClosedNames()
    assert not any(name in names for name in added | others)
    names.add(added)
    assert {name for name in added | others if name in names} == added


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"dstchannel": "Local/1@q-1;1", "channel": "Local/1@q-1;2", "disposition": ANSWERED},
        {"prevuniqueid": "p", "linkedid": ""},
        {"src": "0041", "dst": "14", "firstdst": "14", "lastdata": f"SIP/14@{THERE},SIP/1@{HERE}"},
    ],
)
def test_one_giant_call_takes_no_more_time_for_each_leg(fields: dict[str, Any]) -> None:
    """A linkedid, or a relay, that thousands of legs share costs no more than many calls do."""

    def seconds(count: int) -> float:
        legs = [
            leg(number, number + 5,
                **({"uniqueid": f"{(HERE, THERE)[number % 2]}-1.{number}"} | fields))
            for number in range(count)
        ]  # fmt: skip
        # Else the collector looks at all that the tests before have left.
        gc.disable()
        try:
            began = time.process_time()
            assert sum(len(call.legs) for call in group_calls(legs)) == count
            return time.process_time() - began
        finally:
            gc.enable()

    seconds(500)
    # Four times the legs; what is quadratic would take sixteen times as long.
    assert seconds(20_000) < 10 * max(seconds(5_000), 0.02)


@given(
    numbers=st.lists(
        st.none() | st.integers(-(10**127), 10**127) | st.integers(-100, 10**11), min_size=2,
        max_size=2,
    ),
    times=st.lists(
        st.datetimes(datetime(1900, 1, 1), datetime(2999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
        min_size=3, max_size=3,
    ),
    has=st.tuples(st.booleans(), st.booleans()),
)  # fmt: skip
def test_lengths_that_no_call_has(
    numbers: list[int | None], times: list[datetime], has: tuple[bool, bool]
) -> None:
    """However long the provider says that somebody talked, and whenever: it is a call still."""
    start, answer, end = times
    duration, billsec = numbers
    made = CDR(
        uniqueid="u", start=start, answer=answer if has[0] else None, end=end if has[1] else None,
        duration=duration, billsec=billsec, disposition=Disposition.ANSWERED, src="0041445550123",
        dst="201", dstchannel="SIP/201-1", userfield="[inbound]", sequence=1,
    )  # fmt: skip
    for legs in ([made], [made, attrs.evolve(made, sequence=2, billsec=7)]):
        (found,) = group_calls(legs)
        last = max(start, found.end or start)
        assert timedelta(0) <= found.talk <= last - start
        assert timedelta(0) <= found.wait <= last - start
        json.dumps(found.to_dict())
        counted = CallStats()
        counted.add([found])
        assert counted.total.calls == 1
