"""Calls that go on to another exchange, which gives them a `linkedid` of its own.

It is as in the page's two records: the first exchange dials the second one and writes one leg for
as long as the call lasts. What happens to the caller is in the legs of the second exchange.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .phone_book import EXTENSIONS, draw_own_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from .call_script import CallScript, Channel

_LONGEST_SETUP = 3  # seconds, as in the page's `linkedid`
_ACTIONS = "U(destChannelActions^yes^wav^^^^)"


def relay(
    script: CallScript,
    caller: Channel,
    at: int,
    destination: Callable[[CallScript, Channel, int], int],
) -> int:
    """Send a caller to a destination on another exchange. Return when the call is over."""
    script.parts.append("relay")
    exchanges = script.exchanges
    there = exchanges.other_host(caller.host)
    # The leg here began first, though it is written last.
    sequence = str(exchanges.next_sequence())
    dialled = draw_own_number(exchanges.rng)
    start = at + exchanges.rng.randint(1, _LONGEST_SETUP)
    arriving = script.open(
        there,
        exchanges.sip_channel(caller.host),
        start,
        **caller.fields
        | {"dst": dialled, "dcontext": "fromotherpbx", "firstdst": dialled, "srcCallID": ""},
    )
    end = destination(script, arriving, start)
    picked_up = arriving.picked_up_at
    if picked_up is not None and picked_up <= at + _LONGEST_SETUP:
        picked_up = at
    script.leg(
        caller,
        at,
        end,
        (script.last_failure or "NO ANSWER") if picked_up is None else "ANSWERED",
        picked_up=picked_up,
        sequence=sequence,
        dst=dialled,
        dstchannel=exchanges.sip_channel(there),
        lastdata=f"SIP/QUEUE-14@{there},,{_ACTIONS}",
        wherelanded=script.answered_by or "N/A",
    )
    return end


def relay_without_a_trace(script: CallScript, caller: Channel, at: int) -> int:
    """Ring a telephone on another exchange whose legs are not in the records of the tenant.

    Only `wherelanded` names who took the call, as in the page's first record.
    """
    script.parts.append("relay without a trace")
    exchanges = script.exchanges
    there = exchanges.other_host(caller.host)
    extension = exchanges.rng.choice(EXTENSIONS)
    attempt = exchanges.attempt(0.8)
    picked_up = at + attempt.ring
    end = picked_up + attempt.talk
    recorded = script.leg(
        caller,
        at,
        end,
        attempt.disposition,
        picked_up=picked_up,
        dstchannel=exchanges.sip_channel(there),
        lastdata=f"SIP/{extension}@{there},60,{_ACTIONS}",
        wherelanded=extension if attempt.is_taken else "N/A",
    )
    if attempt.is_taken:
        script.talked(extension, picked_up, end, recorded=recorded)
    else:
        script.failed(attempt.disposition)
    return end
