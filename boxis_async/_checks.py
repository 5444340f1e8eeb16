"""What is wrong with an argument: each check gives a sentence that says what to do, or None.

They give sentences and raise nothing, so that one error can name everything that is wrong.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final, TypeGuard, cast

from boxis_async._plain import plain_date, plain_length
from boxis_async._wire.answers import xml_reader
from boxis_async._wire.json import LONE_SURROGATE
from boxis_async.contract_model import Contract
from boxis_async.coverage import Coverage
from boxis_async.hooks import Hooks
from boxis_async.retry import RetryPolicy
from boxis_async.types import Limiter

__all__ = [
    "problem_with_choice",
    "problem_with_concurrency",
    "problem_with_contract",
    "problem_with_date",
    "problem_with_dates",
    "problem_with_deadline",
    "problem_with_every",
    "problem_with_hooks",
    "problem_with_limiter",
    "problem_with_margin",
    "problem_with_max_rate",
    "problem_with_max_response_bytes",
    "problem_with_name",
    "problem_with_resume",
    "problem_with_retry",
    "problem_with_returntype",
    "problem_with_row_limit",
    "problem_with_settle",
    "problem_with_since",
    "problem_with_tenants",
    "problem_with_text",
    "problem_with_timeout",
    "problem_with_unique_by",
    "problem_with_watched",
    "problem_with_window",
]

_LONGEST_TIMEOUT = 1e9
_LOWEST_RATE, _HIGHEST_RATE = 1e-6, 1e9
_SECOND = timedelta(seconds=1)
_HOUR = timedelta(hours=1)
_YEAR = timedelta(days=366)
_CENTURY = timedelta(days=36525)
"""Longer lengths cannot be meant, and sums with them would be more than a timedelta can be."""
_LINE_ENDS: Final = frozenset("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
_KINDS: Final = {
    "Zs": "a blank",
    "Cc": "a control character",
    "Cf": "an invisible character",
}


def problem_with_text(value: object, name: str) -> str | None:
    """Check a text that is sent; None is no problem here."""
    if value is None:
        return None
    if not isinstance(value, str):
        return f"{name} must be a str, not {type(value).__name__}"
    if LONE_SURROGATE.search(value):
        return f"{name} is not valid Unicode: it cannot be sent"
    return None


def problem_with_name(value: object, name: str) -> str | None:
    """Check a text that names or identifies something; the problem does not show it.

    Whatever is invisible came along when it was copied, from a file with its line end for example.
    Sent like that, it is another name, and the provider's refusal would not say why.
    """
    problem = problem_with_text(value, name)
    if problem is not None or not isinstance(value, str):
        return problem
    for place, character in enumerate(value):
        kind = _kind_of(character)
        if kind is not None:
            last = len(value) - 1
            where = "at its start" if place == 0 else "at its end" if place == last else "within"
            return f"{name} has {kind} {where}: give it without"
    return None


def _kind_of(character: str) -> str | None:
    """Say what kind of character one is that no name holds, or None."""
    if character in _LINE_ENDS:
        return "a line end"
    return "a tab" if character == "\t" else _KINDS.get(unicodedata.category(character))


def problem_with_choice(value: object, name: str, choices: tuple[object, ...]) -> str | None:
    """Check one of a few values."""
    # Compared only with its own kind: what numpy and pandas compare may be neither true nor false.
    if (value is None or isinstance(value, (str, bool))) and value in choices:
        return None
    return f"{name} must be {' or '.join(map(repr, choices))}, not {value!r}"


def problem_with_concurrency(concurrency: object) -> str | None:
    """Check a number of requests."""
    if _is_whole(concurrency) and concurrency > 0:
        return None
    return f"concurrency must be a whole number, one or more, not {concurrency!r}"


def problem_with_timeout(timeout: object) -> str | None:
    """Check seconds for one attempt."""
    return _problem_with_seconds(timeout, "timeout")


def problem_with_deadline(deadline: object) -> str | None:
    """Check seconds for a whole stream or answer."""
    return None if deadline is None else _problem_with_seconds(deadline, "deadline")


def _problem_with_seconds(seconds: object, name: str) -> str | None:
    if _is_number(seconds) and 0 < seconds <= _LONGEST_TIMEOUT:
        return None
    if isinstance(seconds, timedelta):
        return f"{name} must be seconds: give {name}.total_seconds(), not {seconds!r}"
    return f"{name} must be seconds, more than zero, at most {_LONGEST_TIMEOUT:g}, not {seconds!r}"


def problem_with_max_rate(max_rate: object) -> str | None:
    """Check requests a second."""
    if max_rate is None or (_is_number(max_rate) and _LOWEST_RATE <= max_rate <= _HIGHEST_RATE):
        return None
    return (
        f"max_rate must be requests a second, from {_LOWEST_RATE:g} to {_HIGHEST_RATE:g}, "
        f"or None, not {max_rate!r}"
    )


def problem_with_max_response_bytes(most: object) -> str | None:
    """Check the size of the largest answer."""
    if _is_whole(most) and most > 0:
        return None
    return f"max_response_bytes must be a whole number, one or more, not {most!r}"


def problem_with_retry(retry: object) -> str | None:
    """Check a retry policy."""
    if retry is None or isinstance(retry, RetryPolicy):
        return None
    return f"retry must be a RetryPolicy, not {type(retry).__name__}"


def problem_with_contract(contract: object) -> str | None:
    """Say what is wrong with what is known of the server."""
    if contract is None:
        return None
    if not isinstance(contract, Contract):
        return f"contract must be a Contract or None, not {contract!r}"
    if contract.rule != "within":
        return None
    if contract.longest_call is None:
        return (
            "contract: under the rule within windows must overlap by the longest call: state "
            "longest_call"
        )
    if plain_length(contract.longest_call) > _CENTURY:
        return (
            f"contract: longest_call must be a hundred years at most, not {contract.longest_call}"
        )
    return None


def problem_with_hooks(hooks: object) -> str | None:
    """Check hooks."""
    if hooks is None or isinstance(hooks, Hooks):
        return None
    return f"hooks must be Hooks(on_request=…), not {type(hooks).__name__}"


def problem_with_limiter(limiter: object) -> str | None:
    """Check what says when requests may be sent."""
    if limiter is None or isinstance(limiter, Limiter):
        return None
    return (
        "limiter must have the methods acquire, release and slow_down (boxis_async.types.Limiter), "
        f"and {type(limiter).__name__} has not"
    )


def problem_with_returntype(returntype: object) -> str | None:
    """Check the form of the answers.

    Raises:
        MissingExtraError: XML is requested, and the extra that reads it is not installed.
    """
    if not isinstance(returntype, str) or returntype not in ("json", "xml"):
        return f'returntype must be "json" or "xml", not {returntype!r}'
    if returntype == "xml":
        xml_reader()
    return None


def problem_with_dates(datefrom: object, dateto: object, clip: object) -> list[str]:
    """Check the ends of a range, and whether there is something to clip to."""
    ends = (("datefrom", datefrom), ("dateto", dateto))
    problems = [problem for name, value in ends if (problem := problem_with_date(value, name))]
    if datefrom is None and dateto is not None:
        problems.append("dateto without datefrom: give datefrom too")
    if datefrom is None and clip is not None:
        problems.append("clip without datefrom: there is nothing to clip to")
    return problems


def problem_with_date(value: object, name: str) -> str | None:
    """Check a datetime or a date; None is no problem here."""
    if value is None:
        return None
    if not isinstance(value, date):
        return f"{name} must be a datetime or a date, not {value!r}"
    try:
        plain_date(value)
    except ValueError as error:
        return f"{name} {error}"
    return None


def problem_with_window(window: object) -> str | None:
    """Check the length of a window."""
    if window is None:
        return None
    if not isinstance(window, timedelta):
        return f"window must be a timedelta or None, not {window!r}"
    window = plain_length(window)
    if window < _SECOND or window % _SECOND:
        return f"window must be whole seconds, one or more, as the API asks by them, not {window}"
    return None


def problem_with_margin(margin: object) -> str | None:
    """Check how long after its last leg a call is kept open."""
    if isinstance(margin, timedelta) and timedelta(0) < plain_length(margin) <= _CENTURY:
        return None
    return f"margin must be a timedelta, more than zero, a hundred years at most, not {margin!r}"


def problem_with_unique_by(unique_by: object) -> str | None:
    """Check a key rule."""
    if callable(unique_by) or (isinstance(unique_by, str) and unique_by in ("uniqueid", "leg")):
        return None
    return f'unique_by must be "uniqueid", "leg" or a function of a CDR, not {unique_by!r}'


def problem_with_row_limit(limit: object) -> str | None:
    """Check a number of records."""
    if limit is None or (_is_whole(limit) and limit > 0):
        return None
    return f"row_limit must be a whole number, one or more, or None, not {limit!r}"


def problem_with_resume(resume: object) -> str | None:
    """Check a coverage."""
    if resume is None or isinstance(resume, Coverage):
        return None
    return f"resume must be a Coverage, as Coverage.from_json gives, not {type(resume).__name__}"


def problem_with_settle(settle: object) -> str | None:
    """Check how long records may change."""
    if isinstance(settle, timedelta) and plain_length(settle) >= timedelta(0):
        return None
    return f"settle must be a timedelta, zero or more, not {settle!r}"


def problem_with_every(every: object) -> str | None:
    """Check the interval of a watch."""
    if isinstance(every, timedelta) and _SECOND <= plain_length(every) <= _YEAR:
        return None
    return f"every must be a timedelta, from a second to a year, not {every!r}"


def problem_with_watched(settle: object) -> str | None:
    """Check how old a record that a watch looks at may be."""
    if isinstance(settle, timedelta) and _HOUR <= plain_length(settle) <= _YEAR:
        return None
    return f"settle must be a timedelta, from an hour to a year, not {settle!r}"


def problem_with_since(since: object) -> str | None:
    """Check from when on a watch counts."""
    if since is None or (isinstance(since, timedelta) and plain_length(since) >= timedelta(0)):
        return None
    if isinstance(since, date):
        return problem_with_date(since, "since")
    return f"since must be a timedelta, zero or more, a datetime or a date, not {since!r}"


def problem_with_tenants(tenants: object) -> str | None:
    """Check the tenants of a watch."""
    if isinstance(tenants, str) or not isinstance(tenants, Iterable):
        return f"tenants must be several texts, as in tenants=[tenant], not {tenants!r}"
    names = list(cast("Iterable[object]", tenants))
    if not names:
        return "tenants: there is none"
    for name in names:
        if not isinstance(name, str) or not name:
            return f"tenants must be texts, not {name!r}"
        if problem := problem_with_name(name, "tenants"):
            return problem
    if len(set(names)) < len(names):
        return "tenants: one comes twice"
    return None


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
