"""Crowds: a tenant's whole history is one large answer, of calls that hardly differ in time.

No other answer is larger, so that only parts of it can show that it is not cut off. What can be
shown is handed over, and what cannot raises: never a false alarm otherwise, and never a gap.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from calls import DAY, HOUR, NEXT_DAY, SECOND, call, ids, ids_of
from clients import connected
from crowds import RULES, can_be_proved
from hypothesis import example, given, settings
from hypothesis import strategies as st

from boxis_async import ContractError, WindowError
from boxis_async.testing import DateRule, Provider

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conftest import MakeClient
    from crowds import Call, Rule

    from boxis_async.testing import Received, Row

NOON = DAY + 12 * HOUR
START: Rule = ("start", True, True)
HALF_OPEN: Rule = ("start", True, False)
OPEN: Rule = ("start", False, False)
OVERLAP: Rule = ("overlap", True, True)
MINUTE_LONG, NEIGHBOUR = (0, 60), (1, 61)

spans = st.builds(
    lambda start, length: (start, start + length),
    st.integers(0, 3),
    st.sampled_from([0, 1, 2, 60]),
)
crowds = st.lists(spans, min_size=1, max_size=4, unique=True)


def crowd(calls: Sequence[Call], each: int = 0) -> list[Row]:
    """Make so many copies of each call, or more than a hundred together, from noon on."""
    each = each or 1 + 100 // len(calls)
    return [
        call(f"{NOON + start * SECOND}", end=f"{NOON + end * SECOND}")
        for start, end in calls
        for _ in range(each)
    ]


def date_rule(rule: Rule) -> DateRule:
    by, include_from, include_to = rule
    return DateRule(by, include_from=include_from, include_to=include_to)  # type: ignore[arg-type]


@pytest.mark.slow
@example(START, [MINUTE_LONG, NEIGHBOUR])
@example(HALF_OPEN, [(0, 0), (1, 2)])
@example(OPEN, [(0, 0), (1, 2)])
@example(OVERLAP, [MINUTE_LONG, NEIGHBOUR])
@example(("overlap", False, False), [(0, 2), (2, 60)])
@example(("either", False, False), [(0, 1), (1, 2), (3, 4)])
@settings(max_examples=settings.default.max_examples // 2)
@given(rule=st.sampled_from(RULES), calls=crowds)
async def test_a_crowd_raises_only_where_no_request_shows_more(
    rule: Rule, calls: list[Call]
) -> None:
    """An honest server's answer is handed over, unless no request at all can prove it."""
    rows = crowd(calls)
    provider = Provider(rows, filter_mode=date_rule(rule))
    async with connected(provider, contract=None) as client:
        stream = client.cdrs(DAY, NEXT_DAY, window=timedelta(days=1))
        if can_be_proved(rule, calls):
            assert sorted(ids(await stream.to_list())) == sorted(ids_of(rows))
        else:
            with pytest.raises(ContractError, match="cannot be shown"):
                await stream.to_list()
    assert len(provider.requests) < 120


@pytest.mark.slow
@example(START, [(0, 60)], [(0, 0)], 1, "first")
@example(("overlap", False, False), [(-60, 1), (1, 60)], [(1, 1)], 1, "last")
@example(("overlap", True, True), [(0, 60), (30, 90)], [(40, 50)], 1, "last")
@example(("within", False, False), [(1, 1), (2, 3)], [(0, 60)], 1, "last")
@settings(max_examples=settings.default.max_examples // 2)
@given(
    rule=st.sampled_from(RULES),
    calls=crowds,
    hidden=crowds,
    each=st.integers(1, 3),
    keeps=st.sampled_from(["first", "last"]),
)
async def test_a_crowd_that_is_cut_off_is_never_short(
    rule: Rule, calls: list[Call], hidden: list[Call], each: int, keeps: str
) -> None:
    """Whatever the server keeps back of a crowd, the stream has it, or raises."""
    rows = [*crowd(calls), *crowd(hidden, each)]
    provider = Provider(
        rows,
        filter_mode=date_rule(rule),
        row_limit=len(crowd(calls)),
        row_limit_keeps=keeps,  # type: ignore[arg-type]
    )
    async with connected(provider, contract=None) as client:
        stream = client.cdrs(DAY, NEXT_DAY, window=timedelta(days=1))
        try:
            found = ids(await stream.to_list())
        except (ContractError, WindowError):
            return
    assert sorted(found) == sorted(ids_of(rows))


@pytest.mark.parametrize(
    ("rule", "calls"),
    [
        (START, [MINUTE_LONG, NEIGHBOUR]),
        (HALF_OPEN, [MINUTE_LONG, NEIGHBOUR]),
        (OPEN, [MINUTE_LONG, NEIGHBOUR]),
        (START, [(0, 60), (1, 60), (2, 60)]),
        (HALF_OPEN, [(0, 0), (3, 4)]),
        (("end", False, False), [(0, 1), (2, 2)]),
        (("overlap", True, True), [(0, 2), (3, 60)]),
        (("either", False, False), [(0, 1), (3, 4)]),
    ],
    ids=str,
)
async def test_two_neighbouring_seconds_are_told_apart(
    make_client: MakeClient, rule: Rule, calls: list[Call]
) -> None:
    """Windows of a second, and of one moment, show that such an answer is whole."""
    assert can_be_proved(rule, calls)
    rows = crowd(calls)
    provider = Provider(rows, filter_mode=date_rule(rule))
    client = make_client(provider, contract=None)
    found = await client.cdrs(DAY, NEXT_DAY, window=timedelta(days=1)).to_list()
    assert sorted(ids(found)) == sorted(ids_of(rows))


@pytest.mark.parametrize(
    ("rule", "calls"),
    [(START, [(0, 60), (0, 90)]), (OVERLAP, [(0, 60), (20, 90)]), (START, [(0, 0), (3600, 3600)])],
    ids=["in one second", "at the same time", "without length"],
)
async def test_the_error_of_a_crowd_says_what_to_do(
    make_client: MakeClient, rule: Rule, calls: list[Call]
) -> None:
    """A larger answer of another tenant proves it, as does a number that the user knows."""
    assert not can_be_proved(rule, calls)
    rows = crowd(calls)
    busy = [call(f"{DAY + number * HOUR}") for number in range(20) for _ in range(10)]
    provider = Provider(rows, filter_mode=date_rule(rule), tenants={"BUSY": busy})
    day = timedelta(days=1)
    client = make_client(provider, contract=None)
    with pytest.raises(ContractError, match=r"more than \d+: row_limit=... or contract=") as caught:
        await client.cdrs(DAY, NEXT_DAY, window=day).to_list()
    assert f"more than {len(rows)}" in f"{caught.value}"
    known = client.cdrs(DAY, NEXT_DAY, window=day, row_limit=len(rows) + 1)
    assert len(await known.to_list()) == len(rows)
    assert len(await client.cdrs(DAY, NEXT_DAY, window=day, tenant="BUSY").to_list()) == 200
    assert len(await client.cdrs(DAY, NEXT_DAY, window=day).to_list()) == len(rows)


async def test_a_call_that_is_removed_during_the_proof(make_client: MakeClient) -> None:
    """From where a call is not that is gone by now, nothing follows about the rule."""
    short = [
        call(f"{NOON + number * SECOND}", end=f"{NOON + number * SECOND}") for number in (0, 9)
    ]
    rows = [*crowd([(3, 4)]), *short]
    # This rule and three others give a call of a second for the same windows: the call without
    # length tells them apart, as by this one it is in a window that ends with it.
    provider = Provider(rows, filter_mode=DateRule("within", include_from=True, include_to=True))

    async def remove(request: Received) -> None:
        if f"{NOON - SECOND}" == request.datefrom and short:
            for row in short:
                provider.remove(uniqueid=row["uniqueid"])
            short.clear()

    provider.gate = remove
    client = make_client(provider, contract=None)
    with pytest.raises(ContractError, match="cannot be shown"):
        await client.cdrs(DAY, NEXT_DAY, window=timedelta(days=1)).to_list()
    assert not short
    assert client.contract.rule is None
