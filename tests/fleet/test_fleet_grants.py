"""Grants: send times for many workers on one line, at most so many in flight. No clock, no Dask."""

from __future__ import annotations

import math
from bisect import bisect_left

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxis_async.fleet.grants import AHEAD, Grants, Sender, lateness

A, B = ("tcp://a", "one"), ("tcp://b", "one")


def most_in_a_second(times: list[float]) -> int:
    """Count the most times within any second."""
    times = sorted(times)
    return max((bisect_left(times, begin + 1) - at for at, begin in enumerate(times)), default=0)


@attrs.define
class Cluster:
    """Workers that use what they are granted, at a clock that a test moves."""

    grants: Grants
    now: float = 0.0
    sent: list[float] = attrs.Factory(list)
    due: list[tuple[float, Sender]] = attrs.Factory(list)

    def step(self, seconds: float) -> None:
        """Let time pass, in steps in which a scheduler would look."""
        until = self.now + seconds
        while True:
            given = self.grants.give(self.now)
            for sender, delays in given.delays.items():
                assert all(0 <= delay <= AHEAD for delay in delays)
                self.due += [(self.now + delay, sender) for delay in delays]
            if given.again is None or self.now + given.again > until:
                break
            self.now += max(given.again, 1e-6)
        self.now = until
        self.sent += [at for at, _ in self.due if at <= until]
        self.due = [one for one in self.due if one[0] > until]


def test_send_times_lie_an_interval_apart() -> None:
    """Whoever gets them, times lie apart, so that any second has at most the rate of them."""
    grants = Grants(0.0)
    grants.limit(4, 100)
    cluster = Cluster(grants)
    grants.want(A, 30)
    grants.want(B, 30)
    cluster.step(11)
    gaps = [after - before for before, after in zip(cluster.sent, cluster.sent[1:], strict=False)]
    assert gaps == pytest.approx([0.25] * len(gaps))
    assert most_in_a_second(cluster.sent) <= 5
    assert len(cluster.sent) == 4 * (11 - 1.5) + 1


def test_a_scheduler_starts_empty() -> None:
    """The first time is later than any that an earlier scheduler granted, and a second more."""
    for rate, first in ((4, AHEAD + 1), (0.25, AHEAD + 4)):
        grants = Grants(100.0)
        grants.limit(rate, 8)
        cluster = Cluster(grants, now=100.0)
        grants.want(A, 5)
        cluster.step(10)
        assert cluster.sent[0] == pytest.approx(100 + first)


def test_without_a_rate_only_those_in_flight_count() -> None:
    """No rate grants at once, up to the number in flight, and goes on as they end."""
    grants = Grants(0.0)
    grants.limit(math.inf, 3)
    grants.want(A, 10)
    assert grants.give(0.0).delays == {A: [0.0] * 3}
    assert grants.give(5.0).delays == {}
    grants.over(A, 2)
    assert grants.give(5.0).delays == {A: [0.0] * 2}
    assert (grants.in_flight, grants.wanted) == (3, 5)


def test_workers_take_turns() -> None:
    """One that wants much does not keep another waiting."""
    grants = Grants(0.0)
    grants.limit(math.inf, 4)
    grants.want(A, 100)
    grants.want(B, 2)
    assert grants.give(0.0).delays == {A: [0.0] * 2, B: [0.0] * 2}


def test_a_lost_worker_gives_its_places_back() -> None:
    """What it had in flight is free at once, what it waited for is forgotten, its times lapse."""
    grants = Grants(0.0)
    grants.limit(10, 2)
    grants.want(A, 50)
    first = grants.give(1.5).delays[A]
    assert first == pytest.approx([0.0, 0.1])
    grants.want(B, 1)
    assert grants.give(1.6).delays == {}
    grants.lose("tcp://a")
    # Not the time 1.6, which the lost worker may have used.
    assert grants.give(1.6).delays == {B: [pytest.approx(0.1)]}
    assert (grants.in_flight, grants.wanted) == (1, 0)


def test_a_pause_moves_all_times() -> None:
    """After a pause the times go on from its end, and a shorter pause does not shorten it."""
    grants = Grants(0.0)
    grants.limit(2, 100)
    cluster = Cluster(grants)
    grants.want(A, 100)
    cluster.step(3)
    grants.pause(10, 3.0)
    grants.pause(1, 3.0)
    before = len(cluster.sent) + len(cluster.due)
    cluster.step(20)
    assert cluster.sent[before] == pytest.approx(13)
    assert most_in_a_second(cluster.sent) <= 3


def test_a_time_that_lapses_is_not_given_again() -> None:
    """What is over makes place in flight, and the next time is a later one."""
    grants = Grants(0.0)
    grants.limit(1, 1)
    grants.want(A, 2)
    assert grants.give(2.0).delays == {A: [0.0]}
    grants.over(A, 1)
    assert grants.give(2.0) == attrs.evolve(grants.give(2.0), delays={}, again=0.5)
    assert grants.give(2.5).delays == {A: [0.5]}


@given(
    rate=st.floats(0.5, 50),
    concurrency=st.integers(1, 12),
    steps=st.lists(
        st.tuples(st.floats(0, 0.7), st.sampled_from([A, B]), st.integers(0, 9), st.integers(0, 9)),
        max_size=40,
    ),
    lost=st.sets(st.integers(0, 40)),
)
def test_never_more_than_the_limits(
    rate: float,
    concurrency: int,
    steps: list[tuple[float, Sender, int, int]],
    lost: set[int],
) -> None:
    """Whatever workers want, end and lose, no second has more than the rate and one."""
    grants = Grants(0.0)
    grants.limit(rate, concurrency)
    cluster = Cluster(grants)
    for number, (seconds, sender, wanted, over) in enumerate(steps):
        grants.want(sender, wanted)
        grants.over(sender, over)
        if number in lost:
            grants.lose(sender[0])
        cluster.step(seconds)
        assert grants.in_flight <= concurrency
    times = [*cluster.sent, *(at for at, _ in cluster.due)]
    assert most_in_a_second(times) <= rate + 1
    assert all(at >= AHEAD + 1 for at in times)


@pytest.mark.parametrize(("before", "seconds"), [(20.0, 1.0), (math.inf, 1.0), (20.0, 4.0)])
def test_a_lower_limit_begins_empty(before: float, seconds: float) -> None:
    """No second has times under both: what was granted under the higher one may still be used."""
    grants = Grants(0.0)
    grants.limit(before, 50)
    cluster = Cluster(grants, now=10.0)
    grants.want(A, 200)
    cluster.step(2.1)
    granted = [*cluster.sent, *(at for at, _ in cluster.due)]
    grants.limit(1 / seconds, 50)
    grants.over(A, 200)
    cluster.step(20)
    times = sorted([*cluster.sent, *(at for at, _ in cluster.due)])
    later = times[len(granted) :]
    assert later[0] == pytest.approx(max(12.1, max(granted) + seconds))
    assert most_in_a_second(later) == 1


def test_a_limit_outlives_the_pause_between_two_harvests() -> None:
    """Where the next harvest has the same limit nothing is waited for, and nothing is repeated."""
    grants = Grants(0.0)
    grants.limit(4, 50)
    cluster = Cluster(grants, now=5.0)
    grants.want(A, 3)
    cluster.step(2)
    grants.over(A, 3)
    grants.limit(math.inf, 0)
    grants.want(B, 9)
    assert grants.give(cluster.now).delays == {}
    grants.limit(4, 50)
    cluster.step(9)
    assert cluster.sent[3] == pytest.approx(7.0)
    assert most_in_a_second(cluster.sent) <= 5


def test_less_than_one_request_a_second() -> None:
    """At a rate of 0.25 two times lie four seconds apart, whoever gets them."""
    grants = Grants(0.0)
    grants.limit(0.25, 8)
    cluster = Cluster(grants)
    grants.want(A, 3)
    grants.want(B, 3)
    cluster.step(60)
    assert cluster.sent == pytest.approx([4.5 + 4 * number for number in range(6)])


def test_lateness_is_half_an_interval() -> None:
    """A time may be used half an interval late, but 25 ms at any rate, and a second at most."""
    assert [lateness(rate) for rate in (0.1, 1, 10, 1000)] == [1.0, 0.5, 0.05, 0.025]
    assert lateness(math.inf) == 0
