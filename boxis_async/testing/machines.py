"""What picks up without being a person: voicemail, announcements, and the end of a queue.

Such a leg has no second channel, and the exchange calls it ANSWERED all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .phone_book import EXTENSIONS

if TYPE_CHECKING:
    from .call_script import CallScript, Channel


def leave_message(script: CallScript, caller: Channel, at: int, box: str | None = None) -> int:
    """Let a caller hear a greeting, and perhaps leave a message. Return when the caller hangs up.

    Not every record that ends in a box says so in each of the three fields.
    """
    script.parts.append("voicemail")
    script.reached_box()
    rng = script.exchanges.rng
    box = box or rng.choice(EXTENSIONS)
    end = at + rng.randint(3, 20) + rng.choice((0, rng.randint(5, 60)))
    (shows,) = rng.choices(("all", "lastdst", "lastapp"), (8, 1, 1))
    script.leg(
        caller,
        at,
        end,
        lastapp="Playback" if shows == "lastdst" else "VoiceMail",
        lastdata=f"{box}@default,u",
        lastdst="" if shows == "lastapp" else f"Voicemail {box}",
        wherelanded=f"Voicemail {box}" if shows == "all" else "N/A",
    )
    return end


def play_announcement(script: CallScript, caller: Channel, at: int) -> int:
    """Play an announcement, such as the opening hours, and hang up. Return when it is over."""
    script.parts.append("announcement")
    end = at + script.exchanges.rng.randint(4, 40)
    script.leg(caller, at, end, lastapp="Playback", lastdata="custom/closed")
    return end


def hang_up(script: CallScript, caller: Channel, at: int) -> int:
    """Let the exchange end the call, which leaves a leg without length. Return when."""
    script.leg(caller, at, at, lastapp="Hangup", lastdata="")
    return at
