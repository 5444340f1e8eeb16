"""`Contract`: a frozen value that is written, read and compared; and the rules that it names."""

from __future__ import annotations

import json
import pickle
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxis_async import Contract, Finding, UsageError
from boxis_async._probe.next_window import next_window
from boxis_async._run.date_rules import ALL_RULES, RULES, Ends, admitting, remaining
from boxis_async._wire.cooperative import at_once
from boxis_async.testing import DATE_RULES, DateRule, Provider

BEGIN = datetime(2026, 6, 10, 12)  # noqa: DTZ001 - a wall clock
ORDERS: list[Any] = ["start", "end", "start descending", "end descending", "none"]

contracts = st.builds(
    Contract,
    rule=st.sampled_from([None, "start", "end", "overlap", "either", "within"]),
    include_from=st.none() | st.booleans(),
    include_to=st.none() | st.booleans(),
    row_cap=st.none() | st.integers(1, 10**6),
    no_cap_up_to=st.integers(0, 10**6),
    dates_ignored=st.none() | st.booleans(),
    order=st.none() | st.sampled_from(ORDERS),
    unique_keys=st.none() | st.booleans(),
    longest_call=st.none() | st.integers(0, 10**6).map(lambda seconds: timedelta(seconds=seconds)),
)


@given(contract=contracts)
def test_it_is_read_as_it_was_written(contract: Contract) -> None:
    """A contract survives TOML, a dict, JSON and pickle, and contradicts itself nowhere."""
    assert Contract.from_toml(contract.to_toml()) == contract
    assert Contract.from_toml(f"[contract]\n{contract.to_toml()}") == contract
    assert Contract.from_dict(contract.to_dict()) == contract
    assert Contract.from_dict(json.loads(contract.to_json())["contract"]) == contract
    assert pickle.loads(pickle.dumps(contract)) == contract
    assert hash(Contract.from_dict(contract.to_dict())) == hash(contract)
    assert contract.contradictions(contract) == ()
    assert contract.contradictions(Contract()) == Contract().contradictions(contract) == ()


def test_a_repr_that_tells() -> None:
    """The repr has the rule as a formula, and what else is known."""
    contract = Contract(
        rule="either",
        include_from=True,
        no_cap_up_to=2912,
        order="end",
        unique_keys=False,
        longest_call=timedelta(hours=1),
        findings=(Finding("rule", "either", "certain", "three windows", 3),),
    )
    assert f"{contract!r}" == (
        "<Contract(datefrom <= start <(=) dateto or datefrom <= end <(=) dateto; not cut up to "
        "2,912 records; by end; keys are not unique; longest call 1:00:00)>"
    )
    assert "cut at 1,000 records; in no order" in repr(Contract(row_cap=1000, order="none"))
    assert contract.requests == 3
    assert contract.finding("rule").value == "either"
    with pytest.raises(KeyError):
        contract.finding("nothing")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"rule": "begin"}, "rule must be 'start' or"),
        ({"include_from": 1}, "include_from must be True or False, not 1"),
        ({"row_cap": 0}, "row_cap must be a whole number, 1 or more"),
        ({"no_cap_up_to": True}, "no_cap_up_to must be a whole number"),
        ({"longest_call": -1}, "longest_call must be whole seconds"),
        ({"longest_call": "1h"}, "longest_call must be whole seconds"),
        ({"longest_call": 10**18}, "longest_call is too long"),
        ({"order": "up"}, "order must be"),
        ({"unique_keys": "yes"}, "unique_keys must be"),
        ({"findings": []}, "findings is not known; known are rule"),
    ],
)
def test_what_cannot_be(values: dict[str, object], text: str) -> None:
    """A value that cannot be is refused, with what to write."""
    with pytest.raises(UsageError, match=text):
        Contract.from_dict(values)


def test_what_is_no_contract() -> None:
    """A text that is not TOML, and a length that is none, are refused."""
    with pytest.raises(UsageError, match="not TOML"):
        Contract.from_toml("rule")
    with pytest.raises(UsageError, match="longest_call must be a timedelta"):
        Contract(longest_call=timedelta(seconds=-1))


@pytest.mark.parametrize(
    ("given_", "later", "text"),
    [
        ({"rule": "start"}, {"rule": "end"}, 'rule was "start", and is "end"'),
        ({"include_to": True}, {"include_to": False}, "include_to was true, and is false"),
        ({"dates_ignored": False}, {"dates_ignored": True}, "dates_ignored was false"),
        ({"unique_keys": True}, {"unique_keys": False}, "unique_keys was true"),
        ({"row_cap": 1000}, {"row_cap": 500}, "row_cap was 1,000, and is 500"),
        ({"row_cap": 1000}, {"no_cap_up_to": 2000}, "an answer of 2,000 records was whole"),
        ({"no_cap_up_to": 2000}, {"row_cap": 1000}, "answers are cut at 1,000"),
        (
            {"rule": "within", "longest_call": 3600},
            {"longest_call": 3601},
            "longest_call was 1:00:00, and a call took 1:00:01",
        ),
    ],
)
def test_contradictions(given_: dict[str, object], later: dict[str, object], text: str) -> None:
    """Each thing that a later contract says otherwise is a sentence."""
    (found,) = Contract.from_dict(given_).contradictions(Contract.from_dict(later))
    assert text in found


@pytest.mark.parametrize(
    ("given_", "later"),
    [
        ({"row_cap": 1000}, {"no_cap_up_to": 1000}),
        ({"no_cap_up_to": 1000}, {"row_cap": 2000}),
        ({"rule": "start", "longest_call": 60}, {"rule": "start", "longest_call": 90}),
        ({"order": "start"}, {"order": "end"}),
    ],
)
def test_what_contradicts_nothing(given_: dict[str, object], later: dict[str, object]) -> None:
    """More that is known, or what nothing rests on, contradicts nothing."""
    assert Contract.from_dict(given_).contradictions(Contract.from_dict(later)) == ()


moments = st.integers(0, 12).map(lambda seconds: BEGIN + timedelta(seconds=seconds))
ends = st.tuples(moments, moments).map(lambda pair: (min(pair), max(pair)))


@given(calls=st.lists(ends, min_size=1, max_size=6), window=ends)
def test_rules_are_those_of_the_stand_in(calls: list[Ends], window: Ends) -> None:
    """Each rule admits what the stand-in, an independent witness, answers by it."""
    assert [(rule.by, rule.include_from, rule.include_to) for rule in RULES] == [
        (rule.by, rule.include_from, rule.include_to) for rule in DATE_RULES
    ]
    rows = [{"start": f"{start}", "end": f"{end}"} for start, end in calls]
    for bit, rule in enumerate(DATE_RULES):
        provider = Provider(rows, filter_mode=rule)
        answered = {
            (row["start"], row["end"]) for row in provider.select(f"{window[0]}", f"{window[1]}")
        }
        for call in calls:
            is_admitted = bool(admitting(call, window) >> bit & 1)
            assert is_admitted == ((f"{call[0]}", f"{call[1]}") in answered)


@given(calls=st.lists(ends, min_size=1, max_size=6, unique=True), rule=st.sampled_from(DATE_RULES))
def test_the_right_rule_is_never_ruled_out(calls: list[Ends], rule: DateRule) -> None:
    """Window after window the right rule stays, and each one rules another one out."""
    bit = DATE_RULES.index(rule)
    left, asked = ALL_RULES, list[Ends]()
    while (window := at_once(next_window(calls, left, asked))) is not None:
        asked.append(window)
        present = {call for call in calls if admitting(call, window) >> bit & 1}
        now = left & remaining(window, present, calls, is_whole=True)
        assert now >> bit & 1
        # An answer may leave all of them, but no window is asked for twice.
        assert now <= left
        left = now
    # What is left gives the same answer for each window around these calls.
    assert left >> bit & 1
    # Such a call has room for a window between its start and its end.
    if any(end - start >= timedelta(seconds=3) for start, end in calls):
        assert left == 1 << bit


def test_an_answer_that_may_be_cut_rules_nothing_out_by_what_it_lacks() -> None:
    """What a cut answer lacks proves nothing."""
    one: Ends = (BEGIN, BEGIN + timedelta(seconds=10))
    window: Ends = (BEGIN - timedelta(seconds=5), BEGIN + timedelta(seconds=20))
    assert remaining(window, set(), [one], is_whole=False) == ALL_RULES
    assert remaining(window, set(), [one], is_whole=True) == 0
    assert remaining(window, {one}, [one], is_whole=False) == ALL_RULES
