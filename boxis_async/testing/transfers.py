"""Calls that move on: forwarded to a number outside, or transferred to a colleague."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .phone_book import EXTENSIONS, draw_caller_id, draw_mobile_number

if TYPE_CHECKING:
    from .call_script import CallScript, Channel

_SHORTEST_TO_CONSULT = 40


def forward(script: CallScript, caller: Channel, at: int) -> int:
    """Send a caller to the mobile telephone of whom the call is for. Return when it is over.

    The exchange dials itself: one leg leads into a `Local/` channel, and one out of it.
    """
    script.parts.append("forward")
    exchanges = script.exchanges
    number = draw_mobile_number(exchanges.rng)
    attempt = exchanges.attempt(0.7)
    picked_up = at + attempt.ring
    end = picked_up + attempt.talk
    hop = exchanges.local_channel(f"{number.written}@forward")
    landed = number.written if attempt.is_taken else "N/A"
    script.leg(
        caller,
        at,
        end,
        attempt.disposition,
        picked_up=picked_up,
        dstchannel=f"{hop};1",
        lastdata=f"Local/{number.written}@forward,60,U(destChannelActions^yes^wav^^^^)",
        wherelanded=landed if exchanges.chance(0.5) else "N/A",
    )
    behind = script.open(
        caller.host,
        f"{hop};2",
        at,
        linkedid=caller.linkedid,
        **caller.fields
        | {
            "dst": number.written,
            "dcontext": "forward",
            "userfield": "[outbound]",
            "prevuniqueid": caller.uniqueid,
            "srcCallID": "",
        },
    )
    recorded = script.leg(
        behind,
        at,
        end,
        attempt.disposition,
        picked_up=picked_up,
        dstchannel=exchanges.sip_channel("trunk"),
        lastdata=f"SIP/{number.written}@trunk,,U(destChannelActions^yes^wav^^^^)",
        wherelanded=landed,
        cc_peername="trunk",
        cc_type="OUTCHARGE",
        cc_type_id="1",
        cc_country=number.country,
        cc_network=number.network,
        cc_international="no",
        cc_cost=f"{number.price * attempt.talk / 60:.5f}",
    )
    if attempt.is_taken:
        script.talked(number.written, picked_up, end, recorded=recorded)
    else:
        script.failed(attempt.disposition)
    return end


def transfer_blindly(script: CallScript, caller: Channel, at: int, agent: str) -> int:
    """Ring a colleague for a caller whom the agent has left. Return when the call is over."""
    script.parts.append("blind transfer")
    exchanges = script.exchanges
    colleague = _colleague_of(agent, script)
    attempt = exchanges.attempt(0.85)
    picked_up = at + attempt.ring
    end = picked_up + attempt.talk
    moved = _moved_channel(script, caller, at, colleague, caller.linkedid)
    recorded = script.leg(
        moved,
        at,
        end,
        attempt.disposition,
        dstchannel=exchanges.sip_channel(colleague),
        lastdata=f"SIP/{colleague},60",
        wherelanded=colleague,
    )
    if attempt.is_taken:
        script.talked(colleague, picked_up, end, recorded=recorded)
    else:
        script.failed(attempt.disposition)
    return end


def can_consult(talk: int) -> bool:
    """Whether a talk is long enough to speak to a colleague in the middle of it."""
    return talk >= _SHORTEST_TO_CONSULT


def transfer_after_consulting(
    script: CallScript, caller: Channel, at: int, end: int, agent: str
) -> int:
    """Let an agent speak to a colleague first, then connect the caller. Return when it is over.

    What the agent dials is a call of its own for the exchange, with a `linkedid` of its own.

    Args:
        script: The call.
        caller: The channel of the caller.
        at: When the agent connects the two, in Unix seconds.
        end: When the caller and the colleague hang up.
        agent: The extension of the agent.
    """
    script.parts.append("attended transfer")
    exchanges = script.exchanges
    colleague = _colleague_of(agent, script)
    ring = exchanges.rng.randint(1, 8)
    began = at - ring - exchanges.rng.randint(2, 10)
    consulting = script.open(
        caller.host,
        exchanges.sip_channel(agent),
        began,
        clid=draw_caller_id(exchanges.rng, agent).clid,
        src=agent,
        dst=colleague,
        dcontext="authenticated",
        userfield="[local]",
        realsrc=agent,
        firstdst=colleague,
        prevuniqueid=caller.uniqueid,
    )
    phone = exchanges.sip_channel(colleague)
    recorded = script.leg(
        consulting,
        began,
        at,
        picked_up=began + ring,
        dstchannel=phone,
        lastdata=f"SIP/{colleague},60",
        wherelanded=colleague,
    )
    script.talked(colleague, began + ring, at, recorded=recorded)
    moved = _moved_channel(script, caller, at, colleague, consulting.linkedid)
    recorded = script.leg(
        moved,
        at,
        end,
        dstchannel=phone,
        lastdata=f"SIP/{colleague},60",
        wherelanded=colleague,
    )
    script.talked(colleague, at, end, recorded=recorded)
    return end


def _moved_channel(
    script: CallScript, caller: Channel, at: int, colleague: str, linkedid: str
) -> Channel:
    """Give the caller's channel the identity under which the exchange goes on with it."""
    moved = script.open(
        caller.host,
        caller.name,
        at,
        linkedid=linkedid,
        **caller.fields
        | {
            "dst": colleague,
            "dcontext": "fromtransfer",
            "lastdst": caller.fields["dst"],
            "prevuniqueid": caller.uniqueid,
            "prevsequence": caller.last_sequence,
            "srcCallID": "",
        },
    )
    moved.pick_up(at)
    return moved


def _colleague_of(agent: str, script: CallScript) -> str:
    return script.exchanges.rng.choice([other for other in EXTENSIONS if other != agent])
