"""CDRs ↔ rows of `legs`, each value as its column takes it, and none of them lost.

A leg is known by its key, a text: `{uniqueid}#{sequence}`; where the sequence is missing or 0, a
JSON list of its uniqueid, start, channel and second channel; where there is no uniqueid, or the
text would be too long for an index or no clean text, a digest. Whether a leg changed is seen by its
digest, of all that it says.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter, itemgetter
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from boxis_async import CDR, Disposition, Extra
from boxis_async.mirror.damage import FOREIGN, not_written
from boxis_async.mirror.schema import API_NAMES, FIELDS, LEG_COLUMNS, TIMES, WHOLES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import tzinfo

__all__ = ["CDR_COLUMNS", "Dialect", "LegReader", "LegWriter", "leg_key"]

Dialect: TypeAlias = Literal["sqlite", "postgresql"]

_TEXTS: Final = tuple(
    name for name in FIELDS if name not in {*TIMES, *WHOLES, "disposition", "cc_date", "cc_cost"}
)[:-1]
assert FIELDS[-1] == "extra"  # noqa: S101 - which is no text
_texts_of = cast("Any", attrgetter(*_TEXTS))
_wholes_of = cast("Any", attrgetter(*WHOLES))

CDR_COLUMNS: Final = LEG_COLUMNS[2 : LEG_COLUMNS.index("exact") + 1]
"""The columns that make a CDR."""
_PLACES: Final = {name: number for number, name in enumerate(CDR_COLUMNS)}

_MOST_KINDS: Final = 1000
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    **{API_NAMES.get(name, name): (str, NoneType) for name in (*_TEXTS, "disposition", "exact")},
    **dict.fromkeys((*WHOLES, "cc_cost_e5", *(f"{name}_pass" for name in TIMES)), (int, NoneType)),
}
"""What there may be in a column, where reading it would not find out."""

_BUILT: Final = (
    *(API_NAMES.get(name, name) for name in _TEXTS),
    *WHOLES,
    *(f"{name}{part}" for name in TIMES for part in ("", "_wall", "_pass")),
    "disposition",
    "cc_date",
    "cc_cost",
    "cc_cost_e5",
    "extra",
)
"""The columns in the order in which a row is built: a loop over the fields takes twice as long."""
_in_order = cast("Any", itemgetter(*map(_BUILT.index, CDR_COLUMNS[:-1])))

_LONGEST_KEY: Final = 255
"""Characters. PostgreSQL refuses an index entry of more than 2,700 bytes."""
_SIZE: Final = 16
_WHOLE: Final = 2**63
_DECIMALS: Final = 5
_NO_OFFSET: Final = timedelta(0)
# More digits than a cost has. The default, 28, would round without a word.
_EXACT: Final = Context(prec=400)
_SEPARATOR: Final = "\x1f"


def leg_key(cdr: CDR) -> str:
    """Give the text that a leg is known by, within its tenant."""
    uniqueid = cdr.uniqueid
    if cdr.sequence and uniqueid and uniqueid.isascii() and len(uniqueid) < _LONGEST_KEY // 2:
        # Ends with digits behind a #, as no other form of a key does.
        key = f"{uniqueid}#{cdr.sequence}"
        if "\0" not in key and len(key) <= _LONGEST_KEY:
            return key
    if not uniqueid:
        return f"content {_digest(_content(cdr, _SEPARATOR.join(_texts_of(cdr)), _wholes_of(cdr)))}"
    key = json.dumps(cdr.leg)
    return key if len(key) <= _LONGEST_KEY else f"leg {_digest(key)}"


class LegWriter:
    """Makes rows of CDRs, as one kind of database takes them.

    Args:
        dialect: The kind of database.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._is_sqlite = dialect == "sqlite"

    def row(self, tenant: str, key: str, cdr: CDR) -> tuple[tuple[object, ...], str]:
        """Give the values of `LEG_COLUMNS` up to `digest`, and the digest."""
        texts: tuple[str, ...] = _texts_of(cdr)
        wholes: tuple[int | None, ...] = _wholes_of(cdr)
        joined = _SEPARATOR.join(texts)
        disposition, cost, extra = cdr.disposition, cdr.cc_cost, cdr.extra
        digest = _digest(_content(cdr, joined, wholes))
        exact: dict[str, object] = {}
        # To look once is to look at all: nearly always, all fits.
        if not _is_clean(joined):
            exact |= {n: text for n, text in zip(_TEXTS, texts, strict=True) if not _is_clean(text)}
            texts = tuple(map(_cleaned, texts))
        if any(number is not None and not -_WHOLE <= number < _WHOLE for number in wholes):
            unfit = {
                name: str(number)
                for name, number in zip(WHOLES, wholes, strict=True)
                if number is not None and not -_WHOLE <= number < _WHOLE
            }
            exact |= unfit
            wholes = tuple(
                None if name in unfit else number
                for name, number in zip(WHOLES, wholes, strict=True)
            )
        if disposition is not None and not _is_clean(disposition):
            exact["disposition"] = str(disposition)
        day = cdr.cc_date
        values = (
            *texts,
            *wholes,
            *self.time(cdr.start),
            *self.time(cdr.answer),
            *self.time(cdr.end),
            None if disposition is None else self.text(str(disposition)),
            day if day is None or not self._is_sqlite else day.isoformat(),
            *((None, None) if cost is None else self._cost(cost, exact)),
            self._extra(extra, exact) if extra else None,
        )
        in_order: tuple[object, ...] = _in_order(values)
        return (tenant, key, *in_order, json.dumps(exact) if exact else None, digest), digest

    def time(self, moment: datetime | None) -> tuple[object, object, int | None]:
        """Give a time three ways: the moment, the wall clock, and which pass of it."""
        if moment is None:
            return None, None, None
        wall = moment.replace(tzinfo=None, fold=0)
        # To subtract takes half the time of `astimezone`.
        utc = wall - (moment.utcoffset() or _NO_OFFSET)
        if self._is_sqlite:
            return f"{utc.isoformat(' ')}Z", wall.isoformat(" "), moment.fold + 1
        return utc.replace(tzinfo=UTC), wall, moment.fold + 1

    def moment(self, moment: datetime) -> object:
        """Give a moment in UTC."""
        utc = moment.astimezone(UTC)
        return f"{utc.replace(tzinfo=None).isoformat(' ')}Z" if self._is_sqlite else utc

    def wall(self, wall: datetime | None) -> object:
        """Give a naive wall time."""
        return wall.isoformat(" ") if wall is not None and self._is_sqlite else wall

    def amount(self, amount: Decimal) -> tuple[object, int | None]:
        """Give an amount of money, and its hundred-thousandths."""
        number, whole, _ = _amount(amount)
        return (number if self._is_sqlite else amount), whole

    def text(self, text: str) -> str:
        """Give a text without what a database cannot hold."""
        return text if _is_clean(text) else _cleaned(text)

    def _cost(self, cost: Decimal, exact: dict[str, object]) -> tuple[object, int | None]:
        number, whole, is_exact = _amount(cost)
        if not self._is_sqlite:
            return cost, whole
        if not is_exact or cost.as_tuple().exponent != -_DECIMALS:
            exact["cc_cost"] = str(cost)
        return number, whole

    def _extra(self, extra: Extra, exact: dict[str, object]) -> str:
        clean = {self.text(name): self.text(text) for name, text in extra.items()}
        if clean != extra:
            exact["extra"] = dict(extra)
        return json.dumps(clean, ensure_ascii=False)


class LegReader:
    """Makes CDRs of rows of `CDR_COLUMNS`.

    Args:
        zone: The zone of the wall clock.
    """

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._kinds: set[tuple[type, ...]] = set()

    def cdr(self, row: Sequence[Any]) -> CDR:
        """Make a CDR.

        Raises:
            MirrorDatabaseError: No mirror wrote this row.
        """
        kinds = tuple(map(type, row))
        # No context manager: it would take another microsecond for each leg.
        try:
            if kinds not in self._kinds:
                self._check(kinds)
            return self._cdr(row)
        except FOREIGN as error:
            raise not_written("a leg", error) from None

    def _check(self, kinds: tuple[type, ...]) -> None:
        """Refuse rows with what their columns cannot have; SQLite keeps any value in any column.

        Rows of a few combinations of types are all that there are. To look one up takes 1 µs.
        """
        wrong = [
            name
            for name, kind in zip(CDR_COLUMNS, kinds, strict=True)
            if kind not in (_TYPES.get(name) or (kind,))
        ]
        if wrong:
            raise TypeError(", ".join(wrong))
        if len(self._kinds) > _MOST_KINDS:
            self._kinds.clear()
        self._kinds.add(kinds)

    def _cdr(self, row: Sequence[Any]) -> CDR:
        values: dict[str, Any] = {}
        for name in FIELDS:
            value: Any = row[_PLACES[API_NAMES.get(str(name), str(name))]]
            if name in TIMES:
                value = self.time(row[_PLACES[f"{name}_wall"]], row[_PLACES[f"{name}_pass"]])
            elif value is None:
                # As it is made: unset, or without other fields.
                if name == "extra":
                    continue
            elif name == "disposition":
                value = Disposition(value)
            elif name == "cc_date":
                value = date.fromisoformat(value) if isinstance(value, str) else value
            elif name == "cc_cost" and not isinstance(value, Decimal):
                whole = row[_PLACES["cc_cost_e5"]]
                value = Decimal(value) if whole is None else _money(whole)
            elif name == "extra":
                # PostgreSQL's driver has read the JSON already.
                value = Extra(cast("Any", json.loads(value) if isinstance(value, str) else value))
            values[name] = value
        exact = row[_PLACES["exact"]]
        if exact is not None:
            values |= _exactly(json.loads(exact))
        return CDR(**values)

    def time(self, wall: Any, number: int | None) -> datetime | None:  # noqa: ANN401 - by database
        """Make an aware datetime of a wall time and of which pass of it is meant."""
        if wall is None or number is None:
            return None
        plain = datetime.fromisoformat(wall) if isinstance(wall, str) else wall
        return cast("datetime", plain.replace(tzinfo=self._zone, fold=number - 1))


def _exactly(exact: dict[str, Any]) -> dict[str, Any]:
    makes: dict[str, Callable[[Any], object]] = {
        **dict.fromkeys(WHOLES, int),
        "cc_cost": Decimal,
        "disposition": Disposition,
        "extra": Extra,
    }
    return {name: makes.get(name, str)(value) for name, value in exact.items()}


def _content(cdr: CDR, joined: str, wholes: tuple[int | None, ...]) -> str:
    """Write all that a leg says as one text, which no other content has.

    Args:
        cdr: The leg.
        joined: Its texts, joined by the separator.
        wholes: Its whole numbers.
    """
    start, answer, end = cdr.start, cdr.answer, cdr.end
    cost, extra, disposition = cdr.cc_cost, cdr.extra, cdr.disposition
    rest = (
        *wholes,
        start.replace(tzinfo=None).isoformat(),
        start.fold,
        answer and answer.replace(tzinfo=None).isoformat(),
        answer and answer.fold,
        end and end.replace(tzinfo=None).isoformat(),
        end and end.fold,
        None if disposition is None else str(disposition),
        cdr.cc_date and str(cdr.cc_date),
        None if cost is None else _normal(cost),
        sorted(extra.items()) if extra else None,
    )
    if joined.count(_SEPARATOR) == len(_TEXTS) - 1:
        # It shows where each text begins. The end is what the last text ends before.
        return f"{joined}{_SEPARATOR}{rest!r}"
    return f"{_SEPARATOR}{json.dumps([_texts_of(cdr), rest])}"


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_SIZE).hexdigest()


def _is_clean(text: str) -> bool:
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a character
        return False
    return True


def _cleaned(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


# There are few costs. To compute one takes 3 µs, to look it up 0.1.
@lru_cache(maxsize=4096)
def _amount(amount: Decimal) -> tuple[float, int | None, bool]:
    """Give an amount as a float and in hundred-thousandths, and whether the latter is exact."""
    fine = _EXACT.scaleb(amount, _DECIMALS)
    whole = int(fine.to_integral_value(context=_EXACT))
    if not -_WHOLE <= whole < _WHOLE:
        return float(amount), None, False
    return float(amount), whole, fine == whole


@lru_cache(maxsize=4096)
def _normal(amount: Decimal) -> str:
    """Write an amount as every equal one is written."""
    return str(_EXACT.normalize(amount))


@lru_cache(maxsize=4096)
def _money(hundred_thousandths: int) -> Decimal:
    # With the decimals that the provider writes: 0.00000.
    return Decimal(hundred_thousandths).scaleb(-_DECIMALS, _EXACT)
