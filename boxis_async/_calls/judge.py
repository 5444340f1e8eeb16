"""Whom each leg of a call reached.

`ANSWERED` says that the exchange picked up. Whether a person did shows in the second channel, in
`wherelanded` and in `lastdst`. A leg that goes on to another leg, a hop, counts by what stands
behind it. So we judge the legs one by one first. Then we go from each leg that reached a person
back to the hops that lead to it: the others count as persons only where `wherelanded` names one.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Final

from boxis_async.errors import UsageError
from boxis_async.models import Disposition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet

    from boxis_async.models import CDR
    from boxis_async.types import Reached

__all__ = ["exchange_of", "extension_in", "judge", "names_somebody", "peer_of"]

_CHOICES: Final = ("nobody", "voicemail", "machine", "hop", "person")
_VOICEMAIL = re.compile(r"voice[ _-]?mail", re.IGNORECASE)
_ANSWERED = Disposition.ANSWERED


def judge(legs: Sequence[CDR], reached: Callable[[CDR], Reached | None] | None) -> list[Reached]:
    """Say of each leg of one call whom it reached; of a hop, what it counts as itself.

    Args:
        legs: All legs of the call, by start, then by sequence.
        reached: The user's own judgement of a leg; None leaves it to ours.

    Raises:
        UsageError: The user's judgement is none of the words for it.
    """
    exchanges = {exchange_of(leg.uniqueid) for leg in legs} if len(legs) > 1 else frozenset[str]()
    found: list[Reached] = [_reached(leg, exchanges, reached) for leg in legs]
    if "hop" in found:
        _resolve_hops(legs, found)
    return found


def _reached(
    leg: CDR, exchanges: AbstractSet[str], reached: Callable[[CDR], Reached | None] | None
) -> Reached:
    if reached is not None:
        own = reached(leg)
        if own is not None:
            if own not in _CHOICES:
                raise UsageError(
                    f"reached gave {own!r}: it must give {', '.join(map(repr, _CHOICES))}, or None"
                )
            return own
    if leg.disposition != _ANSWERED:
        is_box = leg.disposition is not None and _VOICEMAIL.search(leg.disposition)
        return "voicemail" if is_box else "nobody"
    if _VOICEMAIL.search(f"{leg.wherelanded}|{leg.lastdst}|{leg.lastapp}"):
        return "voicemail"
    second = leg.dstchannel
    if not second:
        return "machine"
    if second.startswith("Local/") or _is_exchange(peer_of(second), leg, exchanges):
        return "hop"
    return "person"


def _resolve_hops(legs: Sequence[CDR], found: list[Reached]) -> None:
    """Make a person of each hop that stands for one; any other hop says nothing about its call.

    From each leg that reached a person we mark the hops that lead to it, and those that lead to
    them. Each hop is marked once. Exchanges can dial each other: a leg is behind the hops to its
    exchange that began no later than itself, as the others cannot have led to it.
    """
    hops = [number for number, what in enumerate(found) if what == "hop"]
    dialling: dict[str, deque[int]] = {}
    for number in hops:
        dialling.setdefault(_behind(legs[number].dstchannel), deque()).append(number)
    leads_to_person: set[int] = set()

    def mark(number: int) -> None:
        waiting = [number]
        while waiting:
            leg = legs[waiting.pop()]
            began = leg.start.timestamp()
            for place in (leg.channel, exchange_of(leg.uniqueid)):
                # The hops to a place are in order of their start.
                hops_there = dialling.get(place) if place else None
                while hops_there and legs[hops_there[0]].start.timestamp() <= began:
                    hop = hops_there.popleft()
                    leads_to_person.add(hop)
                    waiting.append(hop)

    for number, what in enumerate(found):
        if what == "person":
            mark(number)
    # The last first, as a hop begins before the legs behind it: of several that name somebody, one
    # behind the other, only the last one counts.
    for number in reversed(hops):
        if number not in leads_to_person and names_somebody(legs[number]):
            found[number] = "person"
            mark(number)


def _behind(second_channel: str) -> str:
    """Give what a leg behind a hop is known by: its channel, or the exchange on which it began."""
    if second_channel.startswith("Local/"):
        return second_channel.removesuffix(";1").removesuffix(";2") + ";2"
    return peer_of(second_channel)


def _is_exchange(peer: str, leg: CDR, exchanges: AbstractSet[str]) -> bool:
    """Report whether a second channel leads to another exchange.

    That is one on which another leg of the call began, or one of the same domain, as
    `sip046.voice.boxis.net` is of `sip022.voice.boxis.net`.
    """
    own = exchange_of(leg.uniqueid)
    if not own or not peer or peer == own:
        return False
    domain = own.partition(".")[2]
    if domain and peer.partition(".")[2] == domain:
        return True
    return peer in exchanges


def exchange_of(uniqueid: str) -> str:
    """Give the exchange on which a channel began, from its name: `exchange-epoch.count`."""
    return uniqueid.rpartition("-")[0]


def peer_of(channel: str) -> str:
    """Give the telephone, line or exchange of a channel: `SIP/301-0000a` is of 301."""
    name = channel.partition("/")[2]
    return name.rpartition("-")[0] or name


def extension_in(channel: str) -> str:
    """Give the extension in a channel; of `Local/301@agents-1;1` it is 301."""
    return peer_of(channel).partition("@")[0]


def names_somebody(leg: CDR) -> bool:
    """Report whether `wherelanded` names somebody: not empty, not `N/A`, and no voicemail box."""
    landed = leg.wherelanded.strip()
    return bool(landed) and landed.upper() != "N/A" and not _VOICEMAIL.search(landed)
