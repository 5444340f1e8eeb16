"""The probe: find out, by a handful of requests, what the provider's two dates mean here.

The page of `getCDR` does not say. So we look at calls that are there. A baseline window at rest
shows some. Then we choose windows whose ends lie on starts and on ends of these calls, and compare
which calls come back with what each of the twenty rules predicts: see `_run/date_rules.py`. What
several rules that are left agree on is certain; what they differ in is unknown, and never guessed.

Every request that is sent counts, one that is sent again too. The parts come in the order of their
use: the rule, whether answers are cut off, the zone on the other side of a clock change.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import anyio

from boxis_async._checks import problem_with_date, problem_with_name
from boxis_async._http.request import Deadline
from boxis_async._plain import plain_date, plain_text
from boxis_async._probe.answers import (
    Answer,
    UsableCalls,
    cap_shown,
    cut_answers,
    keys_finding,
    known_calls,
    largest_whole,
    longest_call,
    order_of,
    whole_answers,
    zone_finding,
)
from boxis_async._probe.exact_windows import ExactWindows, NoRequestLeftError
from boxis_async._probe.next_window import next_window
from boxis_async._probe.places import (
    MANY_RECORDS,
    SETTLE,
    baselines,
    centre_of,
    other_side,
    widened,
    wider,
)
from boxis_async._run.date_rules import (
    ALL_RULES,
    RULES,
    WITHIN,
    admitting,
    remaining,
    rules_in,
)
from boxis_async._run.proofs import far_from
from boxis_async._wire.cooperative import Cooperative
from boxis_async.contract_model import Contract, Finding
from boxis_async.errors import (
    RefusedError,
    UsageError,
    WindowError,
)
from boxis_async.retry import is_cured_by_less

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from boxis_async._http.request import Options
    from boxis_async._http.requester import Requester
    from boxis_async._probe.answers import Purpose
    from boxis_async._run.date_rules import DateRule, Ends
    from boxis_async._wire.cooperative import Steps
    from boxis_async._wire.wallclock import WallClock
    from boxis_async.contract_model import Certainty, RowOrder
    from boxis_async.types import ReturnType

__all__ = ["probe"]

_SECOND: Final = timedelta(seconds=1)
_ENOUGH: Final = 12
"""Calls from which two further windows can nearly always be chosen that decide."""
_LONG: Final = 3 * _SECOND
"""A window fits strictly between the start and the end of such a call."""
_LAST_NEEDED: Final = 3
"""From this baseline on, a single call is enough: it takes more windows, but fewer requests than a
year of a quiet tenant would show calls."""
_RULE_WINDOWS: Final = 7


async def probe(  # noqa: PLR0913 - each is one thing that a probe needs
    requester: Requester,
    options: Options,
    wall_clock: WallClock,
    *,
    returntype: ReturnType,
    tenant: str | None,
    around: date | None,
    max_requests: int,
) -> Contract:
    """Probe what the provider's two dates mean; see `BoxisClient.probe`."""
    problems = (
        None if tenant else "no tenant: give tenant=, or set BOXIS_TENANT",
        problem_with_name(tenant, "tenant"),
        _problem_with_around(around),
        _problem_with_max_requests(max_requests),
    )
    if any(problems) or not tenant:
        raise UsageError(*filter(None, problems))
    tenant = plain_text(tenant)
    horizon = wall_clock.settled(requester.clock.earliest() - SETTLE.total_seconds())
    windows = baselines(
        horizon, centre_of(None if around is None else plain_date(around), wall_clock)
    )
    fetch = ExactWindows(requester, options, wall_clock, returntype, tenant, max_requests)
    run = _Probe(fetch, wall_clock)
    deadline = Deadline(options.deadline)
    with anyio.move_on_after(deadline.left()):
        await run.find_rule(windows)
        await run.find_cap(horizon)
        await run.find_zone()
        return await run.contract()
    raise deadline.error(f"the probe of tenant {tenant}", fetch.counts)


def _problem_with_around(around: object) -> str | None:
    if around is None or isinstance(around, date):
        return problem_with_date(around, "around")
    return f"around must be a datetime, a date or None, not {around!r}"


def _problem_with_max_requests(most: object) -> str | None:
    if isinstance(most, int) and not isinstance(most, bool) and most > 0:
        return None
    return f"max_requests must be a whole number, one or more, not {most!r}"


class _Probe:
    """One probe: what was asked, what came back, and what follows from it."""

    def __init__(self, fetch: ExactWindows, wall_clock: WallClock) -> None:
        self._fetch = fetch
        self._zone = wall_clock.zone
        self._usable = UsableCalls(wall_clock.zone)
        self._cooperative = Cooperative()
        self._answers: list[Answer] = []
        self._baseline: Ends | None = None
        self._left = ALL_RULES
        self._spent = dict[str, int].fromkeys(("rule", "dates", "cap", "zone"), 0)
        self._are_dates_ignored: bool | None = None
        self._failure: str | None = None

    async def find_rule(self, baselines: Iterable[Ends]) -> None:
        """Find calls, then ask for windows that tell the rules apart."""
        await self._find_calls(baselines)
        for _ in range(_RULE_WINDOWS):
            if any(map(self._has_strangers, self._answers)):
                await self._check_whether_dates_are_ignored()
                return
            if self._left.bit_count() <= 1:
                return
            calls = known_calls(self._answers)
            asked = [answer.window for answer in self._answers]
            chosen = await self._cooperative.run(next_window(calls, self._left, asked))
            if chosen is None or await self._ask(chosen, "rule") is None:
                return

    async def _find_calls(self, baselines: Iterable[Ends]) -> None:
        """Ask for longer and longer windows, until they bring calls that tell rules apart."""
        for number, window in enumerate(baselines):
            answer = await self._ask(window, "rule")
            if answer is None or self._has_strangers(answer):
                return
            self._baseline = window
            usable = sum(end - start >= _LONG for start, end in known_calls(self._answers))
            if usable >= _ENOUGH or (usable and number >= _LAST_NEEDED):
                return

    async def find_cap(self, horizon: datetime) -> None:
        """Ask for a window with many records, then for its halves, which show what it lacks."""
        if not self._left or not any(map(len, self._answers)):
            return
        large = await self._find_many(horizon)
        if large is None:
            return
        for half in self._halves(large):
            if cut_answers(self._answers):
                break
            await self._ask(half, "cap")
        cap = cap_shown(self._answers)
        if cap is not None and not cap.is_sure:
            # A second answer that was cut at the same number makes it certain.
            await self._ask(widened(large.window, horizon), "cap")

    async def _find_many(self, horizon: datetime) -> Answer | None:
        """Give an answer with many records, by a longer window if need be; None if it failed."""
        widest = max(self._answers, key=_length)
        if len(widest) >= MANY_RECORDS:
            return widest
        window = wider(widest.window, len(widest), horizon)
        return widest if window == widest.window else await self._ask(window, "cap")

    async def find_zone(self) -> None:
        """Ask for calls on the other side of a clock change, unless some are there already."""
        found = await self._cooperative.run(zone_finding(self._answers, self._zone, 0))
        if found.certainty != "likely" or self._are_dates_ignored:
            return
        # Hours that had calls will have some in another season too.
        other = None if self._baseline is None else other_side(self._baseline, self._zone)
        if other is not None:
            await self._ask(other, "zone")

    async def contract(self) -> Contract:
        """Put together what was found."""
        return await self._cooperative.run(self._put_together())

    def _put_together(self) -> Steps[Contract]:
        rules = rules_in(self._left)
        rule = self._rule_finding(rules)
        include_from = self._bound_finding("include_from", [one.include_from for one in rules])
        include_to = self._bound_finding("include_to", [one.include_to for one in rules])
        yield
        dates = self._dates_finding()
        yield
        cap, row_cap, no_cap_up_to = self._cap_finding()
        yield
        order, has_many, order_evidence = yield from order_of(self._answers)
        keys = keys_finding(self._answers)
        yield
        zone = yield from zone_finding(self._answers, self._zone, self._spent["zone"])
        longest = longest_call(self._answers)
        return Contract(
            rule=rules[0].by if rule.certainty == "certain" else None,
            include_from=_as_bool(include_from.value),
            include_to=_as_bool(include_to.value),
            row_cap=row_cap,
            no_cap_up_to=no_cap_up_to,
            dates_ignored=_as_bool(dates.value),
            order=order,
            unique_keys=_as_bool(keys.value),
            longest_call=longest,
            findings=(
                rule,
                include_from,
                include_to,
                dates,
                cap,
                _order_finding(order, order_evidence, has_many=has_many),
                keys,
                _longest_finding(longest),
                zone,
                self._compression_finding(),
                self._clock_finding(),
                self._records_finding(),
            ),
        )

    async def _ask(self, window: Ends, purpose: Purpose) -> Answer | None:
        """Fetch a window; None if it cannot be had.

        Raises:
            WindowError: It failed for good, and a smaller one would have failed too; or it was the
                first.
        """
        before = self._fetch.allowance.sent
        try:
            records = await self._fetch.fetch(window)
        except NoRequestLeftError:
            return None
        except WindowError as error:
            is_refused = isinstance(error.cause, RefusedError)
            is_spent = not self._fetch.allowance.left
            if not self._answers or is_refused or not (is_spent or is_cured_by_less(error.cause)):
                raise
            # Only what kind of error it was: its text is the provider's, and may hold anything.
            kind = type(error.cause).__name__
            self._failure = f"a window of {window[1] - window[0]} failed: {kind}"
            return None
        finally:
            self._spent[purpose] += self._fetch.allowance.sent - before
        calls = await self._cooperative.run(self._usable.of(records.cdrs))
        answer = Answer(window, purpose, records.cdrs, calls)
        self._answers.append(answer)
        self._left = await self._cooperative.run(self._rules_left())
        return answer

    def _has_strangers(self, answer: Answer) -> bool:
        """Report whether an answer holds a record that no rule admits."""
        return any(not admitting(call, answer.window) for call in answer.calls)

    async def _check_whether_dates_are_ignored(self) -> None:
        """Ask for a window more than a year away from all that came."""
        calls = known_calls(self._answers)
        far = await self._ask(far_from(calls), "dates")
        if far is not None:
            self._are_dates_ignored = not calls.isdisjoint(far.calls)

    def _rules_left(self) -> Steps[int]:
        known = known_calls(self._answers)
        whole = whole_answers(self._answers)
        left = ALL_RULES
        for answer in self._answers:
            yield
            left &= remaining(answer.window, answer.calls, known, is_whole=answer in whole)
        return left

    def _halves(self, whole: Answer) -> list[Ends]:
        """Give two parts of a window, each with about half of its records, the longer one first.

        Of an answer that was cut, the records that it lacks lie in the longer one.
        """
        starts = sorted(start for start, _ in whole.calls)
        if not starts:
            return []
        begin, end = whole.window
        middle = min(max(starts[len(starts) // 2], begin + _SECOND), end - _SECOND)
        overlap = self._overlap()
        halves = [(begin, min(middle + overlap, end)), (middle, end)]
        return sorted(halves, key=lambda half: half[0] - half[1])

    def _overlap(self) -> timedelta:
        """Give by how much two parts must overlap to have each record between them.

        A second, as both bounds may be exclusive. Where a record must lie within a window as a
        whole, the longest that is known.
        """
        if self._left & WITHIN:
            return _SECOND + (longest_call(self._answers) or timedelta(0))
        return _SECOND

    def _rule_finding(self, rules: Sequence[DateRule]) -> Finding:
        spent = self._spent["rule"]
        windows = sum(answer.purpose == "rule" for answer in self._answers)
        known = len(known_calls(self._answers))
        seen = f"{_counted(windows, 'window')} and {_counted(known, 'call')}"
        if self._are_dates_ignored:
            return Finding("rule", None, "unknown", "the dates are ignored", spent)
        if not rules:
            evidence = f"{seen}: none of the {len(RULES)} known rules gives what came back"
            return Finding("rule", None, "unknown", evidence, spent)
        by = sorted({rule.by for rule in rules})
        if len(by) == 1:
            return Finding(
                "rule", by[0], "certain",
                f"{seen}: no other rule gives what came back", spent,
            )  # fmt: skip
        evidence = f"{seen} leave {', '.join(by)}{self._why_not()}"
        return Finding("rule", None, "unknown", evidence, spent)

    def _bound_finding(self, name: str, values: Sequence[bool]) -> Finding:
        found = set(values)
        if len(found) == 1:
            evidence = f"so it is by each rule that is left ({len(values)} of {len(RULES)})"
            return Finding(name, values[0], "certain", evidence)
        what = "no call decides it" if found else "no known rule is left"
        return Finding(name, None, "unknown", f"{what}{self._why_not() if found else ''}")

    def _dates_finding(self) -> Finding:
        spent = self._spent["dates"]
        if self._are_dates_ignored is not None:
            evidence = "a window more than a year away from every known call has " + (
                "some of them" if self._are_dates_ignored else "none of them"
            )
            return Finding("dates_ignored", self._are_dates_ignored, "certain", evidence, spent)
        known = known_calls(self._answers)
        whole = whole_answers(self._answers)
        lacking = max((len(known - answer.calls) for answer in whole), default=0)
        if lacking and not any(map(self._has_strangers, self._answers)):
            evidence = f"an answer lacks {lacking:,} of {_counted(len(known), 'known call')}"
            return Finding("dates_ignored", value=False, certainty="certain", evidence=evidence)
        return Finding("dates_ignored", None, "unknown", f"no answer tells{self._why_not()}", spent)

    def _cap_finding(self) -> tuple[Finding, int | None, int]:
        """Give what was found of a cap; the cap; and how many records are known not to be cut."""
        spent = self._spent["cap"]
        cap = cap_shown(self._answers)
        if cap is None:
            return self._no_cap_finding()
        if not self._left:
            evidence = "answers differ in ways that no known rule explains"
            return Finding("row_cap", None, "unknown", evidence, spent), None, 0
        if any(len(answer) > cap.records for answer in self._answers):
            evidence = f"an answer of {cap.records:,} records was cut off, and another one has more"
            return Finding("row_cap", None, "unknown", evidence, spent), None, 0
        evidence = f"an answer of {cap.records:,} records lacks some that a part of its window has"
        if cap.is_sure:
            evidence += f"; another one has {cap.records:,} records too"
        certainty: Certainty = "certain" if cap.is_sure else "likely"
        return Finding("row_cap", cap.records, certainty, evidence, spent), cap.records, 0

    def _no_cap_finding(self) -> tuple[Finding, None, int]:
        spent = self._spent["cap"]
        most = largest_whole(self._answers, overlap=self._overlap())
        if not most:
            evidence = f"no answer was compared with its parts{self._why_not()}"
            return Finding("row_cap", None, "unknown", evidence, spent), None, 0
        evidence = f"an answer of {most:,} records lacks none that its parts have"
        return Finding("row_cap", f"none up to {most}", "certain", evidence, spent), None, most

    def _compression_finding(self) -> Finding:
        found = self._fetch.compression
        if found is None:
            return Finding("compression", None, "unknown", "no answer came")
        value = found if found not in {"", "identity"} else "none"
        return Finding("compression", value, "certain", "the latest answer's Content-Encoding")

    def _clock_finding(self) -> Finding:
        offset = self._fetch.clock_offset
        if offset is None:
            return Finding("clock_offset", None, "unknown", "no answer has a timestamp")
        evidence = "by so much the provider's clock is ahead, by the latest answer"
        return Finding("clock_offset", round(offset, 1), "certain", evidence)

    def _records_finding(self) -> Finding:
        if not self._answers:
            return Finding("records", None, "unknown", f"no answer came{self._why_not()}")
        most = max(map(len, self._answers))
        first = min(answer.window[0] for answer in self._answers)
        last = max(answer.window[1] for answer in self._answers if answer.purpose != "dates")
        evidence = (
            f"in {_counted(len(self._answers), 'window')}, from {first} to {last}; the largest "
            f"answer has {most:,}"
        )
        return Finding("records", sum(map(len, self._answers)), "certain", evidence)

    def _why_not(self) -> str:
        reasons: list[str] = []
        if self._failure is not None:
            reasons.append(self._failure)
        if not self._fetch.allowance.left:
            reasons.append(f"all of the {self._fetch.allowance.most} requests were sent")
        if not known_calls(self._answers):
            reasons.append("there are no calls")
        return "".join(f"; {reason}" for reason in reasons)


def _order_finding(order: RowOrder | None, evidence: str, *, has_many: bool) -> Finding:
    certainty: Certainty = "unknown" if order is None else "certain" if has_many else "likely"
    return Finding("order", order, certainty, evidence)


def _longest_finding(longest: timedelta | None) -> Finding:
    if longest is None:
        return Finding("longest_call", None, "unknown", "no record has an end or a duration")
    evidence = f"the longest record that was seen took {longest}; others may take longer"
    return Finding("longest_call", int(longest.total_seconds()), "likely", evidence)


def _length(answer: Answer) -> timedelta:
    return answer.window[1] - answer.window[0]


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _as_bool(value: object) -> bool | None:
    return value if isinstance(value, bool) else None
