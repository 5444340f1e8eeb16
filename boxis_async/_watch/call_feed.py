"""Calls that are over, made of the legs that looks bring.

We keep the legs that may still matter, all of them and not only those that changed: a call is
judged by all of its legs. A call waits until it was quiet for a while, and until a look has seen
all that began since it did: while somebody is still talking, only the legs that rang in vain are
there. Where it must be sure that it is over, it waits for that too. What waits is not handled, so
a restart finds it again.

What a call was before is made of the legs that were handled before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from boxis_async._calls.build import build
from boxis_async._calls.group import group
from boxis_async._calls.order import calls_in_order
from boxis_async._watch.leg_feed import Item, Mark, Whole, read_legs
from boxis_async._wire.wallclock import epoch_of
from boxis_async.models import CDR
from boxis_async.watch_model import CallChange, Change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import timedelta

    from boxis_async._watch.position import Handled
    from boxis_async._wire.cooperative import Steps
    from boxis_async.call_model import Call
    from boxis_async.types import Reached, WatchCertainty

__all__ = ["CallFeed"]

_MARGIN: Final = 4 * 3600.0
"""Seconds within which the legs of one call follow each other. The widest span measured in public
records is 2 h 14 min."""
_DAY: Final = 86_400.0
_CALLS_A_STEP: Final = 20

# By what the exchange says that it did last, nothing more can follow on the caller's own channel.
_LAST_WORDS: Final = frozenset({"Hangup", "VoiceMail", "Voicemail"})


@attrs.define(eq=False)
class _Memory:
    """The legs of one tenant."""

    legs: dict[bytes, Mark] = attrs.field(factory=dict[bytes, Mark])
    handled: dict[bytes, CDR] = attrs.field(factory=dict[bytes, CDR])
    """The legs as they were handled, where they are others by now."""
    pending: set[bytes] = attrs.field(factory=set[bytes])
    """The legs that came or changed, and are not handled."""
    sure_from: dict[bytes, float] = attrs.field(factory=dict[bytes, float])
    """From when on a call that must wait to be sure is so, in Unix seconds, for each of its legs:
    it need not be judged again before, unless another leg of it comes."""


class CallFeed:
    """Hands over each call that is quiet, and each that a later leg changed.

    Args:
        handled: What is handled.
        quiet: How long a call must be over.
        settle: After how long nothing changes any more.
        certainty: How sure that must be.
        reached: The user's own judgement of a leg.
        country: The country that a number with a single leading 0 is of.
    """

    def __init__(  # noqa: PLR0913 - each is one thing to set, by name
        self,
        handled: Handled,
        *,
        quiet: timedelta,
        settle: timedelta,
        certainty: WatchCertainty,
        reached: Callable[[CDR], Reached | None] | None,
        country: str,
    ) -> None:
        self._handled = handled
        self._quiet = quiet.total_seconds()
        self._settle = settle.total_seconds()
        self._must_be_sure = certainty == "surely"
        self._reached = reached
        self._country = country
        self._memories = {tenant: _Memory() for tenant in handled.tenants}

    def take(self, tenant: str, cdrs: Sequence[CDR], whole: Whole | None) -> Steps[list[Item]]:
        """Take legs, and give the calls that are quiet by then."""
        of_tenant = self._handled.tenants[tenant]
        memory = self._memories[tenant]
        for mark in (yield from read_legs(self._handled, of_tenant, cdrs)):
            before = memory.legs.get(mark.leg)
            if before is None or before.version != mark.version:
                memory.sure_from.pop(mark.leg, None)
            known = of_tenant.seen.version(mark.leg)
            if before is not None and before.version == known:
                memory.handled.setdefault(mark.leg, before.cdr)
            memory.legs[mark.leg] = mark
            if known == mark.version:
                memory.pending.discard(mark.leg)
                memory.handled.pop(mark.leg, None)
            elif mark.last >= of_tenant.origin:
                memory.pending.add(mark.leg)
        return [] if whole is None else (yield from self.finish(tenant, whole))

    def finish(self, tenant: str, whole: Whole) -> Steps[list[Item]]:
        """Give the calls that are quiet by then."""
        memory = self._memories[tenant]
        due = {
            leg for leg in memory.pending if memory.sure_from.get(leg, whole.moment) <= whole.moment
        }
        quiet = [
            mark
            for mark in map(memory.legs.__getitem__, due)
            if whole.end - mark.last >= self._quiet
        ]
        if not quiet:
            return []
        horizon = min(mark.cdr.start.timestamp() for mark in quiet) - _MARGIN
        near = {id(mark.cdr): mark for mark in memory.legs.values() if mark.last >= horizon}
        items: list[tuple[Call, Item]] = []
        groups = group([mark.cdr for mark in near.values()], self._country)
        for number, legs in enumerate(groups, 1):
            marks = [near[id(leg)] for leg in legs]
            last = max(mark.last for mark in marks)
            if (
                not due.isdisjoint(mark.leg for mark in marks)
                and whole.end - last >= self._quiet
                and _began(legs) >= whole.begin
            ):
                change, item = self._item(tenant, memory, marks, whole.moment)
                if change.certainty == "surely" or not self._must_be_sure:
                    items.append((change.call, item))
                else:
                    sure_from = last + self._settle
                    memory.sure_from |= dict.fromkeys((mark.leg for mark in marks), sure_from)
            if number % _CALLS_A_STEP == 0:
                yield
        item_of = {id(call): item for call, item in items}
        return [item_of[id(call)] for call in calls_in_order([call for call, _ in items])]

    def handle(self, item: Item) -> None:
        """Take note that the legs of a call are handled as they are."""
        memory = self._memories[item.tenant]
        for mark in item.marks:
            memory.pending.discard(mark.leg)
            memory.handled.pop(mark.leg, None)
            memory.sure_from.pop(mark.leg, None)

    def floor(self, tenant: str, floor: float) -> float:
        """Need the legs that are not handled, and those before them that may be of their calls."""
        memory = self._memories[tenant]
        starts = (memory.legs[leg].cdr.start.timestamp() for leg in memory.pending)
        return min([floor, *starts]) - _MARGIN

    def forget_before(self, tenant: str, moment: float) -> None:
        """Let go of the legs that were over before a moment."""
        memory = self._memories[tenant]
        for leg in [leg for leg, mark in memory.legs.items() if mark.last < moment]:
            del memory.legs[leg]
            memory.handled.pop(leg, None)
            memory.pending.discard(leg)
            memory.sure_from.pop(leg, None)

    def _item(
        self, tenant: str, memory: _Memory, marks: list[Mark], moment: float
    ) -> tuple[CallChange, Item]:
        seen = self._handled.tenants[tenant].seen
        call = build([mark.cdr for mark in marks], self._reached)
        known = [mark for mark in marks if seen.version(mark.leg) is not None]
        changes = [
            Change(
                kind="new" if seen.version(mark.leg) is None else "changed",
                cdr=mark.cdr,
                previous=memory.handled.get(mark.leg),
                tenant=tenant,
            )
            for mark in marks
            if mark.leg in memory.pending
        ]
        change = CallChange(
            kind="changed" if known else "new",
            call=call,
            previous=self._previous(memory, known),
            certainty="surely" if self._is_over(call, marks, moment) else "probably",
            tenant=tenant,
        )
        return change, Item(change, tenant, marks, changes)

    def _previous(self, memory: _Memory, known: list[Mark]) -> Call | None:
        if not known:
            return None
        legs = [memory.handled.get(mark.leg, mark.cdr) for mark in known]
        calls = [build(one, self._reached) for one in group(legs, self._country)]
        return calls_in_order(calls)[0]

    def _is_over(self, call: Call, marks: Iterable[Mark], moment: float) -> bool:
        """Report whether nothing can follow.

        A leg on the caller's own channel is not enough: each attempt that rang in vain leaves one.
        It must be one that ended the call: a talk, or what the exchange does last.
        """
        last = max(mark.last for mark in marks)
        if call.answered or moment - last >= self._settle:
            return True
        return any(
            mark.cdr.answered
            and mark.cdr.uniqueid == call.id
            and mark.last == last
            and (mark.cdr.dstchannel or mark.cdr.lastapp in _LAST_WORDS)
            for mark in marks
        )


def _began(legs: Iterable[CDR]) -> float:
    """Give when a call began at the latest: its first legs may not be written yet."""
    began = float("inf")
    for leg in legs:
        start = leg.start.timestamp()
        epoch = epoch_of(leg.linkedid)
        is_near = epoch is not None and 0 <= start - epoch < _DAY
        began = min(began, epoch if is_near and epoch is not None else start)
    return began
