"""What deserves another try, and after how long."""

# Dates drawn here are made aware where they are used; a test hands over what types forbid.
# ruff: noqa: DTZ001, ANN401

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
import stamina
import time_machine
from hypothesis import example, given
from hypothesis import strategies as st

from boxis_async.errors import (
    AttemptTimeoutError,
    AuthenticationError,
    ClockError,
    ConnectionFailedError,
    MalformedAnswerError,
    RecordError,
    RefusedError,
    StatusError,
    UsageError,
    WrongLoopError,
)
from boxis_async.retry import (
    RetryPolicy,
    attempts_on,
    is_transient,
    retry_after,
    should_retry,
)

NOW = datetime(2024, 3, 5, 12, tzinfo=UTC)
NOWHERE = RetryPolicy(wait_initial=0, wait_max=0, wait_jitter=0)


def busy(told: str | None) -> StatusError:
    """Answer with a `Retry-After`."""
    return StatusError("HTTP status 503", status_code=503, retry_after=told)


# The policy


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(RetryPolicy)])
@pytest.mark.parametrize("value", [-1, -0.5, math.nan, "5", None, True, timedelta(1)])
def test_bad_settings(name: str, value: Any) -> None:
    """A setting that cannot work is refused by its name."""
    with pytest.raises(UsageError, match=name):
        RetryPolicy(**{name: value})


@pytest.mark.parametrize("attempts", [0, 0.5, 1.5, 2.0, math.inf])
def test_bad_attempts(attempts: Any) -> None:
    """Attempts are counted in whole numbers, from one on."""
    with pytest.raises(UsageError, match="attempts"):
        RetryPolicy(attempts=attempts)


def test_settings() -> None:
    """Settings at their limits are taken; the defaults try more than once."""
    assert RetryPolicy(attempts=1, wait_initial=0, wait_max=0, wait_jitter=0).attempts == 1
    assert RetryPolicy().attempts > 1
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        RetryPolicy().attempts = 7  # type: ignore[misc]


# What passes


@pytest.mark.parametrize(
    "error",
    [
        ConnectionFailedError("x"),
        AttemptTimeoutError("x"),
        MalformedAnswerError("x"),
        *(
            StatusError("x", status_code=status)
            for status in (408, 425, 429, 500, 502, 503, 504, 599)
        ),
    ],
    ids=str,
)
def test_what_may_pass(error: Exception) -> None:
    """Failed connections, time-outs, passing statuses and broken bodies deserve another try."""
    assert is_transient(error)
    assert should_retry(RetryPolicy(), error) is True


@pytest.mark.parametrize(
    "error",
    [
        RefusedError("Error: x"),
        AuthenticationError("Error: x"),
        ClockError("x", server_time=1),
        RecordError("x"),
        UsageError("x"),
        WrongLoopError("x"),
        *(
            StatusError("x", status_code=status)
            for status in (0, 301, 304, 400, 401, 403, 404, 410)
        ),
        ValueError("x"),
        TimeoutError("not ours"),
    ],
    ids=repr,
)
def test_what_does_not_pass(error: Exception) -> None:
    """The API's own refusal, and whatever the same request would bring again, does not."""
    assert not is_transient(error)
    assert should_retry(RetryPolicy(), error) is False


# Retry-After


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("-5", 0.0),
        ("-1e300", 0.0),
        ("1e300", 1e300),
        ("9" * 30, 1e30),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e999", None),
        ("5, 7", None),
        ("Tue, 05 Mar 2024 12:00:30 GMT", 30.0),
        ("Tue, 05 Mar 2024 12:00:00 GMT", 0.0),
        ("Tue, 05 Mar 2024 11:00:00 GMT", 0.0),
        ("Mon, 05 Mar 1900 11:00:00 GMT", 0.0),
        ("Tue, 05 Mar 2024 13:00:30 +0100", 30.0),
        # Without a zone, or an unknown one: GMT, not the zone of this machine.
        ("Tue, 05 Mar 2024 12:00:30", 30.0),
        ("Tue, 05 Mar 2024 12:00:30 -0000", 30.0),
        ("Tuesday, 05-Mar-24 12:00:30 GMT", 30.0),
        ("Tue, 35 Mar 2024 12:00:30 GMT", None),
        ("Tue, 05 Mar 99999 12:00:30 GMT", None),
        ("Tue, 05 Mar 2024 12:00:30 +9999", None),
        ("Tue", None),
        ("2024-03-05T12:00:30Z", None),
    ],
)
@pytest.mark.parametrize("here", ["UTC", "Asia/Kolkata"])
def test_retry_after(told: str | None, seconds: float | None, here: str) -> None:
    """Seconds and dates are read, the past is now, and what is neither is as if unsaid."""
    # Given a ZoneInfo, time-machine sets this machine's zone too.
    with time_machine.travel(NOW.astimezone(ZoneInfo(here)), tick=False):
        found = retry_after(busy(told))
        assert found == (seconds if seconds is None else pytest.approx(seconds))
        wait = should_retry(RetryPolicy(wait_max=60), busy(told))
        assert wait == (True if seconds is None else pytest.approx(min(seconds, 60)))
        assert (wait is True) is (seconds is None)


@pytest.mark.parametrize(
    "told",
    ["Fri, 31 Dec 9999 23:59:59 -1200", "Fri, 31 Dec 9999 23:59:59 GMT", "1e308", "9" * 300],
)
def test_waits_are_capped(told: str) -> None:
    """However long the provider asks to wait, it is waited no longer than `wait_max`."""
    assert should_retry(RetryPolicy(wait_max=7), busy(told)) == 7


def test_retry_after_of_other_errors() -> None:
    """Only an HTTP status says when to come again."""
    assert retry_after(MalformedAnswerError("x")) is None


@given(st.one_of(st.text(max_size=40), st.from_regex(r"\A\w{3}, \d+ Mar \d+ \d+:\d+:\d+ [-+ \w]+")))
@example("Mon, 01 Jan 0001 00:00:00 +1400")
@example("Mon, 01 Jan 0000 00:00:00 GMT")
def test_any_retry_after(told: str) -> None:
    """Whatever a server puts there, what comes of it is a wait within bounds, or none."""
    wait = should_retry(RetryPolicy(wait_max=7), busy(told))
    assert wait is True or 0 <= wait <= 7


@given(st.datetimes(datetime(2024, 1, 1), datetime(2034, 1, 1)))
def test_any_date(when: datetime) -> None:
    """Any date is waited for, by the difference from now."""
    when = when.replace(microsecond=0, tzinfo=UTC)
    with time_machine.travel(NOW, tick=False):
        found = retry_after(busy(format_datetime(when, usegmt=True)))
    assert found == max(0.0, (when - NOW).total_seconds())


# The attempts


async def test_attempts_are_bounded() -> None:
    """What fails each time is tried as often as the policy says, and its last error is raised."""
    tried = 0
    policy = attrs.evolve(NOWHERE, attempts=4)
    with pytest.raises(ConnectionFailedError, match="4"):  # noqa: PT012 - the loop is what raises
        async for attempt in attempts_on(policy, partial(should_retry, policy)):
            with attempt:
                tried += 1
                raise ConnectionFailedError(f"{attempt.num}")
    assert tried == 4


async def test_attempts_end_with_success() -> None:
    """What passes is not tried again."""
    tried = 0
    async for attempt in attempts_on(NOWHERE, partial(should_retry, NOWHERE)):
        with attempt:
            tried += 1
            if tried < 3:
                raise busy("0")
    assert tried == 3


async def test_refusals_are_not_tried_again() -> None:
    """What does not pass is tried once."""
    tried = 0
    with pytest.raises(RefusedError):  # noqa: PT012 - the loop is what raises
        async for attempt in attempts_on(NOWHERE, partial(should_retry, NOWHERE)):
            with attempt:
                tried += 1
                raise RefusedError("Error: x")
    assert tried == 1


async def test_waits_between_attempts() -> None:
    """Waits double from the first, up to the longest."""
    policy = RetryPolicy(attempts=6, wait_initial=1, wait_max=5, wait_jitter=0)
    assert stamina.is_active()
    async for attempt in attempts_on(policy, partial(should_retry, policy)):
        with attempt:
            assert attempt.num == 1
            assert attempt.next_wait == 1


@pytest.mark.parametrize("ours", [NOW, NOW - timedelta(days=3), NOW + timedelta(days=3)])
@pytest.mark.parametrize(
    ("answered", "wait"), [(NOW, 7.0), (NOW + timedelta(seconds=9), 0.0), (None, None)]
)
def test_a_date_counts_from_the_answers_own(
    ours: datetime, answered: datetime | None, wait: float | None
) -> None:
    """A date is a moment by the server's clock: what ours says is not asked where that is known."""
    date = None if answered is None else format_datetime(answered, usegmt=True)
    until = format_datetime(NOW + timedelta(seconds=7), usegmt=True)
    error = StatusError("x", status_code=503, retry_after=until, date=date)
    with time_machine.travel(ours, tick=False):
        found = retry_after(error)
    if wait is None:
        wait = max(0.0, 7.0 + (NOW - ours).total_seconds())
    assert found == wait


@pytest.mark.parametrize("date", ["", "soon", "Mon, 99 Foo 2024 00:00:00 GMT", "\x00"])
def test_an_answer_whose_own_date_is_none(date: str) -> None:
    """Where the answer's own date cannot be read, ours is taken."""
    until = format_datetime(NOW + timedelta(seconds=7), usegmt=True)
    error = StatusError("x", status_code=503, retry_after=until, date=date)
    with time_machine.travel(NOW, tick=False):
        assert retry_after(error) == 7.0
