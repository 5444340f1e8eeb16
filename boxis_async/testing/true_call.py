"""What happened in a generated call, whatever its records show of it."""

# No `from __future__ import annotations` here: the class says that it is from
# `boxis_async.testing`, and annotations that are texts would be looked up there.

from datetime import datetime, timedelta
from decimal import Decimal

import attrs


@attrs.frozen(kw_only=True)
class TrueCall:
    """What happened in a generated call: the values that your code should find from its legs.

    The generator notes them while the call happens, and never reads them from the records. The
    attributes have the names and meanings of those of `boxis_async.Call`.

    A record does not always show when somebody picked up: once a queue, a menu or an agent has
    answered the caller's channel, Asterisk writes the start of the next leg as its answer too. Then
    `recorded_wait` and `recorded_talk` differ from `wait` and `talk` by the ringing.
    """

    script: tuple[str, ...]
    """What happened, in order, such as `("relay", "queue", "voicemail")`."""
    legs: tuple[dict[str, str | None], ...] = attrs.field(repr=False)
    """The records of the call, in the order in which a PBX writes them: at hang-up."""
    start: datetime
    """When it began, in the time zone of the generator."""
    end: datetime
    """When the last leg ended."""
    direction: str
    """`"inbound"`, `"outbound"` or `"local"`."""
    caller_number: str
    """Who called: the number as the first leg writes it, without blanks."""
    caller_name: str
    """The caller's name, as much as fits in a record; `""` if there is none."""
    dialled: str
    """What the caller dialled, as the first leg writes it."""
    outside: str
    """The party outside: who called in, or what was dialled; `""` of a local call."""
    outcome: str
    """`"ANSWERED"` by a person; else `"VOICEMAIL"`; else how the last attempt to reach somebody
    failed; else, where there was none, `"MACHINE"`."""
    answered_by: str
    """The extension or number of the first person who picked up, of a call that went out its line;
    `""` if nobody did."""
    wait: timedelta
    """From the start until the first person picked up, or else until the end."""
    talk: timedelta
    """For how long at least one person was on the line with the caller."""
    recorded_wait: timedelta
    """The wait, as far as records can show it; never longer than `wait`."""
    recorded_talk: timedelta
    """The talk, as far as records can show it; never shorter than `talk`."""
    cost: Decimal
    """The costs of all legs."""

    @property
    def answered(self) -> bool:
        """Whether a person picked up."""
        return self.outcome == "ANSWERED"

    @property
    def missed(self) -> bool:
        """Whether somebody called in and reached no person."""
        return self.direction == "inbound" and not self.answered
