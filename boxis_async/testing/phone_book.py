"""The people and telephone numbers of the generated calls, all of them invented."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
# A caller chooses the name, so an export must not let a spreadsheet run it as a formula.
_FORMULAE = ("=SUM(A1)", "+41 HYPERLINK", "@cmd")

# Country code, area, country, network and francs a minute. All subscriber numbers are 555 01 xx,
# the block that is reserved for fiction.
_PLACES = (
    ("0041", "44", "Switzerland", "Fixed", 0.02468),
    ("0041", "22", "Switzerland", "Fixed", 0.02468),
    ("0041", "61", "Switzerland", "Fixed", 0.02468),
    ("0041", "79", "Switzerland", "Mobile", 0.1851),
    ("0049", "30", "Germany", "Fixed", 0.031),
    ("0033", "1", "France", "Fixed", 0.0335),
)
_PLACE_WEIGHTS = (34, 16, 10, 30, 6, 4)

EXTENSIONS = tuple(str(number) for number in range(201, 231))
QUEUES = (("600", "Queue General"), ("601", "Queue Support"), ("602", "Queue Verkauf"))


def draw_external_number(rng: Random) -> tuple[str, str, str, float]:
    """Draw a number outside the company: number, country, network, price in francs a minute."""
    country, area, name, network, price = rng.choices(_PLACES, _PLACE_WEIGHTS)[0]
    return f"{country}{area}55501{rng.randrange(20, 100)}", name, network, price


def draw_own_number(rng: Random) -> str:
    """Draw one of the tenant's own numbers."""
    return f"00414455501{rng.randrange(20):02}"


def draw_caller_id(rng: Random, number: str) -> str:
    r"""Draw a name and write `"Name" <number>` as Asterisk does, with `\"` for a quote."""
    (names,) = rng.choices((None, _NAMES, _ODD_NAMES, _FORMULAE), (120, 725, 150, 5))
    if names is None:
        return number
    name = rng.choice(names)
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{number}>'
