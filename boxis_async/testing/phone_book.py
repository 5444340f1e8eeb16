"""The people and telephone numbers of the generated calls, all of them invented."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from random import Random

_NAMES = (
    "Anna Meier",
    "Beat Müller",
    "Chloé Favre",
    "Zoë Grünenfelder",
    "Gianni D'Amico",
    "Łukasz Żółć",
    "Muster, Petra",
    "Bäckerei Höhn & Söhne",
    "Notfall 24h",
    "Praxis Dr. Keller",
    "DirectCEO:",
    "Garage Rochat SA",
)
_ODD_NAMES = (
    "",
    'Hans "Housi" Wyss',
    "Sales <team>",
    "Café ☕ Bern",
    "🦄 & 👩‍💻 GmbH",
    "O'Brien, Pat; back\\slash",
    "Tom & Jerry/Partner",
    "東京オフィス",
    "NULL",
)
# Asterisk cuts the column `clid` at 80 characters: in the name, or in the number behind it.
_LONG_NAMES = (
    "Genossenschaft zur Erhaltung des historischen Trams Zürich-Oerlikon, Abteilung Fundbüro",
    "Association des Amis de la Bibliothèque municipale de Genève, bureau",
)
# A caller chooses the name, so an export must not let a spreadsheet run it as a formula, and a page
# must not run it as a script.
_HOSTILE_NAMES = (
    "=SUM(A1)",
    "+41 HYPERLINK",
    "@cmd",
    "<script>alert(1)</script>",
    "Bank\u202efdp.exe",
)
# How many in a thousand have a name of each kind; accumulated, as `choices` is then twice as fast.
_KINDS_OF_NAMES = (None, _NAMES, _ODD_NAMES, _LONG_NAMES, _HOSTILE_NAMES)
_NAME_WEIGHTS = tuple(accumulate((120, 705, 150, 17, 8)))
# Some telephone systems write the number in another way, and some leave it out.
_NUMBER_FORMS = (
    *("<{}>",) * 94,
    *("",) * 4,
    "<sip:{}@sip022.voice.boxis.net>",
    '<{}>"',
)
_COLUMN_WIDTH = 80


class _Place(NamedTuple):
    country_code: str
    area: str
    country: str
    network: str
    price: float
    """Francs a minute."""


# All subscriber numbers are 555 01 xx, the block that is reserved for fiction.
_PLACES = (
    _Place("41", "44", "Switzerland", "Fixed", 0.02468),
    _Place("41", "22", "Switzerland", "Fixed", 0.02468),
    _Place("41", "61", "Switzerland", "Fixed", 0.02468),
    _Place("41", "79", "Switzerland", "Mobile", 0.1851),
    _Place("49", "30", "Germany", "Fixed", 0.031),
    _Place("33", "1", "France", "Fixed", 0.0335),
)
_PLACE_WEIGHTS = tuple(accumulate((34, 16, 10, 30, 6, 4)))
_MOBILE = _PLACES[3]
_PREFIXES = ("00", "00", "00", "+", "0")

EXTENSIONS = tuple(str(number) for number in range(201, 231))
QUEUES = (("600", "Queue General"), ("601", "Queue Support"), ("602", "Queue Verkauf"))


class OutsideNumber(NamedTuple):
    """A telephone number outside the company."""

    written: str
    """As this record has it: one number is written as `+41…`, as `0041…`, and as `0…`."""
    e164: str
    country: str
    network: str
    price: float
    """Francs a minute."""


class CallerID(NamedTuple):
    """How a caller shows up in a record."""

    clid: str
    name: str
    """The name, as much of it as fits in `clid`."""
    has_number: bool
    """Whether `clid` has the whole number."""


def draw_outside_number(rng: Random) -> OutsideNumber:
    """Draw a number outside the company, and how it is written."""
    return _number_in(rng.choices(_PLACES, cum_weights=_PLACE_WEIGHTS)[0], rng)


def draw_mobile_number(rng: Random) -> OutsideNumber:
    """Draw the mobile number of somebody who forwards calls to it."""
    return _number_in(_MOBILE, rng)


def _number_in(place: _Place, rng: Random) -> OutsideNumber:
    local = f"{place.area}55501{rng.randrange(20, 100)}"
    prefix = rng.choice(_PREFIXES)
    if prefix == "0" and place.country_code == "41":
        written = f"0{local}"
    else:
        written = f"{'+' if prefix == '+' else '00'}{place.country_code}{local}"
    e164 = f"+{place.country_code}{local}"
    return OutsideNumber(written, e164, place.country, place.network, place.price)


def draw_own_number(rng: Random) -> str:
    """Draw one of the tenant's own numbers."""
    return f"00414455501{rng.randrange(20):02}"


def draw_caller_id(rng: Random, number: str) -> CallerID:
    r"""Draw a name and write `"Name" <number>` as Asterisk does, with `\"` for a quote."""
    (names,) = rng.choices(_KINDS_OF_NAMES, cum_weights=_NAME_WEIGHTS)
    if names is None:
        return CallerID(number, "", has_number=True)
    name = rng.choice(names)
    form = rng.choice(_NUMBER_FORMS)
    clid = f'"{_escape(name)}" {form.format(number)}'
    if len(clid) <= _COLUMN_WIDTH:
        return CallerID(clid, name, has_number=bool(form))
    return CallerID(clid[:_COLUMN_WIDTH], _shown(name), has_number=False)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _shown(name: str) -> str:
    """Return as much of a name as fits behind its quote."""
    shown, room = "", _COLUMN_WIDTH - 1
    for character in name:
        room -= len(_escape(character))
        if room < 0:
            break
        shown += character
    return shown.strip()
