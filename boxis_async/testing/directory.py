"""The invented people and numbers of the generated calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

NAMES = (
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
ODD_NAMES = (
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
# What a caller can put into a spreadsheet that somebody opens.
FORMULAE = ("=SUM(A1)", "+41 HYPERLINK", "@cmd")

# Country code, area, country, network and francs a minute. Subscriber numbers are 555 01 xx
# throughout: the block that fiction keeps for itself.
_PLACES = (
    ("0041", "44", "Switzerland", "Fixed", 0.02468),
    ("0041", "22", "Switzerland", "Fixed", 0.02468),
    ("0041", "61", "Switzerland", "Fixed", 0.02468),
    ("0041", "79", "Switzerland", "Mobile", 0.1851),
    ("0049", "30", "Germany", "Fixed", 0.031),
    ("0033", "1", "France", "Fixed", 0.0335),
)
_WEIGHTS = (34, 16, 10, 30, 6, 4)

EXTENSIONS = tuple(str(number) for number in range(201, 231))
QUEUES = (("600", "Queue General"), ("601", "Queue Support"), ("602", "Queue Verkauf"))


def outside_number(rng: Random) -> tuple[str, str, str, float]:
    """Draw somebody outside: number, country, network, and price in francs a minute."""
    country, area, name, network, price = rng.choices(_PLACES, _WEIGHTS)[0]
    return f"{country}{area}55501{rng.randrange(20, 100)}", name, network, price


def own_number(rng: Random) -> str:
    """Draw one of the tenant's own numbers."""
    return f"00414455501{rng.randrange(20):02}"


def caller_id(rng: Random, number: str) -> str:
    r"""Write a `clid` as Asterisk does: `"Name" <number>`, with `\"` for a quote in the name."""
    (names,) = rng.choices((None, NAMES, ODD_NAMES, FORMULAE), (120, 725, 150, 5))
    if names is None:
        return number
    name = rng.choice(names)
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{number}>'
