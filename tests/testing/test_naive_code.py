"""Code that counts legs for calls, as many a report does: it is wrong on the stand-in too.

It would be wrong on real records. So a user's own test of it has to fail here, and the same test
of code that looks at whole calls has to pass.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import date
from typing import TYPE_CHECKING

import pytest
from truth import legs_of

from boxis_async import e164, group_calls
from boxis_async.testing import generate_history

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from boxis_async import CDR

HISTORY = generate_history(date(2026, 10, 5), date(2026, 10, 12), calls_per_day=120)


@pytest.fixture(scope="module")
def legs() -> list[CDR]:
    """Fetch the legs of a week."""
    return asyncio.run(legs_of(HISTORY))


def by_linkedid(legs: Iterable[CDR]) -> list[list[CDR]]:
    """Group legs as if one `linkedid` were one call."""
    calls: defaultdict[str, list[CDR]] = defaultdict(list)
    for leg in legs:
        calls[leg.linkedid].append(leg)
    return [*calls.values()]


def missed_naively(legs: list[CDR]) -> list[str]:
    """Take a call in which no leg is ANSWERED for a missed one, and all others for answered."""
    return [
        e164(call[0].caller_number)
        for call in by_linkedid(legs)
        if any(leg.direction == "inbound" for leg in call)
        and not any(leg.disposition == "ANSWERED" for leg in call)
    ]


def missed(legs: list[CDR]) -> list[str]:
    """List who called and reached no person."""
    return [e164(call.caller_number) for call in group_calls(legs) if call.missed]


def has_the_missed_calls(listed: list[str]) -> bool:
    """Compare a list of missed calls with those that were missed, as a user's test would."""
    return sorted(listed) == sorted(e164(call.outside) for call in HISTORY.calls if call.missed)


def test_missed_calls(legs: list[CDR]) -> None:
    """Code that takes ANSWERED for a person fails a test on the stand-in; `Call.missed` passes."""
    assert has_the_missed_calls(missed(legs))
    assert not has_the_missed_calls(missed_naively(legs))
    # It does not see those who reached a machine only, the most of whom somebody has to call back.
    really = [call for call in HISTORY.calls if call.missed]
    listed = {leg.linkedid for call in by_linkedid(legs) for leg in call if leg.answered}
    unseen = [call for call in really if {leg["linkedid"] for leg in call.legs} & listed]
    assert len(unseen) > len(really) / 2
    assert {call.outcome for call in unseen} >= {"VOICEMAIL", "MACHINE", "NO ANSWER"}


@pytest.mark.parametrize(
    ("naive", "truth", "least"),
    [
        (lambda legs: len(by_linkedid(legs)), len(HISTORY.calls), 1.05),
        (
            lambda legs: sum(leg.billsec or 0 for leg in legs),
            sum(call.talk.total_seconds() for call in HISTORY.calls),
            1.19,
        ),
    ],
    ids=["calls by linkedid", "talk by billsec"],
)
def test_sums(
    legs: list[CDR], naive: Callable[[list[CDR]], float], truth: float, least: float
) -> None:
    """Sums over legs are too large, as calls go on elsewhere and both halves of a talk count."""
    assert naive(legs) > truth * least


def test_answered_legs_of_nobody(legs: list[CDR]) -> None:
    """In a week, half an hour and more of ringing in vain is billed, as a queue picked up first."""
    rang = [leg for leg in legs if leg.disposition == "NO ANSWER" and leg.billsec]
    assert sum(leg.billsec or 0 for leg in rang) > 1800
