"""A simulated PBX: it draws what a call is, lets it happen, and returns its legs and its truth."""

from __future__ import annotations

from itertools import accumulate

from attrs import define, field

from .call_script import CallScript
from .exchanges import Exchanges
from .machines import leave_message, play_announcement
from .menus import choose_in_menu
from .own_calls import call_colleague, call_outside
from .phone_book import OutsideNumber, draw_caller_id, draw_outside_number, draw_own_number
from .phones import ring_group, ring_phone
from .queues import wait_in_queue
from .relays import relay, relay_without_a_trace
from .transfers import forward

_OPENS, _CLOSES = 7, 19
_DESTINATIONS = (
    ring_phone,
    ring_group,
    wait_in_queue,
    choose_in_menu,
    forward,
    relay_without_a_trace,
    leave_message,
    play_announcement,
)
_WEIGHTS_BY_DAY = tuple(accumulate((39, 8, 30, 14, 4, 1, 2, 2)))
_WEIGHTS_AT_NIGHT = tuple(accumulate((20, 4, 16, 10, 7, 1, 18, 24)))
_KINDS = ("inbound", "outbound", "local")
_KIND_WEIGHTS = tuple(accumulate((55, 33, 12)))
_RELAYED = 0.2
_TRIES_TO_FIND_A_FREE_CALLER = 20


@define(eq=False)
class PBX:
    """Simulate calls, and write their records."""

    _exchanges: Exchanges
    _free_at: dict[str, int] = field(factory=dict[str, int], init=False)
    """When each caller hangs up: nobody has two calls at once."""

    def call(self, start: int) -> CallScript:
        """Let one call happen that starts at `start`, in Unix seconds."""
        (kind,) = self._exchanges.rng.choices(_KINDS, cum_weights=_KIND_WEIGHTS)
        if kind == "inbound":
            return self._inbound(start)
        return (call_outside if kind == "outbound" else call_colleague)(self._exchanges, start)

    def _inbound(self, start: int) -> CallScript:
        number = self._free_caller(start)
        caller_id, line = (
            draw_caller_id(self._exchanges.rng, number.written),
            draw_own_number(self._exchanges.rng),
        )
        script = CallScript(
            self._exchanges,
            start,
            direction="inbound",
            caller_number=number.written,
            caller_name=caller_id.name,
            dialled=line,
            outside=number.written,
        )
        caller = script.open(
            self._exchanges.host(),
            self._exchanges.sip_channel("trunk"),
            start,
            clid=caller_id.clid,
            src=number.written,
            dst=line,
            dcontext="fromoutside",
            userfield="[inbound]",
            firstdst=line,
            srcCallID=self._exchanges.call_id(),
        )
        is_open = _OPENS <= self._exchanges.clock.hour(start) < _CLOSES
        weights = _WEIGHTS_BY_DAY if is_open else _WEIGHTS_AT_NIGHT
        (destination,) = self._exchanges.rng.choices(_DESTINATIONS, cum_weights=weights)
        if self._exchanges.chance(_RELAYED):
            end = relay(script, caller, start, destination)
        else:
            end = destination(script, caller, start)
        self._free_at[number.e164] = end + 1
        return script

    def _free_caller(self, start: int) -> OutsideNumber:
        number = draw_outside_number(self._exchanges.rng)
        for _ in range(_TRIES_TO_FIND_A_FREE_CALLER):
            if self._free_at.get(number.e164, 0) <= start:
                break
            number = draw_outside_number(self._exchanges.rng)
        return number
