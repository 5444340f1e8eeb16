"""Legs → calls. What is asked of a call is asked of all its legs: see `_calls`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boxis_async._calls.numbers import check_country

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta

    from boxis_async._calls.open_calls import OpenCalls
    from boxis_async.call_model import Call
    from boxis_async.models import CDR
    from boxis_async.types import Reached

__all__ = ["group_calls", "open_calls"]


def group_calls(
    legs: Iterable[CDR],
    *,
    reached: Callable[[CDR], Reached | None] | None = None,
    country: str = "CH",
) -> list[Call]:
    """Make calls of legs: each leg is in one call, and each call has all of its legs.

    Give all legs of the calls that you want to know about, as `cdrs(..., unique_by="leg")` streams
    them. Of a call of which legs are missing, only what the others say is known;
    `BoxisClient.calls` fetches the legs beyond the ends of a range too.

    Args:
        legs: In whatever order: the same legs always give the same calls.
        reached: Whom a leg reached: `"person"`, `"voicemail"`, `"machine"`, `"nobody"`, or `"hop"`
            where it goes on to another leg; None leaves it to the rules. For an exchange that
            writes it in another way.
        country: The country that a number with a single leading 0 is of, as ISO 3166 writes it.

    Returns:
        The calls by their start.

    Raises:
        UsageError: There is no such country, or `reached` gives something else.
    """
    # Loaded here: most programs stream legs, and it would add to the time that an import takes.
    from boxis_async._calls.build import build  # noqa: PLC0415
    from boxis_async._calls.group import group  # noqa: PLC0415
    from boxis_async._calls.order import calls_in_order  # noqa: PLC0415

    found = group(legs, check_country(country))
    return calls_in_order([build(legs_of_one, reached) for legs_of_one in found])


def open_calls(
    margin: timedelta | None, reached: Callable[[CDR], Reached | None] | None, country: str
) -> OpenCalls:
    """Begin to make calls of a stream of legs."""
    from boxis_async._calls.open_calls import OpenCalls  # noqa: PLC0415 - as above

    return OpenCalls(margin, reached, check_country(country))
