"""Calls that the company makes itself: to a number outside, or from one extension to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .call_script import CallScript
from .machines import leave_message, play_announcement
from .phone_book import EXTENSIONS, draw_caller_id, draw_outside_number
from .transfers import transfer_blindly

if TYPE_CHECKING:
    from .exchanges import Exchanges

_ACTIONS = "U(destChannelActions^yes^wav^^^^)"


def call_outside(exchanges: Exchanges, start: int) -> CallScript:
    """Let an extension call a number outside."""
    number = draw_outside_number(exchanges.rng)
    extension = exchanges.rng.choice(EXTENSIONS)
    caller_id = draw_caller_id(exchanges.rng, extension)
    script = CallScript(
        exchanges,
        start,
        direction="outbound",
        caller_number=extension,
        caller_name=caller_id.name,
        dialled=number.written,
        outside=number.written,
    )
    script.parts.append("outbound")
    caller = script.open(
        exchanges.host(),
        exchanges.sip_channel(extension),
        start,
        clid=caller_id.clid,
        src=extension,
        dst=number.written,
        dcontext="authenticated",
        userfield="[outbound]",
        realsrc=extension,
        firstdst=number.written,
    )
    attempt = exchanges.attempt(0.72)
    lastdata = f"SIP/{number.written}@trunk,,{_ACTIONS}"
    if exchanges.chance(0.02):
        # The first trunk has no line left, so the exchange dials over a second one.
        script.leg(caller, start, start + 1, "CONGESTION", lastdata=lastdata)
        start += 1
    picked_up = start + attempt.ring
    end = picked_up + attempt.talk
    recorded = script.leg(
        caller,
        start,
        end,
        attempt.disposition,
        picked_up=picked_up,
        dstchannel=exchanges.sip_channel("trunk"),
        lastdata=lastdata,
        cc_peername="trunk",
        cc_type="OUTCHARGE",
        cc_type_id="1",
        cc_country=number.country,
        cc_network=number.network,
        cc_international="no" if number.country == "Switzerland" else "yes",
        cc_cost=f"{number.price * attempt.talk / 60:.5f}",
    )
    if not attempt.is_taken:
        script.failed(attempt.disposition)
        return script
    # No record names the person outside: it is the line that the call went over.
    script.talked("trunk", picked_up, end, recorded=recorded)
    if exchanges.chance(0.09):
        transfer_blindly(script, caller, end, extension)
    return script


def call_colleague(exchanges: Exchanges, start: int) -> CallScript:
    """Let an extension call another one, or one of the exchange's own services."""
    extension, colleague = exchanges.rng.sample(EXTENSIONS, 2)
    service = exchanges.chance(0.1)  # a feature code, or a dead end
    dialled = exchanges.rng.choice(("*60", "*97", "i", "s")) if service else colleague
    caller_id = draw_caller_id(exchanges.rng, extension)
    script = CallScript(
        exchanges,
        start,
        direction="local",
        caller_number=extension,
        caller_name=caller_id.name,
        dialled=dialled,
        outside="",
    )
    caller = script.open(
        exchanges.host(),
        exchanges.sip_channel(extension),
        start,
        clid=caller_id.clid,
        src=extension,
        dst=dialled,
        dcontext="authenticated",
        userfield="[local]",
        realsrc=extension,
        firstdst=dialled,
    )
    if service:
        play_announcement(script, caller, start)
        return script
    script.parts.append("internal")
    attempt = exchanges.attempt(0.7)
    picked_up = start + attempt.ring
    end = picked_up + attempt.talk
    recorded = script.leg(
        caller,
        start,
        end,
        attempt.disposition,
        picked_up=picked_up,
        dstchannel=exchanges.sip_channel(colleague),
        lastdata=f"SIP/{colleague},60",
        wherelanded=colleague,
    )
    if attempt.is_taken:
        script.talked(colleague, picked_up, end, recorded=recorded)
        return script
    script.failed(attempt.disposition)
    if exchanges.chance(0.3):
        leave_message(script, caller, end, colleague)
    return script
