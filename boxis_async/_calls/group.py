"""Which legs are one call.

Legs of one exchange share a `linkedid`, so a dict does nearly all of the work. Three kinds of
legs join calls that it keeps apart: one without a `linkedid`, one whose `prevuniqueid` names
another's `uniqueid`, and one on another exchange that carries on a leg which dials that exchange.
We look for those afterwards, and only where there are any.

What is joined depends on nothing but the legs in question, so a stream that closes calls one by
one finds the same calls as all legs at once.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, TypeAlias

import attrs

from boxis_async._calls.judge import exchange_of, peer_of
from boxis_async._calls.numbers import spelled
from boxis_async._wire.wallclock import epoch_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from boxis_async.models import CDR

__all__ = ["group"]

_Groups: TypeAlias = "dict[str, list[CDR]]"
_Relay: TypeAlias = tuple[str, str, str]
"""The exchange that is dialled, the caller, and what was dialled there."""
_Position: TypeAlias = tuple[float, int, str, str, str]

_HOST = re.compile(r"@([^@&,/()|;:\s]+)")
# Asterisk keeps so many characters of `lastdata`, so the name of an exchange may be cut there.
_CUT = 79


def group(legs: Iterable[CDR], country: str) -> list[list[CDR]]:
    """Put the legs of each call into a list; all legs are kept, also where one comes twice.

    Args:
        legs: In whatever order.
        country: The country that a number with a single leading 0 is of.
    """
    groups: _Groups = {}
    alone: list[list[CDR]] = []
    exchanges: set[str] = set()
    joining: list[CDR] = []
    for leg in legs:
        uniqueid = leg.uniqueid
        key = leg.linkedid or uniqueid
        if key:
            known = groups.get(key)
            if known is None:
                groups[key] = [leg]
            else:
                known.append(leg)
            # Of each leg, as what is joined must not depend on which of a group comes first.
            exchanges.add(exchange_of(uniqueid))
            if leg.prevuniqueid or not leg.linkedid:
                joining.append(leg)
        else:
            alone.append([leg])
    joined = _Joined()
    if joining:
        _join_by_uniqueid(groups, joining, joined)
    if len(exchanges) > 1:
        _join_relays(groups, exchanges, country, joined)
    return [*joined.merge(groups), *alone]


@attrs.define(eq=False)
class _Joined:
    """Which groups are one call: each points to another one, or is the first of its call."""

    _parents: dict[str, str] = attrs.field(factory=dict[str, str])

    def join(self, one: str, other: str) -> None:
        """Note that two groups are one call."""
        one, other = self.first_of(one), self.first_of(other)
        if one != other:
            self._parents[other] = one

    def first_of(self, key: str) -> str:
        """Give the group that stands for a call."""
        parents = self._parents
        first = key
        while (parent := parents.get(first)) is not None:
            first = parent
        # Point to it at once from now on, so that long chains are walked once.
        while (parent := parents.get(key)) is not None and parent != first:
            parents[key], key = first, parent
        return first

    def merge(self, groups: _Groups) -> Iterable[list[CDR]]:
        """Give the legs of each call."""
        for key in self._parents:
            groups[self.first_of(key)] += groups.pop(key)
        return groups.values()


def _join_by_uniqueid(groups: _Groups, joining: Iterable[CDR], joined: _Joined) -> None:
    """Join each leg's group with those that have the `uniqueid` that it names."""
    wanted: dict[str, set[str]] = {}
    for leg in joining:
        key = leg.linkedid or leg.uniqueid
        if leg.prevuniqueid:
            wanted.setdefault(leg.prevuniqueid, set()).add(key)
        if not leg.linkedid:
            wanted.setdefault(leg.uniqueid, set()).add(key)
    for key, legs in groups.items():
        for leg in legs:
            keys = wanted.get(leg.uniqueid)
            if keys:
                for other in keys:
                    joined.join(key, other)
                # One is enough from now on: they are joined.
                wanted[leg.uniqueid] = {key}


def _join_relays(groups: _Groups, exchanges: set[str], country: str, joined: _Joined) -> None:
    """Join each group that carries on a leg of another exchange with that leg's."""
    dialled = _dialled(groups, exchanges, country)
    if not dialled:
        return
    there = {exchange for exchange, _, _ in dialled}
    for key, legs in groups.items():
        if there.isdisjoint([exchange_of(leg.uniqueid) for leg in legs]):
            continue
        found = min(_carried_on(key, legs, dialled, country), default=None)
        if found is not None:
            joined.join(found[1], key)


def _dialled(groups: _Groups, exchanges: set[str], country: str) -> dict[_Relay, _Dialling]:
    """Find the legs that dial another exchange, by what a leg there has to look like."""
    found: dict[_Relay, _Dialling] = {}
    for key, legs in groups.items():
        for leg in legs:
            others = _exchanges_in(leg, exchanges)
            if others and leg.dst:
                caller, number = spelled(leg.src, country), spelled(leg.dst, country)
                for exchange in others:
                    relay = (exchange, caller, number)
                    found.setdefault(relay, _Dialling()).add(leg, key)
    for dialling in found.values():
        dialling.sort()
    return found


def _exchanges_in(leg: CDR, exchanges: set[str]) -> set[str]:
    """Find the other exchanges that a leg dials."""
    data, peer = leg.lastdata, peer_of(leg.dstchannel)
    if "@" not in data and peer not in exchanges:
        return set()
    hosts = [*_HOST.findall(data), peer]
    found = exchanges.intersection(hosts)
    cut = hosts[-2] if len(data) >= _CUT and len(hosts) > 1 else ""
    if cut and data.endswith(cut):
        found.update(name for name in exchanges if name.startswith(cut))
    found.discard(exchange_of(leg.uniqueid))
    return found


def _carried_on(
    key: str, legs: Iterable[CDR], dialled: dict[_Relay, _Dialling], country: str
) -> Iterator[tuple[_Position, str]]:
    """Find the groups whose legs this group's legs carry on, by the position of the leg here."""
    for leg in legs:
        exchange = exchange_of(leg.uniqueid)
        if not exchange or not leg.firstdst:
            continue
        relay = (exchange, spelled(leg.src, country), spelled(leg.firstdst, country))
        dialling = dialled.get(relay)
        if dialling is not None:
            start = leg.start.timestamp()
            # The channel that the other exchange dialled may be older than the leg.
            epoch = epoch_of(key)
            other = dialling.carried_on(start, start if epoch is None else min(start, epoch))
            if other is not None:
                yield _position(leg), other


@attrs.define(eq=False)
class _Dialling:
    """The legs that dial the same number on the same exchange for the same caller."""

    _legs: list[tuple[_Position, float, str]] = attrs.field(
        factory=list["tuple[_Position, float, str]"]
    )
    """The position, the end and the group of each."""
    _latest_ends: list[float] = attrs.field(factory=list[float])
    """The latest end of each leg and those before it, so that a search knows when to stop."""

    def add(self, leg: CDR, key: str) -> None:
        """Add a leg of a group."""
        if leg.end is None:
            end = leg.start.timestamp() + (leg.duration or 0)
        else:
            end = leg.end.timestamp()
        self._legs.append((_position(leg), end, key))

    def sort(self) -> None:
        """Put the legs in order, once all are there."""
        self._legs.sort()
        latest = float("-inf")
        for _, end, _ in self._legs:
            latest = max(latest, end)
            self._latest_ends.append(latest)

    def carried_on(self, start: float, began: float) -> str | None:
        """Find the group of the leg that one which starts then carries on.

        Of several that last at its start it is the last that had begun when its channel was made:
        one caller may have two calls at once.
        """
        return self._last_before(began, start) or self._last_before(start, start)

    def _last_before(self, latest: float, moment: float) -> str | None:
        at = bisect_right(self._legs, latest, key=lambda leg: leg[0][0])
        while at and self._latest_ends[at - 1] >= moment:
            at -= 1
            _, end, key = self._legs[at]
            if end >= moment:
                return key
        return None


def _position(leg: CDR) -> _Position:
    return leg.start.timestamp(), leg.sequence or 0, leg.uniqueid, leg.channel, leg.dstchannel
