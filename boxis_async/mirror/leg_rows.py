"""CDRs ↔ rows of `legs`, each value as its column takes it, and none of them lost.

A leg is known by its key, a text: `{uniqueid}#{sequence}`; where the sequence is missing or 0, a
JSON list of its uniqueid, start, channel and second channel; where there is no uniqueid, or the
text would be too long for an index or no clean text, a digest. Whether a leg changed is seen by its
digest, of all that it says.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from boxis_async import CDR, Disposition, Extra
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
_times_of = cast("Any", attrgetter(*TIMES))

CDR_COLUMNS: Final = LEG_COLUMNS[2 : LEG_COLUMNS.index("exact") + 1]
"""The columns that make a CDR."""
_PLACES: Final = {name: number for number, name in enumerate(CDR_COLUMNS)}

_LONGEST_KEY: Final = 255
"""Characters. PostgreSQL refuses an index entry of more than 2,700 bytes."""
_SIZE: Final = 16
_WHOLE: Final = range(-(2**63), 2**63)
_DECIMALS: Final = 5
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
        return f"content {_digest(_content(cdr))}"
    key = json.dumps(cdr.leg)
    return key if len(key) <= _LONGEST_KEY else f"leg {_digest(key)}"


class LegWriter:
    """Makes rows of CDRs, as one kind of database takes them.

    Args:
        dialect: The kind of database.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._is_sqlite = dialect == "sqlite"

    def row(self, tenant: str, key: str, cdr: CDR) -> tuple[list[object], str]:
        """Give the values of `LEG_COLUMNS` up to `digest`, and the digest."""
        wholes: dict[str, int | None] = dict(zip(WHOLES, _wholes_of(cdr), strict=True))
        exact: dict[str, object] = {
            name: str(number)
            for name, number in wholes.items()
            if number is not None and number not in _WHOLE
        }
        wholes |= dict.fromkeys(exact)
        texts = dict(zip(_TEXTS, self._texts(cdr, exact), strict=True))
        values: list[object] = [tenant, key]
        for name in FIELDS:
            if name in texts:
                values.append(texts[name])
            elif name in TIMES:
                values += self.time(getattr(cdr, name))
            elif name in wholes:
                values.append(wholes[name])
            elif name == "disposition":
                values.append(None if cdr.disposition is None else self._clean(name, cdr, exact))
            elif name == "cc_date":
                day = cdr.cc_date
                values.append(day.isoformat() if day is not None and self._is_sqlite else day)
            elif name == "cc_cost":
                values += self._cost(cdr.cc_cost, exact)
            else:
                values.append(self._extra(cdr.extra, exact))
        digest = _digest(_content(cdr))
        return [*values, json.dumps(exact) if exact else None, digest], digest

    def time(self, moment: datetime | None) -> tuple[object, object, int | None]:
        """Give a time three ways: the moment, the wall clock, and which pass of it."""
        if moment is None:
            return None, None, None
        wall = moment.replace(tzinfo=None, fold=0)
        utc = moment.astimezone(UTC)
        if self._is_sqlite:
            return moment_text(utc), wall.isoformat(" "), moment.fold + 1
        return utc, wall, moment.fold + 1

    def moment(self, moment: datetime) -> object:
        """Give a moment in UTC."""
        utc = moment.astimezone(UTC)
        return moment_text(utc) if self._is_sqlite else utc

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

    def _texts(self, cdr: CDR, exact: dict[str, object]) -> Sequence[str]:
        texts: tuple[str, ...] = _texts_of(cdr)
        # To look once is to look at all.
        if _is_clean(_SEPARATOR.join(texts)):
            return texts
        exact |= {
            name: text for name, text in zip(_TEXTS, texts, strict=True) if not _is_clean(text)
        }
        return [*map(_cleaned, texts)]

    def _clean(self, name: str, cdr: CDR, exact: dict[str, object]) -> str:
        text = str(getattr(cdr, name))
        if not _is_clean(text):
            exact[name] = text
        return self.text(text)

    def _cost(self, cost: Decimal | None, exact: dict[str, object]) -> tuple[object, int | None]:
        if cost is None:
            return None, None
        number, whole, is_exact = _amount(cost)
        if self._is_sqlite and not (is_exact and cost.as_tuple().exponent == -_DECIMALS):
            exact["cc_cost"] = str(cost)
        return (number if self._is_sqlite else cost), whole

    def _extra(self, extra: Extra, exact: dict[str, object]) -> str | None:
        if not extra:
            return None
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

    def cdr(self, row: Sequence[Any]) -> CDR:
        """Make a CDR."""
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


def moment_text(utc: datetime) -> str:
    """Write a moment in UTC, so that such texts sort, and every tool reads them."""
    return f"{utc.replace(tzinfo=None).isoformat(' ')}Z"


def _exactly(exact: dict[str, Any]) -> dict[str, Any]:
    makes: dict[str, Callable[[Any], object]] = {
        **dict.fromkeys(WHOLES, int),
        "cc_cost": Decimal,
        "disposition": Disposition,
        "extra": Extra,
    }
    return {name: makes.get(name, str)(value) for name, value in exact.items()}


def _content(cdr: CDR) -> str:
    """Write all that a leg says as one text, which no other content has."""
    times = [
        None if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} {moment.fold}"
        for moment in _times_of(cdr)
    ]
    cost = None if cdr.cc_cost is None else str(_EXACT.normalize(cdr.cc_cost))
    rest = [cdr.disposition, None if cdr.cc_date is None else str(cdr.cc_date), cost]
    return json.dumps([_texts_of(cdr), times, _wholes_of(cdr), rest, sorted(cdr.extra.items())])


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=_SIZE).hexdigest()


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
    if whole not in _WHOLE:
        return float(amount), None, False
    return float(amount), whole, fine == whole


@lru_cache(maxsize=4096)
def _money(hundred_thousandths: int) -> Decimal:
    # With the decimals that the provider writes: 0.00000.
    return Decimal(hundred_thousandths).scaleb(-_DECIMALS, _EXACT)
