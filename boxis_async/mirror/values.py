"""The frozen values that a mirror gives: what a sync did, what is there, and what differs."""

# No `from __future__ import annotations` here: the public classes say that they are from
# `boxis_async.mirror`, and annotations that are texts would be looked up there.

from collections.abc import Callable
from datetime import datetime
from typing import Literal, TypeAlias

import attrs

from boxis_async import CDR, Reject, Stats, Window

__all__ = [
    "Covered",
    "Difference",
    "Progress",
    "ProgressFunction",
    "Stage",
    "Synced",
    "SyncedTenant",
    "TenantStatus",
    "Verified",
]

Stage: TypeAlias = Literal["waiting", "fetching", "rechecking"]
"""What a sync does: wait until another one has ended, fetch what is missing, or read again."""


@attrs.frozen(kw_only=True)
class Covered:
    """How much of a range is in the mirror. Spans are wall times of the provider's zone.

    `complete`, `young` and `missing` together are the range.
    """

    complete: tuple[Window, ...]
    """Fetched when it was at rest: fetched again by a recheck only."""
    young: tuple[Window, ...]
    """Fetched, but too young to be complete: legs may be added, and change."""
    missing: tuple[Window, ...]
    """Not fetched, or with a record that could not be read."""
    share: float
    """The share of the range, from 0 to 1, that is complete."""
    pruned_before: datetime | None = None
    """What is missing before it was pruned, and no sync fetches it again; None if nothing was."""


@attrs.frozen(kw_only=True)
class SyncedTenant:
    """What a sync did for one tenant. Counts are legs."""

    tenant: str
    new: int = 0
    changed: int = 0
    """Came with other content than before, or came back after it was gone."""
    unchanged: int = 0
    gone: int = 0
    """Were not in a span any more that was read whole."""
    forgotten: int = 0
    """Left out, as their number was forgotten."""
    requests: int = 0
    """HTTP requests sent."""
    rejects: tuple[Reject, ...] = ()
    """Records that could not be read. Their windows are missing, and fetched again."""
    rechecked: Window | None = None
    """The span of sealed legs that was read again; None if none was due."""
    covered: Covered
    """Of the range that was synced, up to now."""


@attrs.frozen(kw_only=True)
class Synced:
    """What a sync did. Counts are legs, of all its tenants."""

    tenants: tuple[SyncedTenant, ...]

    @property
    def new(self) -> int:
        """Legs that were not there before."""
        return sum(tenant.new for tenant in self.tenants)

    @property
    def changed(self) -> int:
        """Legs that came with other content than before, or came back."""
        return sum(tenant.changed for tenant in self.tenants)

    @property
    def unchanged(self) -> int:
        """Legs that came as they were; nothing was written for them."""
        return sum(tenant.unchanged for tenant in self.tenants)

    @property
    def gone(self) -> int:
        """Legs that were not there any more; they are marked, and not deleted."""
        return sum(tenant.gone for tenant in self.tenants)

    @property
    def requests(self) -> int:
        """HTTP requests sent."""
        return sum(tenant.requests for tenant in self.tenants)

    @property
    def rejects(self) -> tuple[Reject, ...]:
        """Records that could not be read."""
        return tuple(reject for tenant in self.tenants for reject in tenant.rejects)

    @property
    def complete(self) -> tuple[Window, ...]:
        """The spans that are complete, of each tenant in turn."""
        return tuple(span for tenant in self.tenants for span in tenant.covered.complete)

    @property
    def young(self) -> tuple[Window, ...]:
        """The spans that are there but may still change, of each tenant in turn."""
        return tuple(span for tenant in self.tenants for span in tenant.covered.young)


@attrs.frozen(kw_only=True)
class Progress:
    """How far a sync is."""

    stage: Stage
    tenant: str = ""
    stats: Stats = attrs.field(factory=Stats)
    """What the stream of this stage did so far."""
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    gone: int = 0
    holder: str = ""
    """Who is at work, while it waits."""
    since: datetime | None = None
    """Since when they are, in UTC."""


ProgressFunction: TypeAlias = Callable[[Progress], object]


@attrs.frozen(kw_only=True)
class TenantStatus:
    """How one tenant stands in a mirror. Spans are wall times of the provider's zone."""

    tenant: str
    complete_until: datetime | None
    """Up to when it is complete, without a gap from the start of the range; None if nothing is."""
    missing: tuple[Window, ...]
    """The spans of the range that are not there, see `Covered.missing`."""
    young: tuple[Window, ...]
    """The spans that are there but may still change."""
    complete: tuple[Window, ...] = ()
    """The spans of the range that are complete, see `Covered.complete`."""
    last_good_run: datetime | None
    """When the last sync ended that ended well, in UTC."""
    legs: int
    """How many are there, without those that are gone."""
    gone: int
    """How many are marked as gone."""
    changed_lately: int
    """How many changed within the last 24 hours, after they had come."""
    pruned_before: datetime | None = None
    """See `Covered.pruned_before`."""


@attrs.frozen(kw_only=True)
class Difference:
    """A leg that the provider now has with another content than the mirror."""

    here: CDR
    there: CDR

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields that differ."""
        return tuple(
            field.name
            for field in attrs.fields(CDR)
            if getattr(self.here, field.name) != getattr(self.there, field.name)
        )


@attrs.frozen(kw_only=True)
class Verified:
    """A range of a mirror compared with the provider's answers: legs that start in it.

    It changes nothing: `sync(..., recheck=datefrom)` repairs what differs.
    """

    same: int
    only_here: tuple[CDR, ...]
    only_there: tuple[CDR, ...]
    different: tuple[Difference, ...]
    forgotten: int = 0
    """Legs that only the provider has, as their number was forgotten here."""
    requests: int = 0
    """HTTP requests sent."""

    @property
    def is_same(self) -> bool:
        """Whether both have the same legs with the same content."""
        return not (self.only_here or self.only_there or self.different)
