"""Queues: music for the caller, while the telephones of agents ring.

The queue picks up at once, so each of its legs on the caller's channel has an answer in the second
of its start, whether an agent takes it or not. Most agents are reached through a `Local/` channel:
then one leg leads into it, and another one out of it to the agent's telephone. Only that one shows
when the agent picks up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .machines import hang_up, leave_message, play_announcement
from .phone_book import EXTENSIONS, QUEUES
from .transfers import transfer_blindly

if TYPE_CHECKING:
    from .call_script import CallScript, Channel

_ACTIONS = "U(destChannelActions^yes^wav^^^^)"


class _Ringing(NamedTuple):
    """One telephone that rings for the caller."""

    start: int
    until: int
    """When it stops ringing, as somebody picked up or nobody did."""
    end: int
    is_taken: bool

    @property
    def disposition(self) -> str:
        return "ANSWERED" if self.is_taken else "NO ANSWER"


def wait_in_queue(script: CallScript, caller: Channel, at: int) -> int:
    """Let a caller wait until an agent picks up or the wait is over. Return when the call is."""
    script.parts.append("queue")
    exchanges = script.exchanges
    rng = exchanges.rng
    queue, name = rng.choice(QUEUES)
    caller.pick_up(at)
    caller.fields |= {"lastdst": queue, "realsrc": name}
    if exchanges.chance(0.06):
        return _wait_without_agents(script, caller, at, queue)
    via_local = exchanges.chance(0.75)
    agents = rng.sample(EXTENSIONS, rng.randint(1, 3))
    is_taken = exchanges.chance(0.8)
    together = exchanges.chance(0.35)
    taker = rng.choice(agents) if together else agents[-1]
    talk = exchanges.talk() if is_taken else 0
    until = at + rng.randint(3, 25)
    end = at
    for agent in agents:
        if not together and agent != agents[0]:
            at = until + rng.randint(0, 2)
            until = at + rng.randint(3, 25)
        takes = is_taken and agent == taker
        ringing = _Ringing(at, until, until + talk if takes else until, takes)
        ring = _ring_through_local if via_local else _ring_directly
        recorded = ring(script, caller, ringing, agent, f"QUEUE-{queue},tTwWhHc,,,90,,{_ACTIONS}")
        if takes:
            script.talked(agent, until, ringing.end, recorded=recorded)
        end = max(end, ringing.end)
    if not is_taken:
        script.failed("NO ANSWER")
        return _leave_unanswered(script, caller, end)
    if exchanges.chance(0.06):
        return transfer_blindly(script, caller, end, taker)
    return end


def _wait_without_agents(script: CallScript, caller: Channel, at: int, queue: str) -> int:
    end = at + script.exchanges.rng.randint(5, 90)
    script.leg(caller, at, end, lastapp="Queue", lastdata=f"QUEUE-{queue},tTwWhHc,,,90")
    return hang_up(script, caller, end) if script.exchanges.chance(0.5) else end


def _ring_directly(
    script: CallScript, caller: Channel, ringing: _Ringing, agent: str, lastdata: str
) -> int:
    """Ring an agent's telephone; the record does not tell ringing from talk."""
    return script.leg(
        caller,
        ringing.start,
        ringing.end,
        ringing.disposition,
        dstchannel=script.exchanges.sip_channel(agent),
        lastapp="Queue",
        lastdata=lastdata,
        wherelanded=agent if ringing.is_taken else "N/A",
    )


def _ring_through_local(
    script: CallScript, caller: Channel, ringing: _Ringing, agent: str, lastdata: str
) -> int:
    exchanges = script.exchanges
    dialled = f"AG-000-NFR-{agent}"
    hop = exchanges.local_channel(f"{dialled}@fromotherpbx")
    landed = agent if ringing.is_taken else "N/A"
    script.leg(
        caller,
        ringing.start,
        ringing.end,
        ringing.disposition,
        dstchannel=f"{hop};1",
        lastapp="Queue",
        lastdata=lastdata,
        wherelanded=landed if exchanges.chance(0.5) else "N/A",
    )
    start = ringing.start + exchanges.rng.randint(0, 1)
    behind = script.open(
        caller.host,
        f"{hop};2",
        start,
        linkedid=caller.linkedid,
        **caller.fields | {"dst": dialled, "dcontext": "fromotherpbx", "srcCallID": ""},
    )
    if exchanges.chance(0.2):
        return _ring_elsewhere(script, behind, ringing._replace(start=start), agent)
    return script.leg(
        behind,
        start,
        ringing.end,
        ringing.disposition,
        picked_up=ringing.until,
        dstchannel=exchanges.sip_channel(agent),
        lastdata=f"SIP/{agent},90,{_ACTIONS}",
        wherelanded=landed if exchanges.chance(0.5) else "N/A",
    )


def _ring_elsewhere(script: CallScript, behind: Channel, ringing: _Ringing, agent: str) -> int:
    """Ring an agent whose telephone belongs to another exchange, as in the page's second record."""
    exchanges = script.exchanges
    there = exchanges.other_host(behind.host)
    shows_leg = exchanges.chance(0.6)
    recorded = script.leg(
        behind,
        ringing.start,
        ringing.end,
        ringing.disposition,
        picked_up=ringing.until,
        dstchannel=exchanges.sip_channel(there),
        lastdata=f"SIP/1{agent}@{behind.host}&SIP/{agent}@{there},90,{_ACTIONS}",
        wherelanded=agent if ringing.is_taken and not shows_leg else "N/A",
    )
    if shows_leg:
        start = ringing.start + exchanges.rng.randint(0, 1)
        phone = script.open(
            there,
            exchanges.sip_channel(behind.host),
            start,
            **behind.fields | {"dst": agent, "firstdst": behind.fields["dst"], "lastdst": ""},
        )
        recorded = script.leg(
            phone,
            start,
            ringing.end,
            ringing.disposition,
            picked_up=ringing.until,
            dstchannel=exchanges.sip_channel(agent),
            lastdata=f"SIP/{agent},90,{_ACTIONS}",
            wherelanded=agent if ringing.is_taken else "N/A",
        )
    return recorded


def _leave_unanswered(script: CallScript, caller: Channel, at: int) -> int:
    """End a wait in vain: the caller gives up, or the queue sends the caller elsewhere."""
    (to,) = script.exchanges.rng.choices((None, "hangup", "box", "announcement"), (25, 40, 20, 15))
    at += script.exchanges.rng.randint(0, 5) if to else 0
    if to == "hangup":
        return hang_up(script, caller, at)
    if to == "box":
        return leave_message(script, caller, at)
    if to == "announcement":
        return hang_up(script, caller, play_announcement(script, caller, at))
    return at
