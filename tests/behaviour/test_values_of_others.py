"""Other libraries' values: dates, lengths, zones and texts that are subclasses of Python's own."""

# Naive datetimes here are the provider's wall clock.
# ruff: noqa: DTZ001

from __future__ import annotations

import enum
import pickle
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pandas as pd
import pendulum
import pytest
import pytz
from calls import DAY, HOUR, NEXT_DAY, SECOND, call, hourly, ids, ids_of
from dateutil import tz as dateutil_tz
from freezegun.api import FakeDate, FakeDatetime
from hypothesis import given
from hypothesis import strategies as st

from boxis_async import BoxisClient, ConfigurationError, Contract, Coverage, UsageError, Window
from boxis_async.testing import Provider

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import MakeClient

ZURICH = ZoneInfo("Europe/Zurich")
PYTZ = pytz.timezone("Europe/Zurich")


def _refuse(self: object, *_: object, **__: object) -> Any:  # noqa: ANN401
    raise AttributeError(f"{type(self).__name__!r} object has no attribute '_to_microseconds'")


class OddDatetime(datetime):
    """Computes as nobody expects."""

    __add__ = __radd__ = __sub__ = __rsub__ = replace = isoformat = __str__ = _refuse  # type: ignore[assignment]


class OddDate(date):
    """Likewise."""

    __add__ = __sub__ = isoformat = __str__ = _refuse  # type: ignore[assignment]


class OddLength(timedelta):
    """Likewise."""

    __add__ = __sub__ = __mod__ = __floordiv__ = __mul__ = _refuse  # type: ignore[assignment]
    __rsub__ = __radd__ = __neg__ = total_seconds = _refuse  # type: ignore[assignment]


class OddText(str):
    """Shows stars."""

    __slots__ = ()

    def __str__(self) -> str:
        return "***"

    __repr__ = __str__

    def __format__(self, _: str) -> str:
        return "***"


class OddNumber(int):
    """Shows stars."""

    def __str__(self) -> str:
        return "***"


def odd(moment: datetime) -> datetime:
    return OddDatetime.combine(moment.date(), moment.timetz())


KINDS: dict[str, Callable[[datetime], datetime]] = {
    "pendulum": lambda moment: pendulum.instance(moment, tz=None),
    "pandas": pd.Timestamp,
    "freezegun": lambda moment: FakeDatetime.combine(moment.date(), moment.timetz()),
    "odd": odd,
}


def aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=ZURICH)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [aware, lambda moment: moment], ids=["aware", "naive"])
async def test_datetimes(
    make_client: MakeClient, kind: str, shape: Callable[[datetime], datetime]
) -> None:
    """Whatever kind of datetime bounds a range, it is the range of the plain one."""
    provider = Provider(hourly())
    client = make_client(provider)
    ends = [KINDS[kind](shape(moment)) for moment in (DAY, NEXT_DAY)]
    for window in (None, HOUR):
        stream = client.cdrs(*ends, window=window, unique_by="leg", clip="start")
        plain = client.cdrs(
            shape(DAY), shape(NEXT_DAY), window=window, unique_by="leg", clip="start"
        )
        assert list(stream.plan()) == list(plain.plan())
        assert type(stream.datefrom) is type(stream.dateto) is datetime
        assert ids(await stream.to_list()) == ids_of(provider.select())
        rest = client.cdrs(
            shape(DAY), shape(NEXT_DAY), resume=stream.coverage, unique_by="leg", clip="start"
        )
        assert await rest.to_list() == []
        again = stream.again(dateto=ends[1])
        assert type(again.dateto) is datetime
        assert len(await again.to_list()) == 24


@pytest.mark.parametrize("kind", [pendulum.Date, FakeDate, OddDate])
async def test_dates(make_client: MakeClient, kind: type[date]) -> None:
    """So do dates."""
    provider = Provider(hourly())
    stream = make_client(provider).cdrs(kind(2024, 3, 5), kind(2024, 3, 6), window=HOUR)
    assert type(stream.datefrom) is type(stream.dateto) is date
    assert ids(await stream.to_list()) == ids_of(provider.select())


@pytest.mark.parametrize(
    "length",
    [
        pendulum.duration(hours=1),
        pendulum.datetime(2024, 1, 1, 1) - pendulum.datetime(2024, 1, 1),
        pd.Timedelta(hours=1),
        OddLength(hours=1),
    ],
    ids=lambda length: type(length).__name__,
)
async def test_lengths(make_client: MakeClient, length: timedelta) -> None:
    """Lengths of any kind are lengths: a window's, and how long records take to come to rest."""
    provider = Provider(hourly())
    client = make_client(provider)
    stream = client.cdrs(DAY, NEXT_DAY, window=length, settle=length)
    assert len(stream.plan()) == 24
    assert ids(await stream.to_list()) == ids_of(provider.select())
    assert len(stream.coverage.sealed) == 1
    calls = await client.calls(DAY, NEXT_DAY, margin=length)
    assert len(calls) == 24
    assert await client.iter_calls(DAY, NEXT_DAY, margin=length).to_list() == calls
    legs = client.cdrs(DAY, NEXT_DAY, unique_by="leg")
    assert await legs.calls(margin=length).to_list() == calls
    contract = Contract(rule="within", longest_call=length)
    plan = make_client(provider, contract=contract).cdrs(DAY, NEXT_DAY, window=length).plan()
    assert plan[5] == Window(DAY + 3 * HOUR - SECOND, DAY + 6 * HOUR)
    for name in ("timeout", "max_rate", "concurrency"):
        with pytest.raises(ConfigurationError, match=name):
            BoxisClient("a", "b", **{name: length})
    with pytest.raises(ConfigurationError, match="total_seconds"):
        BoxisClient("a", "b", timeout=length)  # type: ignore[arg-type]


@given(
    st.sampled_from(sorted(KINDS)),
    st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)),
    st.sampled_from([None, UTC, ZURICH, timezone(timedelta(hours=-3))]),
    st.booleans(),
)
def test_any_datetime(kind: str, moment: datetime, zone: tzinfo | None, fold: bool) -> None:  # noqa: FBT001
    """A datetime of another library is the plain datetime that equals it."""
    moment = moment.replace(tzinfo=zone, fold=fold)
    try:
        other = KINDS[kind](moment)
    except ValueError:
        return  # pandas knows no wall time that is none, or twice
    client = BoxisClient("a@example.com", "key", tenant="t")
    stream = client.cdrs(other, other)
    given_from = stream.datefrom
    assert isinstance(given_from, datetime)
    assert type(given_from) is datetime
    assert given_from == moment
    assert given_from.utcoffset() == moment.utcoffset()


# What is not a date


@pytest.mark.parametrize("name", ["datefrom", "dateto"])
@pytest.mark.parametrize("value", [pd.NaT, "2024-03-05", 5, pd.Timedelta(1), ...], ids=repr)
def test_what_is_no_date(client: BoxisClient, name: str, value: Any) -> None:  # noqa: ANN401
    """What is no date is an error that names the argument."""
    with pytest.raises(UsageError, match=f"{name} must be a datetime or a date"):
        client.cdrs(**{"datefrom": DAY, name: value})


async def test_no_date_elsewhere(client: BoxisClient) -> None:
    """So it is wherever else a date enters."""
    stream = client.cdrs(DAY, NEXT_DAY)
    with pytest.raises(UsageError, match="dateto must be"):
        stream.again(dateto=pd.NaT)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="around must be"):
        await client.probe(around=pd.NaT)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="parameter 'day': must be"):
        await client.call("voip", "getX", day=pd.NaT)
    for value in (pd.NaT, pd.NA, pd.Series([1, 2])):
        for name in ("order", "unique_by", "clip", "on_error", "window", "settle", "row_limit"):
            with pytest.raises(UsageError, match=name):
                client.cdrs(DAY, NEXT_DAY, **{name: value})


def test_nanoseconds(client: BoxisClient) -> None:
    """Parts of a second that only pandas has count at both ends as all parts do."""
    part = pd.Timedelta(nanoseconds=1)
    plan = client.cdrs(pd.Timestamp(DAY) + part, pd.Timestamp(NEXT_DAY) + part).plan()
    assert (plan.start, plan.end) == (DAY, NEXT_DAY + timedelta(seconds=1))


# Zones


class Raising(tzinfo):
    """Has an error in the place of an offset."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        raise LookupError("no table")

    def dst(self, _: datetime | None) -> timedelta | None:
        return None


def test_pytz_as_tzinfo(client: BoxisClient) -> None:
    """A zone of pytz as `tzinfo=` is local mean time, minutes off: refused, with what to do."""
    with pytest.raises(UsageError, match=r"datefrom has the pytz zone.*0:34:00.*localize"):
        client.cdrs(DAY.replace(tzinfo=PYTZ), NEXT_DAY.replace(tzinfo=PYTZ))
    with pytest.raises(UsageError, match="pytz"):
        client.cdrs(DAY).again(dateto=NEXT_DAY.replace(tzinfo=PYTZ))


@pytest.mark.parametrize("zone", ["Europe/Zurich", "America/New_York", "UTC", "Etc/GMT+5"])
def test_pytz_as_it_is_meant(client: BoxisClient, zone: str) -> None:
    """What pytz localized is the moment that it is, also after computing with it."""
    low, high = (pytz.timezone(zone).localize(moment) for moment in (DAY, NEXT_DAY))
    plain = client.cdrs(low.astimezone(UTC), high.astimezone(UTC)).plan()
    assert list(client.cdrs(low, high).plan()) == list(plain)
    half_a_year = timedelta(days=182)
    early = client.cdrs(low - half_a_year, high).plan()
    assert early.start == client.cdrs(low.astimezone(UTC) - half_a_year, high).plan().start


@pytest.mark.parametrize(
    "zone",
    [PYTZ, pendulum.timezone("Europe/Zurich"), dateutil_tz.gettz("Europe/Zurich"), "Europe/Zurich",
     OddText("Europe/Zurich")],
    ids=lambda zone: type(zone).__module__,
)  # fmt: skip
async def test_zones_of_others(make_client: MakeClient, zone: Any) -> None:  # noqa: ANN401
    """The provider's zone may come from any library; records are in it, in summer and winter."""
    rows = [call("2024-03-05 12:00:00"), call("2024-07-05 12:00:00")]
    client = make_client(Provider(rows), timezone=zone)
    found = await client.cdrs(date(2024, 1, 1), date(2024, 8, 1)).to_list()
    assert [cdr.start.utcoffset() for cdr in found] == [HOUR, 2 * HOUR]
    assert [cdr.start.astimezone(UTC).hour for cdr in found] == [11, 10]
    assert pickle.loads(pickle.dumps(found)) == found


class Unhashable(ZoneInfo):
    """A zone that can be no key, as those of dateutil cannot."""

    __hash__ = None  # type: ignore[assignment]  # that is the point


@pytest.mark.parametrize("zone", [dateutil_tz.gettz("Europe/Zurich"), Unhashable("Europe/Zurich")])
async def test_zones_without_a_hash(make_client: MakeClient, zone: Any) -> None:  # noqa: ANN401
    """They serve for all that records are used for: calls and a probe too."""
    rows = [
        call(f"2024-03-05 12:00:0{number}", "one", sequence=f"{number}") for number in range(1, 3)
    ]
    client = make_client(Provider(rows), timezone=zone)
    (found,) = await client.calls(date(2024, 3, 1), date(2024, 4, 1))
    assert [leg.sequence for leg in found.legs] == [1, 2]
    assert (await client.probe(around=date(2024, 3, 5))).finding("records").value
    batches = client.cdrs(date(2024, 3, 1), date(2024, 4, 1), window=HOUR * 5).batches()
    assert sum([len(batch.cdrs) async for batch in batches]) == 1


def test_fixed_zones_of_others() -> None:
    """A zone that is one offset may come from any library too."""
    moment = datetime(2024, 3, 5, 12, tzinfo=UTC)
    for zone in (pytz.FixedOffset(60), pendulum.timezone(3600), timezone(HOUR), pytz.utc):
        offset = zone.utcoffset(None) or timedelta(0)
        plan = BoxisClient("a@b.c", "key", tenant="t", timezone=zone).cdrs(moment, moment).plan()
        assert plan.start == datetime(2024, 3, 5, 12) + offset


class LikePytz(tzinfo):
    """Is right only where it was put by itself."""

    def __init__(self, offset: timedelta) -> None:
        self._offset = offset

    def utcoffset(self, _: datetime | None) -> timedelta:
        return self._offset

    def dst(self, _: datetime | None) -> timedelta:
        return timedelta(0)

    def fromutc(self, moment: datetime) -> datetime:
        return (moment + HOUR).replace(tzinfo=LikePytz(HOUR))


@pytest.mark.parametrize("zone", [Raising(), LikePytz(timedelta(minutes=34))])
def test_zones_that_cannot_be_used(client: BoxisClient, zone: tzinfo) -> None:
    """A zone that gives no offset, or another one than it converts by, is refused."""
    with pytest.raises(ConfigurationError, match="no offset from UTC"):
        BoxisClient("a@example.com", "key", timezone=zone)
    if isinstance(zone, Raising):
        with pytest.raises(UsageError, match=r"datefrom has a tzinfo .*no table"):
            client.cdrs(DAY.replace(tzinfo=zone), NEXT_DAY.replace(tzinfo=zone))


@pytest.mark.parametrize("zone", [5, object(), b"Europe/Zurich", "Mars/Olympus", "", "../x", "\n"])
def test_what_is_no_zone(zone: Any) -> None:  # noqa: ANN401
    """What is no zone is an error that says what one is."""
    with pytest.raises(ConfigurationError, match="IANA name"):
        BoxisClient("a@example.com", "key", timezone=zone)


# Texts and numbers


class Words(str, enum.Enum):  # noqa: UP042 - a StrEnum's text is its value
    """Texts as enums have them: `str()` of one is its name."""

    JSON = "json"
    TIME = "time"
    LEG = "leg"
    START = "start"
    COLLECT = "collect"
    TENANT = "VOICE-29001-1"
    USER = "ops@example.com"
    KEY = "stand-in-key"
    ACTION = "getLineList"
    SECTION = "voip"


@pytest.mark.parametrize("kind", [OddText, Words], ids=["odd", "enum"])
async def test_texts(kind: Callable[[str], str]) -> None:
    """A text is its characters, whatever its class shows."""
    provider = Provider(
        hourly(), actions={("voip", "getLineList"): lambda form: {"line": form["line"]}}
    )
    async with (
        provider.client() as http_client,
        BoxisClient(
            kind("ops@example.com"),
            kind("stand-in-key"),
            tenant=kind("VOICE-29001-1"),
            returntype=kind("json"),  # type: ignore[arg-type]
            http_client=http_client,
        ) as client,
    ):
        options: dict[str, Any] = {
            "order": kind("time"), "unique_by": kind("leg"), "clip": kind("start"),
            "on_error": kind("collect"), "tenant": kind("VOICE-29001-1"),
        }  # fmt: skip
        stream = client.cdrs(DAY, NEXT_DAY, **options)
        assert ids(await stream.to_list()) == ids_of(provider.select())
        plain = client.cdrs(
            DAY, NEXT_DAY, resume=Coverage.from_json(stream.coverage.to_json()),
            unique_by="leg", clip="start",
        )  # fmt: skip
        assert await plain.to_list() == []
        found = await client.call(kind("voip"), kind("getLineList"), line=kind("json"))
        assert found == {"line": "json"}
        assert await client.call("voip", "getLineList", line=OddNumber(5)) == {"line": "5"}
        other = client.with_options(tenant=kind("VOICE-29001-1"))
        assert len(await other.cdrs(DAY, NEXT_DAY).to_list()) == 24
    assert provider.refusals == []


def test_the_ends_of_what_is_missing(client: BoxisClient) -> None:
    """A coverage takes wall times of any kind, and says so where they are none."""
    coverage = client.cdrs(DAY, NEXT_DAY).coverage
    for kind in KINDS.values():
        ((start, end),) = coverage.missing(kind(DAY), kind(NEXT_DAY))
        assert (type(start), type(end), start, end) == (datetime, datetime, DAY, NEXT_DAY)
    for value in (aware(DAY), date(2024, 3, 5), pd.NaT, "2024-03-05", None):
        with pytest.raises(UsageError, match="start must be a naive datetime"):
            coverage.missing(value, NEXT_DAY)  # type: ignore[arg-type]
