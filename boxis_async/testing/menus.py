"""Menus: "press 1 for sales". The exchange picks up, so every later leg has an answer time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .machines import leave_message
from .phones import ring_phone
from .queues import wait_in_queue

if TYPE_CHECKING:
    from .call_script import CallScript, Channel


def choose_in_menu(script: CallScript, caller: Channel, at: int) -> int:
    """Let a caller choose where to go, or hang up. Return when the call is over."""
    script.parts.append("menu")
    rng = script.exchanges.rng
    chosen = at + rng.randint(4, 30)
    script.leg(caller, at, chosen, lastapp="BackGround", lastdata="custom/menu")
    (go_on,) = rng.choices((None, ring_phone, wait_in_queue, leave_message), (20, 35, 40, 5))
    return go_on(script, caller, chosen) if go_on else chosen
