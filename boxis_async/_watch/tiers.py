"""Which looks back there are: how far each reaches, and how often it is due.

A look requests all records from a moment on. What a record's age is counted from depends on the
filter: where the two dates are compared with the start alone, a record of a call of ten minutes is
ten minutes old when it appears. Where its end counts as well, it is new.

A tier of depth D that looked at T the last time requests from T - D on. So it finds whatever came
or changed since T at an age of D or less, however long ago T is. Each look of a deeper tier stands
for those of all others.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from boxis_async.contract_model import Contract

__all__ = ["JITTER", "Tier", "goes_by_end", "tiers_of"]

JITTER: Final = 0.05
"""By which part the time between two looks varies, so that many watches do not come in step."""

_SHARE: Final = 0.25
"""How many further requests an interval a deeper tier may take on average. Two deeper tiers and a
request for each interval make 1.5."""

# By the start. Of a month of the stand-in's calls, 99 % take less than 16 minutes, and all less
# than 70; of public records the legs of a call are 2 h 14 min apart at most.
_MINUTES: Final = timedelta(minutes=15)
_HOURS: Final = timedelta(hours=4)
# By the end. This is for servers that write a record some time after its leg.
_LAG: Final = timedelta(minutes=5)
_EVERY_FEW_MINUTES: Final = timedelta(minutes=5)
_HOURLY: Final = timedelta(hours=1)


@attrs.define(eq=False)
class Tier:
    """One way to look back, and what its last look cost."""

    depth: timedelta
    """It sees what changes up to such an age."""
    nominal: timedelta
    """How often it is due, if a look takes one request."""
    every: timedelta
    """The interval of the watch."""
    requests: int = 1
    """How many requests its last look took."""

    @property
    def period(self) -> timedelta:
        """How often it is due, so that its looks take no more than their share of requests."""
        return max(self.nominal, self.every * ((self.requests - 1) / _SHARE))


def goes_by_end(contract: Contract) -> bool:
    """Report whether a request for the last minutes gives whatever call ended in them."""
    return contract.dates_ignored is True or contract.rule in ("end", "overlap", "either")


def tiers_of(contract: Contract, every: timedelta, settle: timedelta) -> list[Tier]:
    """Give the tiers, from the shallowest to the one that sees all that may still change.

    What is not known of the contract counts as the worst: a filter by start.

    Args:
        contract: What is known of the server.
        every: The interval of the watch.
        settle: How old a record may be when it changes for the last time.
    """
    if goes_by_end(contract):
        wanted = [(_LAG, every)]
    else:
        wanted = [(_MINUTES, every), (_HOURS, max(every, _EVERY_FEW_MINUTES))]
    shallow = [(depth, nominal) for depth, nominal in wanted if depth < settle]
    deepest = (settle, max(every, _HOURLY) if shallow else every)
    return [Tier(depth, nominal, every) for depth, nominal in (*shallow, deepest)]
