"""Telephones that ring for a caller: one, or several at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .machines import leave_message
from .phone_book import EXTENSIONS
from .transfers import can_consult, forward, transfer_after_consulting, transfer_blindly

if TYPE_CHECKING:
    from .call_script import CallScript, Channel

_ACTIONS = "U(destChannelActions^yes^wav^^^^)"


def ring_phone(script: CallScript, caller: Channel, at: int) -> int:
    """Ring one extension. Return when the call is over."""
    script.parts.append("phone")
    exchanges = script.exchanges
    extension = exchanges.rng.choice(EXTENSIONS)
    attempt = exchanges.attempt(0.78)
    picked_up = at + attempt.ring
    end = picked_up + attempt.talk
    consults = attempt.is_taken and can_consult(attempt.talk) and exchanges.chance(0.05)
    left = picked_up + attempt.talk // 2 if consults else end
    recorded = script.leg(
        caller,
        at,
        left,
        attempt.disposition,
        picked_up=picked_up,
        dstchannel=exchanges.sip_channel(extension),
        lastdata=f"SIP/{extension},60,{_ACTIONS}",
        wherelanded=extension if attempt.is_taken or exchanges.chance(0.5) else "N/A",
    )
    if not attempt.is_taken:
        script.failed(attempt.disposition)
        return _go_on_unanswered(script, caller, end, extension)
    script.talked(extension, picked_up, left, recorded=recorded)
    if consults:
        return transfer_after_consulting(script, caller, left, end, extension)
    if exchanges.chance(0.09):
        return transfer_blindly(script, caller, end, extension)
    return end


def ring_group(script: CallScript, caller: Channel, at: int) -> int:
    """Ring several extensions at once. Return when the call is over."""
    script.parts.append("ring group")
    exchanges = script.exchanges
    group = exchanges.rng.sample(EXTENSIONS, exchanges.rng.randint(2, 4))
    is_taken = exchanges.chance(0.8)
    taker = exchanges.rng.choice(group) if is_taken else ""
    until = at + exchanges.rng.randint(2, 20 if is_taken else 45)
    end = until
    peers = "&".join(f"SIP/{extension}" for extension in group)
    for extension in group:
        answers = extension == taker
        end = until + exchanges.talk() if answers else end
        recorded = script.leg(
            caller,
            at,
            end if answers else until,
            "ANSWERED" if answers else "NO ANSWER",
            picked_up=until,
            dstchannel=exchanges.sip_channel(extension),
            lastdata=f"{peers},60,{_ACTIONS}",
            wherelanded=extension if answers else "N/A",
        )
        if answers:
            script.talked(extension, until, end, recorded=recorded)
    if not is_taken:
        script.failed("NO ANSWER")
        return _go_on_unanswered(script, caller, end, group[0])
    return end


def _go_on_unanswered(script: CallScript, caller: Channel, at: int, extension: str) -> int:
    """Send the caller to a box or to a mobile telephone, unless the caller gives up."""
    (to,) = script.exchanges.rng.choices((None, "box", "mobile"), (58, 32, 10))
    if to == "box":
        return leave_message(script, caller, at, extension)
    if to == "mobile":
        return forward(script, caller, at)
    return at
