"""Legs that are new or changed, each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

import attrs

from boxis_async._watch.seen_legs import digests_of, last_moment
from boxis_async.models import CDR
from boxis_async.watch_model import CallChange, Change

if TYPE_CHECKING:
    from boxis_async._watch.position import Handled, HandledOfTenant
    from boxis_async._wire.cooperative import Steps

__all__ = ["AFTERMATH", "Feed", "Item", "LegFeed", "Mark", "Whole", "read_legs"]

AFTERMATH: Final = 3 * 3600.0
"""Seconds for which a leg is remembered longer than it is requested, so that a change of the clock,
which a server that compares texts takes for an hour or two, makes nothing new of it."""

_LEGS_A_STEP: Final = 50


@attrs.frozen(eq=False)
class Mark:
    """What is to be remembered of a leg once it is handled."""

    leg: bytes
    version: bytes
    last: float
    cdr: CDR


@attrs.frozen(eq=False)
class Item:
    """Something to hand over."""

    change: Change | CallChange
    tenant: str
    marks: Sequence[Mark]
    """The legs that are handled with it."""
    changes: Sequence[Change]
    """What that is to each of those legs that came or changed."""


@attrs.frozen
class Whole:
    """A time of which all records are there, in Unix seconds."""

    begin: float
    """Calls that began from then on are whole."""
    end: float
    """Up to when."""
    moment: float
    """When they were looked at."""


class Feed(Protocol):
    """Makes items of what looks bring."""

    def take(self, tenant: str, cdrs: Sequence[CDR], whole: Whole | None) -> Steps[list[Item]]:
        """Take records.

        Args:
            tenant: Whose they are.
            cdrs: The records.
            whole: Of which time all records are there by now, if that is known.
        """
        ...

    def finish(self, tenant: str, whole: Whole) -> Steps[list[Item]]:
        """Take note that a look came to its end.

        Args:
            tenant: Whose records it was for.
            whole: Of which time all records are there by now.
        """
        ...

    def handle(self, item: Item) -> None:
        """Take note that an item is handled."""
        ...

    def floor(self, tenant: str, floor: float) -> float:
        """Give from when on records are needed after a restart, in Unix seconds.

        Args:
            tenant: Whose records they are.
            floor: From when on they are needed if all that was before is handled.
        """
        ...

    def forget_before(self, tenant: str, moment: float) -> None:
        """Let go of what was over before a moment, in Unix seconds."""
        ...


def read_legs(
    handled: Handled, of_tenant: HandledOfTenant, cdrs: Sequence[CDR]
) -> Steps[list[Mark]]:
    """Give the marks of records, but of those that are long over."""
    found: list[Mark] = []
    fingerprinter = handled.fingerprinter
    over = of_tenant.floor - AFTERMATH
    for number, cdr in enumerate(cdrs, 1):
        last = last_moment(cdr)
        if last >= over:
            leg, version = digests_of(cdr, fingerprinter)
            found.append(Mark(leg, version, last, cdr))
        if number % _LEGS_A_STEP == 0:
            yield
    return found


class LegFeed:
    """Hands over each leg that is not as it was handled.

    Args:
        handled: What is handled.
    """

    def __init__(self, handled: Handled) -> None:
        self._handled = handled

    def take(self, tenant: str, cdrs: Sequence[CDR], whole: Whole | None) -> Steps[list[Item]]:  # noqa: ARG002 - a leg is whole
        """Give the legs that are new or changed."""
        of_tenant = self._handled.tenants[tenant]
        items: list[Item] = []
        for mark in (yield from read_legs(self._handled, of_tenant, cdrs)):
            known = of_tenant.seen.version(mark.leg)
            if known != mark.version and mark.last >= of_tenant.origin:
                change = Change(
                    kind="new" if known is None else "changed", cdr=mark.cdr, tenant=tenant
                )
                items.append(Item(change, tenant, (mark,), (change,)))
        return items

    def finish(self, tenant: str, whole: Whole) -> Steps[list[Item]]:  # noqa: ARG002
        """Give nothing more."""
        yield from ()
        return []

    def handle(self, item: Item) -> None:
        """Keep nothing more."""

    def floor(self, tenant: str, floor: float) -> float:  # noqa: ARG002
        """Need nothing more."""
        return floor

    def forget_before(self, tenant: str, moment: float) -> None:
        """Keep nothing anyway."""
