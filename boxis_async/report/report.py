"""A report of the calls of a range: it takes calls one by one, and gives a page or a dict."""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo
from typing import TYPE_CHECKING, Any, cast

from boxis_async import Call, UsageError, e164
from boxis_async.moments import read_date, read_zone
from boxis_async.report.counting import Counting
from boxis_async.report.figures import Figures, figures_of
from boxis_async.report.shown import Shown
from boxis_async.report.spans import Covered, make_range
from boxis_async.report.words import words_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Report", "render"]

_TOP = 15


class Report:
    """Counts the calls of a range, and writes the page of them: totals, charts, lists.

    Calls may come in whatever order, each once. Those of the span before are compared with, and
    those after the range show who was called back: `needs` says which to give. Memory grows with
    the numbers that called, and by some 40 bytes for each call.
    """

    def __init__(  # noqa: PLR0913 - each is one thing to set, by name
        self,
        datefrom: date,
        dateto: date,
        *,
        timezone: str | tzinfo = "Europe/Zurich",
        country: str = "CH",
        now: datetime | None = None,
        before: bool = True,
        top: int = _TOP,
    ) -> None:
        """Begin without a call.

        Args:
            datefrom: The start of the range, as `BoxisClient.calls` takes it.
            dateto: The end of the range, which is not in it.
            timezone: The zone of the calls, and of ends without one.
            country: The country that a number with a single leading 0 is of.
            now: The time of the report, aware; else the present. What lies behind it is not known.
            before: Whether the calls of the span before will be given too.
            top: How many numbers, lines and persons are listed.

        Raises:
            UsageError: An end is no date, the range is empty or longer than 50 years, there is no
                such zone or country, `now` is not aware, or `top` is less than 1.
        """
        present = datetime.now(UTC) if now is None else read_date("now", now)
        if not isinstance(present, datetime) or present.tzinfo is None:
            raise UsageError(f"now must be aware, with an offset or a zone, not {now!r}")
        if top < 1:
            raise UsageError(f"top must be 1 or more, not {top!r}")
        # It raises here rather than at the first call.
        e164("0", country)
        self._range = make_range(datefrom, dateto, read_zone(timezone))
        self._now = present.astimezone(self._range.zone)
        self._knows_before = before
        self._top = top
        self._gaps: list[tuple[datetime, datetime]] = []
        self._until = self._now.timestamp()
        self._after = self._range.after(self._now)
        self._is_file = False
        self._counting = Counting(self._range, country)

    @property
    def needs(self) -> tuple[datetime, datetime]:
        """From when to when calls are needed: the span before, the range, and a week after it.

        Give these two to `BoxisClient.iter_calls`.
        """
        first = self._range.before() if self._knows_before else self._range
        end = self._range.moment(self._range.dateto)
        return first.datefrom, self._range.dateto if self._after <= end else self._after

    def add(self, call: Call) -> None:
        """Count a call; one that is of no span that the report needs changes nothing."""
        self._counting.add(call)

    def lacks(self, datefrom: datetime, dateto: datetime) -> None:
        """Say that calls between two moments are not known, such as those of a failed window.

        Days with such a time are hatched, and the means leave it out.

        Args:
            datefrom: Its start: aware, or a reading of the provider's clock, as `Window` has it.
            dateto: Its end.
        """
        self._gaps.append((datefrom, dateto))

    def lacks_before(self) -> None:
        """Say that the calls of the span before are not known, so that nothing is compared."""
        self._knows_before = False

    def knows_from(self, moment: datetime) -> None:
        """Say that calls before a moment are not known.

        Args:
            moment: An aware moment.
        """
        first = self._range.moment(self._range.datefrom)
        if first.timestamp() < moment.timestamp():
            self._gaps.append((first, moment))

    def knows_until(self, moment: datetime) -> None:
        """Say that calls from a moment on are not known, if that is before the time of the report.

        Args:
            moment: An aware moment.
        """
        self._until = min(self._until, moment.timestamp())
        self._after = min(self._after, max(moment, self._range.moment(self._range.dateto)))

    def is_of_file(self) -> None:
        """Let the page say that the calls are from a file, which does not say what it covers."""
        self._is_file = True

    def html(self, *, language: str = "en", redact: bool = False, tenant: str = "") -> str:
        """Write the page: one file of HTML that loads nothing.

        A page of a month takes some 0.1 s; call it in a thread where others need the event loop:
        `await asyncio.to_thread(report.html)`. The same calls and the same `now` give the same
        text.

        Args:
            language: `"en"` or `"de"`.
            redact: Whether all but the last three digits of numbers are masked, and the names of
                callers left out.
            tenant: Whose calls they are, for the heading.

        Raises:
            MissingExtraError: Jinja is not installed; the message names the extra.
            UsageError: There is no such language.
        """
        words = words_of(language)
        # Here, so that to count and to give a dict needs no Jinja.
        from boxis_async.report.page import page  # noqa: PLC0415

        zone = self._range.zone
        return page(
            self._figures(),
            words,
            Shown(redact=redact),
            tenant=tenant,
            zone=str(getattr(zone, "key", zone)),
            is_file=self._is_file,
        )

    def to_dict(self, *, redact: bool = False) -> dict[str, Any]:
        """Give the same figures as a dict that `json.dumps` takes, with the keys of `boxis stats`.

        Args:
            redact: Whether numbers are masked and names left out, as on the page.
        """
        found = self._figures().to_dict()
        return _redacted(found, Shown(redact=True)) if redact else found

    def _figures(self) -> Figures:
        return figures_of(
            self._counting,
            self._range,
            covered=Covered(self._range, self._until, self._gaps),
            now=self._now,
            after=min(
                self._after, datetime.fromtimestamp(self._until, self._range.zone), self._now
            ),
            knows_before=self._knows_before,
            top=self._top,
        )


def render(  # noqa: PLR0913 - each is one thing to set, by name
    calls: Iterable[Call],
    datefrom: date,
    dateto: date,
    *,
    timezone: str | tzinfo = "Europe/Zurich",
    country: str = "CH",
    now: datetime | None = None,
    before: bool = False,
    top: int = _TOP,
    language: str = "en",
    redact: bool = False,
    tenant: str = "",
) -> str:
    """Write the page of calls that you have: one file of HTML that loads nothing.

    Args:
        calls: The calls, in whatever order, each once.
        datefrom: The start of the range.
        dateto: The end of the range, which is not in it.
        timezone: The zone of the calls, and of ends without one.
        country: The country that a number with a single leading 0 is of.
        now: The time of the report, aware; else the present.
        before: Whether the calls of the span before are among them, to compare with.
        top: How many numbers, lines and persons are listed.
        language: `"en"` or `"de"`.
        redact: Whether numbers are masked, and the names of callers left out.
        tenant: Whose calls they are, for the heading.

    Raises:
        MissingExtraError: Jinja is not installed; the message names the extra.
        UsageError: An argument is wrong, as `Report` has it.
    """
    report = Report(
        datefrom, dateto, timezone=timezone, country=country, now=now, before=before, top=top
    )
    for call in calls:
        report.add(call)
    return report.html(language=language, redact=redact, tenant=tenant)


_NAMES = frozenset({"name"})
_NUMBERS = frozenset({"number", "dialled", "answered_by", "party"})


def _redacted(found: dict[str, Any], shown: Shown) -> dict[str, Any]:
    return {key: _redacted_value(key, value, shown) for key, value in found.items()}


def _redacted_value(key: str, value: object, shown: Shown) -> Any:  # noqa: ANN401 - whatever JSON has
    if isinstance(value, dict):
        return _redacted(cast("dict[str, Any]", value), shown)
    if isinstance(value, list):
        return [_redacted_value(key, one, shown) for one in cast("list[object]", value)]
    if not isinstance(value, str):
        return value
    if key in _NAMES:
        return shown.name(value)
    return shown.text(value) if key in _NUMBERS else value
