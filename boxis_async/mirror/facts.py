"""What a mirror as a whole is, and each of its tenants: read from two small tables, and compared.

A mirror that was filled from one provider, in one zone, under one meaning of the two dates, is not
filled further under another: nobody could say what is missing then.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, Final, cast
from zoneinfo import ZoneInfo

import attrs
from sqlalchemy import text

from boxis_async import Contract, UsageError
from boxis_async.mirror.damage import as_written
from boxis_async.mirror.errors import MirrorContractError, MirrorMismatchError
from boxis_async.mirror.wall_times import read_wall

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from boxis_async.mirror.leg_rows import LegWriter

__all__ = [
    "Facts",
    "TenantFacts",
    "load_facts",
    "load_tenants",
    "read_moment",
    "save_facts",
    "save_tenant",
    "zone_name",
]

_UTC: Final = "UTC"


@attrs.frozen
class Facts:
    """What a whole mirror is. An empty one has no provider and no zone yet."""

    base_url: str | None
    zone: tzinfo
    has_zone: bool
    contract: Contract | None
    key: bytes = attrs.field(repr=False)
    """Of the digests of numbers that were forgotten."""
    digests: frozenset[str] = attrs.field(repr=False)

    def check(self, base_url: str, zone: tzinfo, contract: Contract) -> None:
        """Refuse to fill it from elsewhere, or under another meaning of what is there.

        Raises:
            MirrorMismatchError: Another provider, or another zone.
            MirrorContractError: Another contract.
        """
        if self.base_url is not None and self.base_url != base_url:
            raise MirrorMismatchError(
                f"the mirror is of the provider at {self.base_url}, and the client is of "
                f"{base_url}: give another database; if the provider has only moved, set the value "
                "of 'base_url' in the table 'mirror'"
            )
        if self.has_zone and zone_name(self.zone) != zone_name(zone):
            raise MirrorMismatchError(
                f"the mirror is in the time zone {zone_name(self.zone)}, and the client in "
                f"{zone_name(zone)}: give the client timezone={zone_name(self.zone)!r}, or another "
                "database"
            )
        found = () if self.contract is None else self.contract.contradictions(contract)
        if found:
            raise MirrorContractError(
                f"the mirror was filled under another contract: {'; '.join(found)}. What is sealed "
                "may lack legs: fill another database, or give the client the contract that the "
                "mirror was filled under"
            )


@attrs.frozen
class TenantFacts:
    """What is known of one tenant's part of a mirror."""

    tenant: str
    range_from: datetime | None = None
    """From when it is mirrored, a wall time."""
    pruned_before: datetime | None = None
    rechecked: datetime | None = None
    """When what is sealed was last begun to be read again, in UTC."""
    recheck_from: datetime | None = None
    """The range of a recheck that has not ended, in wall times."""
    recheck_to: datetime | None = None
    recheck_began: datetime | None = None


_COLUMNS: Final = tuple(field.name for field in attrs.fields(TenantFacts))
_MOMENTS: Final = ("rechecked", "recheck_began")


def zone_name(zone: tzinfo) -> str:
    """Name a zone, so that another process finds it by the name.

    Raises:
        UsageError: It has none.
    """
    if isinstance(zone, ZoneInfo) and zone.key:
        return zone.key
    if isinstance(zone, timezone):
        offset = zone.utcoffset(None)
        return _UTC if not offset else f"{_UTC}{offset / timedelta(seconds=1):+g}s"
    raise UsageError(
        "a mirror needs a time zone that another process finds by its name: give the client "
        "timezone='Europe/Zurich', or another IANA name"
    )


def _zone(name: str) -> tzinfo:
    if name == _UTC:
        return UTC
    if name.startswith(_UTC) and name.endswith("s"):
        return timezone(timedelta(seconds=float(name[len(_UTC) : -1])))
    return ZoneInfo(name)


async def load_facts(connection: AsyncConnection) -> Facts:
    """Read what the whole mirror is."""
    rows = await connection.execute(text("SELECT name, value FROM mirror"))
    values: dict[str, str] = {name: value for name, value in rows}  # noqa: C416 - of rows
    digests = await connection.execute(text("SELECT digest FROM tombstones"))
    contract = values.get("contract")
    zone = values.get("timezone")
    with as_written("facts"):
        return Facts(
            base_url=values.get("base_url"),
            zone=UTC if zone is None else _zone(zone),
            has_zone=zone is not None,
            contract=None if contract is None else Contract.from_dict(json.loads(contract)),
            key=bytes.fromhex(values.get("forget_key", "")),
            digests=frozenset(digests.scalars()),
        )


async def save_facts(
    connection: AsyncConnection, base_url: str, zone: tzinfo, contract: Contract
) -> None:
    """Write what the whole mirror is, where it differs."""
    rows = await connection.execute(text("SELECT name, value FROM mirror"))
    there = {name: value for name, value in rows}  # noqa: C416 - of rows
    wanted = {
        "base_url": base_url,
        "timezone": zone_name(zone),
        "contract": json.dumps(_joined(there.get("contract"), contract), sort_keys=True),
        "forget_key": there.get("forget_key") or os.urandom(32).hex(),
    }
    for name, value in wanted.items():
        if there.get(name) != value:
            await connection.execute(
                text(
                    "INSERT INTO mirror (name, value) VALUES (:name, :value) "
                    "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
                ),
                {"name": name, "value": value},
            )


def _joined(there: str | None, contract: Contract) -> dict[str, str | int | bool]:
    """Add what a client knows to what is known, as another client may know less of the server."""
    known = Contract.from_dict({} if there is None else json.loads(there))
    largest = max(known.no_cap_up_to, contract.no_cap_up_to)
    joined = Contract.from_dict(known.to_dict() | contract.to_dict())
    return attrs.evolve(joined, no_cap_up_to=largest).to_dict()


async def load_tenants(connection: AsyncConnection) -> dict[str, TenantFacts]:
    """Read what is known of each tenant, by name."""
    rows = await connection.execute(
        text(f"SELECT {', '.join(_COLUMNS)} FROM tenants ORDER BY tenant")  # noqa: S608 - of names of our own
    )
    with as_written("a tenant"):
        return {row[0]: TenantFacts(row[0], *map(_read, _COLUMNS[1:], row[1:])) for row in rows}


async def save_tenant(connection: AsyncConnection, facts: TenantFacts, writer: LegWriter) -> None:
    """Write what is known of a tenant."""
    values = attrs.asdict(facts)
    for name in _COLUMNS[1:]:
        value = values[name]
        if value is not None:
            values[name] = writer.moment(value) if name in _MOMENTS else writer.wall(value)
    changes = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[1:])
    await connection.execute(
        text(
            f"INSERT INTO tenants ({', '.join(_COLUMNS)}) "  # noqa: S608 - of names of our own
            f"VALUES ({', '.join(f':{name}' for name in _COLUMNS)}) "
            f"ON CONFLICT (tenant) DO UPDATE SET {changes}"
        ),
        values,
    )


def read_moment(value: Any) -> datetime | None:  # noqa: ANN401 - by database
    """Make a moment in UTC of what a database gives."""
    if value is None:
        return None
    with as_written("a time"):
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return cast("datetime", moment.astimezone(UTC))


def _read(name: str, value: Any) -> datetime | None:  # noqa: ANN401 - by database
    return read_moment(value) if name in _MOMENTS else read_wall(value)
