"""Dates and zones of other libraries that a wing is given: plain, or refused as by the client."""

# Naive datetimes here are the provider's wall clock.

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd
import pendulum
import pytest
import pytz
from calls import DAY, NEXT_DAY, hourly
from clients import connected
from freezegun.api import FakeDatetime

from boxis_async import UsageError, group_calls
from boxis_async.fleet import plan
from boxis_async.mirror import Mirror
from boxis_async.report import Report
from boxis_async.testing import Provider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from boxis_async import BoxisClient

ZURICH = ZoneInfo("Europe/Zurich")
PYTZ = pytz.timezone("Europe/Zurich")
NOW = datetime(2024, 4, 1, tzinfo=ZURICH)
FIRST, LAST = date(2024, 3, 1), date(2024, 4, 1)


class OddDatetime(datetime):
    """Computes as nobody expects."""

    __add__ = __radd__ = __sub__ = __rsub__ = replace = __str__ = None  # type: ignore[assignment]


async def mirrored(mirror: Mirror, client: BoxisClient, low: Any, high: Any) -> object:  # noqa: ANN401
    await mirror.sync(client, DAY, NEXT_DAY)
    return len(await mirror.cdrs(low, high).to_list())


MIRRORS: dict[str, Callable[[Mirror, BoxisClient, Any, Any], Awaitable[object]]] = {
    "cdrs": mirrored,
    "sync": lambda mirror, client, low, high: mirror.sync(client, low, high),
    "recheck": lambda mirror, client, low, high: mirror.sync(client, DAY, high, recheck=low),
    "calls": lambda mirror, _, low, high: mirror.calls(low, high),
    "status": lambda mirror, _, low, high: mirror.status(low, high),
    "prune": lambda mirror, _, low, __: mirror.prune(low),
}
REPORTS: dict[str, Callable[[Any, Any], object]] = {
    "ends": Report,
    "now": lambda low, _: Report(DAY, NEXT_DAY, now=low),
}


@pytest.mark.parametrize("way", MIRRORS)
async def test_pytz_in_a_mirror(way: str, tmp_path: Path) -> None:
    """A zone of pytz as `tzinfo=` is local mean time, 34 minutes off: a mirror refuses it too."""
    low, high = (end.replace(tzinfo=PYTZ) for end in (DAY, NEXT_DAY))
    async with connected(Provider(hourly())) as client, Mirror(tmp_path / "calls.db") as mirror:
        with pytest.raises(UsageError, match=r"pytz zone.*0:34:00.*localize"):
            await MIRRORS[way](mirror, client, low, high)


@pytest.mark.parametrize("way", REPORTS)
def test_pytz_in_a_report(way: str) -> None:
    """So does a report."""
    low, high = (end.replace(tzinfo=PYTZ) for end in (DAY, NEXT_DAY))
    with pytest.raises(UsageError, match=r"pytz zone.*0:34:00.*localize"):
        REPORTS[way](low, high)


ENDS = {
    "pytz": (PYTZ.localize(DAY), PYTZ.localize(NEXT_DAY)),
    "pendulum": tuple(pendulum.instance(end, tz="Europe/Zurich") for end in (DAY, NEXT_DAY)),
    "pandas": (pd.Timestamp(DAY), pd.Timestamp(NEXT_DAY)),
    "freezegun": tuple(FakeDatetime(end.year, end.month, end.day) for end in (DAY, NEXT_DAY)),
    "odd": tuple(OddDatetime(end.year, end.month, end.day) for end in (DAY, NEXT_DAY)),
}


@pytest.mark.parametrize("kind", ENDS)
async def test_dates_of_others(kind: str, tmp_path: Path) -> None:
    """What other libraries' dates mean, mirrors and reports take them for."""
    low, high = ENDS[kind]
    async with connected(Provider(hourly())) as client, Mirror(tmp_path / "calls.db") as mirror:
        assert await mirrored(mirror, client, low, high) == 24
        assert await mirror.prune(high) == 24
        legs = await client.cdrs(DAY, NEXT_DAY, unique_by="leg").to_list()
    found, plain = Report(low, high, now=NOW), Report(DAY, NEXT_DAY, now=NOW)
    for call in group_calls(legs):
        found.add(call)
        plain.add(call)
    assert found.to_dict()["total"] == plain.to_dict()["total"]
    assert found.html() == plain.html()


def test_a_zone_of_pytz_for_a_report() -> None:
    """The zone of a report may come from any library: naive ends are its wall clock."""
    found, plain = (Report(DAY, NEXT_DAY, timezone=zone, now=NOW) for zone in (PYTZ, ZURICH))
    assert found.to_dict() == plain.to_dict()


@pytest.mark.parametrize("end", [pd.NaT, "2024-03-01", None], ids=repr)
async def test_what_is_no_date(end: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """What is no date is refused by its name."""
    wrong = "datefrom must be a date(time)? or a date(time)?, not"
    with pytest.raises(UsageError, match=wrong):
        Report(end, LAST)
    with pytest.raises(UsageError, match=wrong):
        plan(1, end, LAST)
    async with Mirror(tmp_path / "calls.db") as mirror:
        with pytest.raises(UsageError, match=wrong):
            mirror.cdrs(end, LAST)


def test_dates_of_others_in_a_fleet() -> None:
    """The periods of a harvest are those of the plain dates."""
    ends = [pd.Timestamp(FIRST), pendulum.datetime(2024, 4, 1, tz=None)]  # type: ignore[arg-type]
    assert plan(1, *ends) == plan(1, FIRST, LAST)
    assert plan(1, OddDatetime(2024, 3, 1), LAST) == plan(1, FIRST, LAST)
