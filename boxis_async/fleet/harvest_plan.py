"""What a harvest will take: counted by the rules of the client's windows, and measured costs.

Requests decide. Under one limit on requests the hours are requests divided by the rate, and more
machines help only where the reading of answers takes longer than the wait for the next turn.
"""

# No `from __future__ import annotations` here, see periods.py.

import math
from datetime import date
from typing import Final

import attrs

from boxis_async import UsageError
from boxis_async.fleet.periods import PeriodKind, periods_between

__all__ = ["HarvestPlan", "plan"]

# All of these are measured: `nox -s bench -- fleet_plan` measures them again.
RECORDS: Final = 1000
"""The records that the client aims at in an answer."""
FIRST_REQUESTS: Final = 4
"""The requests that it takes more until it knows a tenant's traffic, a month's windows at last."""
SECONDS_A_LEG: Final = 50e-6
"""Processor time, from the bytes of an answer to those of the file."""
SECONDS_A_REQUEST: Final = 8e-3
"""Processor time of a request, and of its share of a partition."""
ANSWER_BYTES: Final = 1020
"""The bytes of a leg in an answer, as JSON."""
FILE_BYTES: Final = 64
"""The bytes of a leg in a file of some thousand; less in larger ones."""
PARTITION_BYTES: Final = 15_000
"""The bytes of a file without any leg, and of its manifest."""
THREADS: Final = 8
"""The threads of a worker: so many requests it has in flight."""


@attrs.frozen(kw_only=True)
class HarvestPlan:
    """What a harvest will take, as far as it can be computed."""

    tenants: int
    partitions: int
    legs: int
    requests: int
    hours: float
    """At the rate, or at the pace of the answers where that is slower."""
    answer_bytes: int
    """The bytes of all answers, not compressed."""
    file_bytes: int
    """The bytes of the data set."""
    cpu_hours: float
    """The processor time of all workers together."""
    workers: int
    """So many processes of 8 threads keep up with the rate; more do not make it faster."""


def plan(  # noqa: PLR0913 - each is one thing to set, by name
    tenants: int,
    datefrom: date,
    dateto: date,
    *,
    max_rate: float = 5.0,
    concurrency: int = 8,
    period: PeriodKind = "month",
    legs_per_day: float = 100.0,
    latency: float = 0.3,
) -> HarvestPlan:
    """Compute what a harvest will take; no request, and no data set.

    Args:
        tenants: How many.
        datefrom: As for `harvest`.
        dateto: As for `harvest`.
        max_rate: Requests a second; `math.inf` is no limit.
        concurrency: Requests in flight at most.
        period: As for `harvest`.
        legs_per_day: The legs of one tenant in a day, on average.
        latency: The seconds that an answer takes.

    Raises:
        UsageError: An argument cannot be.
    """
    are_counts = tenants >= 1 and concurrency >= 1
    # Written so that NaN is refused.
    if not (
        are_counts and max_rate > 0 and 0 <= legs_per_day < math.inf and 0 <= latency < math.inf
    ):
        raise UsageError(
            "tenants and concurrency must be one or more, max_rate more than zero, legs_per_day "
            "and latency zero or more"
        )
    if math.isinf(max_rate) and not latency:
        raise UsageError("without a limit the answers decide: give a latency above zero")
    periods = periods_between(datefrom, dateto, period)
    days = (periods[-1].end - periods[0].start).days
    legs = round(legs_per_day * days)
    requests = FIRST_REQUESTS + sum(
        _requests(legs_per_day * (one.end - one.start).days, (one.end - one.start).days)
        for one in periods
    )
    rate = min(max_rate, concurrency / latency if latency else math.inf)
    cpu = legs * SECONDS_A_LEG + requests * SECONDS_A_REQUEST
    seconds = tenants * requests / rate
    return HarvestPlan(
        tenants=tenants,
        partitions=tenants * len(periods),
        legs=tenants * legs,
        requests=tenants * requests,
        hours=seconds / 3600,
        answer_bytes=tenants * legs * ANSWER_BYTES,
        file_bytes=tenants * (legs * FILE_BYTES + len(periods) * PARTITION_BYTES),
        cpu_hours=tenants * cpu / 3600,
        workers=max(1, math.ceil(tenants * cpu / seconds), math.ceil(rate * latency / THREADS)),
    )


def _requests(legs: float, days: int) -> int:
    """Count the requests of one partition: one if an answer may hold it all."""
    if legs <= RECORDS:
        return 1
    # Longer windows than 31 days are not chosen.
    return max(math.ceil(legs / RECORDS), math.ceil(days / 31))
