"""What code makes of generated records, compared with what happened."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from boxis_async import BoxisClient, e164
from boxis_async.testing import Provider

if TYPE_CHECKING:
    from collections.abc import Iterable

    from boxis_async import CDR, Call
    from boxis_async.testing import History, TrueCall

SAME = (
    "start",
    "end",
    "direction",
    "caller_name",
    "dialled",
    "outcome",
    "answered_by",
    "answered",
    "missed",
    "cost",
)
"""The attributes of a call that equal those of the truth, as they are."""


class Difference(NamedTuple):
    """An attribute of a call that is not as it was."""

    attribute: str
    """The attribute; `legs` where a call was cut in pieces, made of several, or not found."""
    truth: TrueCall
    found: object


async def legs_of(history: History) -> list[CDR]:
    """Fetch the legs of a history as a program would."""
    provider = Provider(history.rows)
    async with (
        provider.client() as http_client,
        BoxisClient(
            provider.username, provider.api_key, tenant=provider.tenant, http_client=http_client
        ) as client,
    ):
        return await client.cdrs(unique_by="leg").to_list()


def differences(truths: Iterable[TrueCall], calls: Iterable[Call]) -> list[Difference]:
    """List where calls differ from the truth.

    Talk and wait are compared with what records can show of them, and numbers in one spelling.
    """
    call_of = {(leg.uniqueid, leg.sequence): call for call in calls for leg in call.legs}
    found: list[Difference] = []
    for truth in truths:
        names = [(str(leg["uniqueid"]), int(leg["sequence"] or 0)) for leg in truth.legs]
        pieces = {id(call_of[name]): call_of[name] for name in names if name in call_of}
        if len(pieces) != 1:
            found.append(Difference("legs", truth, [*pieces.values()]))
            continue
        (call,) = pieces.values()
        seen = {(leg.uniqueid, leg.sequence) for leg in call.legs}
        pairs = [
            ("legs", seen <= set(names), True),
            *((name, getattr(call, name), getattr(truth, name)) for name in SAME),
            ("caller_number", e164(call.caller_number), e164(truth.caller_number)),
            ("outside", e164(call.outside), e164(truth.outside)),
            ("talk", call.talk, truth.recorded_talk),
            ("wait", call.wait, truth.recorded_wait),
        ]
        found += [Difference(name, truth, call) for name, seen, true in pairs if seen != true]
    return found


def count(found: Iterable[Difference]) -> Counter[str]:
    """Count differences by attribute."""
    return Counter(difference.attribute for difference in found)
