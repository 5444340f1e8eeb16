"""The figures of a report: as `boxis stats` counts them, and what only all calls together show."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxis_async import Call, Direction, Outcome, UsageError
from boxis_async.call_stats import CallStats
from boxis_async.report import Report, render
from boxis_async.report.spans import Covered, make_range, periods_of

if TYPE_CHECKING:
    from collections.abc import Iterable

ZURICH = ZoneInfo("Europe/Zurich")
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
INBOUND, OUTBOUND = Direction.INBOUND, Direction.OUTBOUND


def call(start: str, **fields: Any) -> Call:  # noqa: ANN401 - whatever a call has
    """Make a call of a minute that came in and was answered after ten seconds."""
    began = datetime.fromisoformat(start)
    began = began.replace(tzinfo=ZURICH) if began.tzinfo is None else began.astimezone(ZURICH)
    given: dict[str, Any] = {
        "legs": (),
        "start": began,
        "end": (began.astimezone(UTC) + timedelta(minutes=1)).astimezone(ZURICH),
        "direction": INBOUND,
        "caller_number": "0445550199",
        "caller_name": "Anna Meier",
        "dialled": "0445550100",
        "outside": "0445550199",
        "outcome": Outcome.ANSWERED,
        "answered_by": "301",
        "wait": timedelta(seconds=10),
        "talk": timedelta(seconds=50),
        "cost": Decimal("0.10"),
    }
    return Call(**given | fields)


def missed(start: str, number: str = "0445550199", **fields: Any) -> Call:  # noqa: ANN401
    """Make a call that nobody took."""
    given = {"outcome": Outcome.NO_ANSWER, "answered_by": "", "talk": timedelta(0)}
    return call(start, outside=number, **given, **fields)


def figures(
    calls: Iterable[Call],
    datefrom: date = OCTOBER,
    dateto: date = NOVEMBER,
    **more: Any,  # noqa: ANN401
) -> dict[str, Any]:
    """Count calls."""
    report = Report(datefrom, dateto, **{"now": NOW} | more)
    for one in calls:
        report.add(one)
    found = report.to_dict()
    json.dumps(found)
    return found


some_calls = st.lists(
    st.builds(
        call,
        st.datetimes(datetime(2026, 8, 1), datetime(2026, 11, 20)).map(str),  # noqa: DTZ001
        direction=st.sampled_from([*Direction, None]),
        outcome=st.sampled_from(list(Outcome)),
        outside=st.sampled_from(["", "0445550101", "+41445550101", "0445550102"]),
        dialled=st.sampled_from(["", "0445550100", "0041445550100", "600"]),
        cost=st.decimals(0, 10, places=5),
    ),
    max_size=30,
)


@settings(max_examples=15)
@given(calls=some_calls, data=st.data())
def test_the_order_of_calls_does_not_matter(calls: list[Call], data: st.DataObject) -> None:
    """The same calls give the same figures and the same page, in whatever order they come."""
    other = data.draw(st.permutations(calls))
    assert figures(calls) == figures(other)
    pages = {render(some, OCTOBER, NOVEMBER, now=NOW, before=True) for some in (calls, other)}
    assert len(pages) == 1


@settings(max_examples=50)
@given(calls=some_calls)
def test_figures_are_those_of_stats(calls: list[Call]) -> None:
    """Totals and groups are what `boxis stats` counts of the calls that start in the range."""
    within = [one for one in calls if OCTOBER <= one.start.date() < NOVEMBER]
    stats = CallStats()
    stats.add(within)
    found = figures(calls)
    unknown = {"legs": None} if within else {}
    assert found["total"] == stats.total.to_dict() | unknown
    assert {day["day"]: day["calls"] for day in found["by_day"]} == {
        f"{day}": totals.calls for day, totals in stats.by_day().items()
    }
    waits = stats.waits()
    assert found["waiting"] == (waits and waits.to_dict())
    assert sum(found["missed"][name] for name in found["missed"] if name in MISSED) == (
        stats.total.missed
    )
    assert sum(cell["calls"] for cell in found["by_weekday_and_hour"]) == len(within)


MISSED = (
    *("called_back_within_hour", "called_back_within_day", "called_back_later"),
    *("rang_again", "open", "hidden"),
)


def test_the_span_before() -> None:
    """A month is compared with the month before, and a week with the seven days before."""
    calls = [call("2026-09-01 00:00:00"), call("2026-09-30 23:59:59"), call("2026-10-01 00:00:00")]
    found = figures(calls)
    assert (found["total"]["calls"], found["before"]["total"]["calls"]) == (1, 2)
    assert found["before"]["from"] == "2026-09-01 00:00:00"
    assert figures(calls, before=False)["before"] is None
    week = figures(calls, date(2026, 10, 5), date(2026, 10, 12))
    assert week["before"]["from"] == "2026-09-28 00:00:00"
    assert week["before"]["total"]["calls"] == 2
    year = figures([], date(2025, 1, 1), date(2026, 1, 1))
    assert year["before"]["from"] == "2024-01-01 00:00:00"


def test_what_is_needed() -> None:
    """The span before is needed, and a week after the range, as far as that is over."""
    needs = Report(OCTOBER, NOVEMBER, now=NOW).needs
    assert [f"{end:%m-%d}" for end in needs] == ["09-01", "11-08"]
    soon = datetime(2026, 11, 2, 12, tzinfo=ZURICH)
    assert Report(OCTOBER, NOVEMBER, now=soon, before=False).needs == (
        datetime(2026, 10, 1),  # noqa: DTZ001 - on the wall clock
        soon,
    )
    running = datetime(2026, 10, 20, tzinfo=ZURICH)
    assert Report(OCTOBER, NOVEMBER, now=running).needs[1] == datetime(2026, 11, 1)  # noqa: DTZ001


def test_who_was_called_back() -> None:
    """A missed call is settled by the first talk with its number, whoever rang, in any spelling."""
    calls = [
        missed("2026-10-05 08:00:00", "0445550101"),
        call("2026-10-05 08:30:00", direction=OUTBOUND, outside="+41445550101"),
        missed("2026-10-05 09:00:00", "0445550102"),
        missed("2026-10-05 09:10:00", "0445550102"),
        call("2026-10-06 08:00:00", outside="0041445550102"),
        missed("2026-10-30 09:00:00", "0445550103"),
        call("2026-11-02 09:00:00", direction=OUTBOUND, outside="0445550103"),
        call("2026-10-07 08:00:00", direction=OUTBOUND, outside="0445550104"),
        missed("2026-10-07 08:00:00", "0445550104"),
        missed("2026-10-08 10:00:00", "0445550104", caller_name="Last"),
        call("2026-10-09 08:00:00", direction=OUTBOUND, outside="0445550104", outcome=Outcome.BUSY),
        missed("2026-10-08 10:00:00", ""),
        missed("2026-09-30 10:00:00", "0445550105"),
    ]
    found = figures(calls)["missed"]
    assert found | {name: found[name] for name in MISSED} == found
    assert [found[name] for name in MISSED] == [1, 0, 1, 2, 2, 1]
    assert found["calls"] == 7
    assert found["median_seconds"] == 1800
    assert found["open_numbers"] == 1
    assert found["last_open"] == [
        {
            "number": "0445550104",
            "name": "Last",
            "dialled": "+41445550100",
            "start": "2026-10-08T10:00:00+02:00",
            "wait_seconds": 10.0,
            "missed_calls": 2,
        }
    ]


def test_calls_at_once() -> None:
    """The most calls at once count those that ring; a call that ends as another starts is over."""
    calls = [
        call("2026-10-05 08:00:00"),
        call("2026-10-05 08:01:00"),
        call("2026-10-05 08:01:30"),
        call("2026-10-05 08:01:40", end=None),
    ]
    assert figures(calls)["at_once"] == {
        "calls": 2,
        "start": "2026-10-05T08:01:30+02:00",
        "seconds": 30.0,
    }
    assert figures([])["at_once"] is None


def test_calls_at_once_while_the_clock_is_changed() -> None:
    """In the repeated hour calls are at once where they are in real time."""
    calls = [call("2026-10-25T02:30:00+02:00"), call("2026-10-25T02:30:30+01:00")]
    assert figures(calls)["at_once"]["calls"] == 1


def test_the_hour_that_comes_twice_or_never() -> None:
    """An hour of the week counts as often as it was: twice in autumn, and not at all in spring."""
    sunday_at_two = 6 * 24 + 2
    autumn = make_range(date(2026, 10, 25), date(2026, 10, 26), ZURICH)
    hours = Covered(autumn, autumn.last).hours()
    assert sum(hours) == 25
    assert hours[sunday_at_two] == 2
    spring = make_range(date(2026, 3, 29), date(2026, 3, 30), ZURICH)
    hours = Covered(spring, spring.last).hours()
    assert sum(hours) == 23
    assert hours[sunday_at_two] == 0
    calls = [call("2026-10-25T02:30:00+02:00"), call("2026-10-25T02:30:30+01:00")]
    report = Report(date(2026, 10, 25), date(2026, 10, 26), now=NOW)
    for one in calls:
        report.add(one)
    assert "Sun 02:00: 1.0" in report.html()


def test_what_is_not_known() -> None:
    """A gap and what lies behind the time of the report are in no mean, and are hatched."""
    now = datetime(2026, 10, 3, 12, tzinfo=ZURICH)
    report = Report(OCTOBER, date(2026, 10, 5), now=now)
    report.lacks(datetime(2026, 10, 1, 6), datetime(2026, 10, 1, 18))  # noqa: DTZ001 - wall clock
    found = report.to_dict()
    assert found["known"] == [
        ["2026-10-01T00:00:00+02:00", "2026-10-01T06:00:00+02:00"],
        ["2026-10-01T18:00:00+02:00", "2026-10-03T12:00:00+02:00"],
    ]
    known = {(one["weekday"], one["hour"]): one["hours"] for one in found["by_weekday_and_hour"]}
    assert (known[4, 5], known[4, 6], known[6, 11], known[6, 12], known[7, 0]) == (1, 0, 1, 0, 0)
    page = report.html()
    # Three of the four days, in two charts; and the hours of the week that were not.
    assert page.count('<rect class="unknown"') == 3
    assert page.count('class="cell unknown"') == 7 * 24 - 12 - 24 - 12


def test_a_range_that_has_not_begun() -> None:
    """Of a range that has not begun nothing is known, and nothing fails."""
    report = Report(OCTOBER, NOVEMBER, now=datetime(2026, 9, 1, tzinfo=UTC))
    assert report.to_dict()["known"] == []
    assert "No part of the range is known yet" in report.html()


@pytest.mark.parametrize(
    ("first", "end", "unit", "number"),
    [
        (date(2026, 10, 1), date(2026, 11, 1), "day", 31),
        (date(2026, 9, 1), date(2026, 11, 2), "day", 62),
        (date(2026, 1, 1), date(2027, 1, 1), "week", 53),
        (date(2020, 1, 15), date(2026, 2, 1), "month", 73),
    ],
)
def test_periods(first: date, end: date, unit: str, number: int) -> None:
    """A long range has a bar for each week or month, which together are the range."""
    found, periods = periods_of(make_range(first, end, ZURICH))
    assert (found, len(periods)) == (unit, number)
    assert (periods[0].first, periods[-1].end) == (first, end)


def test_costs_by_country_need_legs() -> None:
    """Calls without their legs, as a file of calls has them, leave out what legs alone show."""
    found = figures([call("2026-10-05 08:00:00")])
    assert found["total"]["legs"] is None
    assert found["cost"]["by_country"] == []
    page = render([call("2026-10-05 08:00:00")], OCTOBER, NOVEMBER, now=NOW)
    assert "cost by country and network is not known" in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"dateto": OCTOBER}, "empty"),
        ({"datefrom": date(1900, 1, 1)}, "50 years"),
        ({"dateto": date.max}, "50 years"),
        ({"timezone": "Mars/Olympus"}, "Mars/Olympus"),
        ({"country": "XX"}, "ISO 3166"),
        ({"now": datetime(2026, 1, 1)}, "aware"),  # noqa: DTZ001 - that is the point
        ({"top": 0}, "1 or more"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, Any], words: str) -> None:
    """A wrong argument is refused at once, in words."""
    with pytest.raises(UsageError, match=words):
        Report(**{"datefrom": OCTOBER, "dateto": NOVEMBER} | arguments)
    with pytest.raises(UsageError, match="language"):
        render([], OCTOBER, NOVEMBER, language="fr")
