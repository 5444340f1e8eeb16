"""The figures → one page of HTML, whole in itself, by Jinja with every text escaped.

The only module that imports Jinja. The page has one style and one script, and the policy in its
head admits these by their hashes and nothing else: even if a name of a caller became HTML, no
browser would run it or load anything for it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import attrs

from boxis_async import MissingExtraError, Outcome
from boxis_async.report import charts
from boxis_async.report.counting import DIRECTIONS
from boxis_async.report.figures import WITHIN, in_filter
from boxis_async.report.shown import Shown

if TYPE_CHECKING:
    from decimal import Decimal

    from boxis_async.call_stats import Totals
    from boxis_async.report.charts import Drawing
    from boxis_async.report.counting import Row, Slice
    from boxis_async.report.figures import Column, Figures, Line
    from boxis_async.report.words import Words

__all__ = ["page", "require_jinja"]

_PACKAGE: Final = "boxis_async.report"
_PARTS: Final = ("answered", "voicemail", "missed", "other")
"""The parts of a bar, from below: which classes they have."""


def require_jinja() -> Any:  # noqa: ANN401 - a module
    """Give Jinja.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import jinja2  # noqa: PLC0415 - an optional dependency
    except ImportError:
        raise MissingExtraError('A report needs Jinja: pip install "boxis-async[report]"') from None
    return jinja2


def page(  # noqa: PLR0913 - each is one thing to know, by name
    figures: Figures, words: Words, shown: Shown, *, tenant: str, zone: str, is_file: bool
) -> str:
    """Write the page.

    Args:
        figures: What it shows.
        words: In which language.
        shown: How it writes texts of strangers.
        tenant: Whose calls they are; may be empty.
        zone: The name of the zone.
        is_file: Whether the calls are from a file, which does not say what it covers.
    """
    require_jinja()
    template, style, script = _template()
    view = _View(figures, words, shown)
    html: str = template.render(
        f=figures,
        w=words,
        v=view,
        style=charts.Drawing(style),
        script=charts.Drawing(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        hatch=charts.HATCH,
        # A tenant's name may look like a number, and is no stranger's.
        tenant=Shown(redact=False).text(tenant),
        zone=zone,
        is_file=is_file,
    )
    return html


@cache
def _template() -> tuple[Any, str, str]:
    jinja2 = require_jinja()
    folder = files(_PACKAGE) / "templates"
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template, style, script = (
        (folder / name).read_text("utf-8") for name in ("report.html", "style.css", "script.js")
    )
    return environment.from_string(template), style, script


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


@attrs.frozen
class _Table:
    """A table of the page: its columns, and its rows as texts."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: int = 1
    """From which column on they are numbers."""
    keys: Sequence[int] = ()
    """By which number the script knows each row."""


@attrs.frozen
class _Listed:
    """A line of a list of calls, with what the filter needs."""

    cells: Sequence[str]
    direction: int
    line: int
    period: int


class _View:
    """Gives the template what it shows, in words and drawings."""

    def __init__(self, figures: Figures, words: Words, shown: Shown) -> None:
        self._f = figures
        self._w = words
        self._s = shown

    def redacts(self) -> bool:
        """Say whether numbers are masked."""
        return self._s.redacts

    # What stands at the top.

    def title(self) -> str:
        """Name the page."""
        return self._w.fill("calls_in", range=self._w.span(self._f.range))

    def span(self) -> str:
        """Name the range."""
        return self._w.span(self._f.range)

    def made(self) -> str:
        """Say when the page was made."""
        return self._w.fill("made", when=self._w.moment(self._f.now, year=True))

    def known(self) -> str:
        """Say for which spans the calls are known."""
        spans = self._f.spans
        if not spans:
            return self._w["known_none"]
        if self._f.is_whole:
            return self._w["known_all"]
        texts = [self._known_span(*span) for span in spans[:_MOST_SPANS]]
        more = ["…"] if len(spans) > _MOST_SPANS else []
        return self._w.fill("known_part", spans="; ".join(texts + more))

    def _known_span(self, first: float, last: float) -> str:
        ends = (datetime.fromtimestamp(end, self._f.range.zone) for end in (first, last))
        return " – ".join(map(self._moment, ends))  # noqa: RUF001 - a dash

    def _moment(self, moment: datetime) -> str:
        """Write a moment, with its year where that is not clear."""
        first, last = self._f.range.first_day().year, self._f.range.last_day().year
        return self._w.moment(moment, year=not first == last == moment.year)

    # The overview.

    def cards(self) -> list[dict[str, Any]]:
        """Give the large figures at the top."""
        w, total, before = self._w, self._f.total, self._f.before
        whole = self._f.is_whole
        inbound = dict(self._f.directions).get(0)
        answered = total.answered
        found = [
            ("calls", w.number(total.calls), self._a_day(), _rise(total, before, "calls")),
            (
                "answered",
                w.number(answered),
                self._share("of_calls", answered, total.calls),
                _rise(total, before, "answered"),
            ),
            (
                "missed",
                w.number(total.missed),
                self._share("of_inbound", total.missed, inbound.calls if inbound else 0),
                _rise(total, before, "missed"),
            ),
            (
                "voicemail",
                w.number(total.voicemail),
                self._share("of_calls", total.voicemail, total.calls),
                _rise(total, before, "voicemail"),
            ),
            (
                "talk",
                w.long_length(total.talk),
                w.fill("per_call", time=w.length(total.talk / answered)) if answered else "",
                _rise(total, before, "talk"),
            ),
            (
                "cost",
                w.money(total.cost),
                w.fill("each", cost=w.money(total.cost / total.calls)) if total.calls else "",
                _rise(total, before, "cost"),
            ),
        ]
        return [
            {
                "name": name,
                "label": w["talk_time" if name == "talk" else name],
                "value": value,
                "note": note,
                "change": "" if rise is None or not whole else w.change(rise),
                "before": self._before(name),
            }
            for name, value, note, rise in found
        ]

    def _a_day(self) -> str:
        days = sum(last - first for first, last in self._f.spans) / _DAY
        if days < 1:
            return ""
        return self._w.fill("a_day", calls=self._w.number(self._f.total.calls / days))

    def _share(self, name: str, part: int, whole: int) -> str:
        return self._w.fill(name, share=self._w.share(part / whole)) if whole else ""

    def _before(self, name: str) -> str:
        w, before = self._w, self._f.before
        if before is None:
            return ""
        value = getattr(before, name)
        if name == "talk":
            text = w.long_length(value)
        else:
            text = w.money(value) if name == "cost" else w.number(value)
        return w.fill("before", value=text, span=w.span(self._f.before_range))

    def directions(self) -> _Table:
        """Give the totals of each direction."""
        rows = [
            [self.direction(direction), *self._slice_cells(part)]
            for direction, part in self._f.directions
        ]
        keys = [direction for direction, _ in self._f.directions]
        return _Table([self._w["direction"], *self._slice_heads()], rows, keys=keys)

    def direction(self, number: int) -> str:
        """Name a direction."""
        way = DIRECTIONS[number]
        return self._w[way.value if way else "unknown"]

    def outcomes(self) -> list[tuple[str, str, str, str, Drawing]]:
        """Give each outcome: its word, what it means, its calls, their share, a small bar."""
        w, total = self._w, max(1, self._f.total.calls)
        return [
            (
                w.get(name, self._s.text(name)),
                w.get(f"mean {name}", w["mean other"]),
                w.number(one.calls),
                w.share(one.calls / total, 1),
                charts.meter(one.calls / total, _CLASSES.get(name, "other")),
            )
            for name, one in self._f.outcomes.items()
        ]

    # By day, week or month.

    def unit(self) -> str:
        """Give the key of the unit of the columns."""
        return self._f.unit

    def period(self, number: int) -> str:
        """Name a column."""
        period = self._f.columns[number].period
        last = period.end - timedelta(days=1)
        if self._f.unit == "day":
            return self._w.day(period.first)
        if self._f.unit == "month":
            return f"{self._w.month(period.first.month)} {period.first.year}"
        first = self._w.day(period.first, weekday=False)
        return f"{first} – {self._w.day(last, weekday=False, year=True)}"  # noqa: RUF001 - a dash

    def _label(self, number: int) -> tuple[str, bool]:
        """Give what stands below a column, and whether it is left out where room is short."""
        columns = self._f.columns
        first = columns[number].period.first
        if self._f.unit == "day":
            label = f"{first.day}"
            many = len(columns) > _DAYS_OF_MONTH
            return ("" if many and number % 2 else label), bool(number % (4 if many else 2))
        if self._f.unit == "week":
            last = columns[number].period.end - timedelta(days=1)
            new = last.day <= _WEEK or (number == 0 and first.day < 3 * _WEEK)
            return (self._w.month(last.month, long=False) if new else ""), last.month % 2 == 0
        every = max(1, -(-len(columns) // _MOST_LABELS))
        label = f"{first.month}/{first.year % 100:02}"
        return ("" if number % every else label), bool(number // every % 2)

    def calls_chart(self) -> Drawing:
        """Draw the calls by day."""
        w = self._w
        drawn = [
            charts.Bar(*self._label(at), self._bar_title(at), _parts(one.slice), one.covered >= 1)
            for at, one in enumerate(self._f.columns)
        ]
        return charts.bars(
            drawn, _PARTS, name="days", unit=w["calls"], text=w[f"by_{self._f.unit}"]
        )

    def _bar_title(self, number: int) -> str:
        w, column = self._w, self._f.columns[number]
        parts = ", ".join(
            f"{w[label]} {w.number(part)}"
            for label, part in zip(_PART_WORDS, _parts(column.slice), strict=True)
        )
        known = "" if column.covered >= 1 else f" ({w['hatched']})"
        return f"{self.period(number)}: {w.number(column.slice.calls)} {w['calls']}; {parts}{known}"

    def legend(self) -> list[tuple[str, str]]:
        """Give the parts of the bars: the class and the word of each."""
        return [(name, self._w[word]) for name, word in zip(_PARTS, _PART_WORDS, strict=True)]

    def has_unknown(self) -> bool:
        """Say whether a part of the range is not known."""
        return any(column.covered < 1 for column in self._f.columns)

    def columns(self) -> _Table:
        """Give the totals of each column."""
        rows = [
            [self.period(at), *self._column_cells(one)] for at, one in enumerate(self._f.columns)
        ]
        return _Table([self._w[self._f.unit], *self._slice_heads()], rows, keys=range(len(rows)))

    def _column_cells(self, column: Column) -> list[str]:
        if column.covered or column.slice.calls:
            cells = self._slice_cells(column.slice)
            return cells if column.covered >= 1 else [f"{cells[0]}*", *cells[1:]]
        return [self._w["not_known"], *[""] * (len(self._slice_heads()) - 1)]

    def _slice_heads(self) -> list[str]:
        names = ("number_of_calls", "answered", "missed", "voicemail", "machine", "talk", "cost")
        return [self._w[name] for name in names]

    def _slice_cells(self, part: Slice | Totals) -> list[str]:
        w = self._w
        counts = (part.calls, part.answered, part.missed, part.voicemail, part.machine)
        return [*map(w.number, counts), w.length(part.talk), w.money(part.cost)]

    # The heat map.

    def heat(self) -> Drawing:
        """Draw the heat map."""
        w, means = self._w, self._means()
        shades = charts.levels_of(means)
        cells = [
            (
                shade,
                self._mean(mean),
                f"{self._hour(at)}: {w['not_known'] if mean is None else self._mean(mean) or 0}",
            )
            for at, (mean, shade) in enumerate(zip(means, shades, strict=True))
        ]
        return charts.heat_map(
            cells,
            [w.weekday(day) for day in range(7)],
            [f"{hour}" for hour in range(24)],
            name="heat",
            text=w["heat"],
        )

    def _means(self) -> list[float | None]:
        return [self._f.mean(at) for at in range(len(self._f.hours))]

    def _mean(self, mean: float | None) -> str:
        if not mean:
            return ""
        return f"<{_TENTH}" if mean < _TENTH / 2 else self._w.number(mean, 1 if mean < _TEN else 0)

    def _hour(self, at: int) -> str:
        return f"{self._w.weekday(at // 24)} {at % 24:02}:00"

    def heat_peak(self) -> str:
        """Say when most calls come."""
        peak = self._f.peak
        if peak is None:
            return ""
        at, mean = peak
        hours = f"{at % 24:02}:00–{at % 24 + 1:02}:00"  # noqa: RUF001 - a dash
        return self._w.fill(
            "heat_peak",
            day=self._w.weekday(at // 24, long=True),
            hour=hours,
            calls=self._w.number(mean, 1),
        )

    def heat_table(self) -> _Table:
        """Give the figures of the heat map."""
        w = self._w
        rows = [
            [
                f"{hour:02}:00",
                *(
                    "–" if mean is None else w.number(mean, 1)  # noqa: RUF001 - a dash
                    for mean in (self._f.mean(24 * day + hour) for day in range(7))
                ),
            ]
            for hour in range(24)
        ]
        return _Table([w["hour"], *(w.weekday(day) for day in range(7))], rows)

    # Waiting.

    def waited(self) -> Drawing:
        """Draw within which time callers were answered."""
        return self._shares(self._f.answered_within, "answered", "waited", "waited_answered")

    def gave_up(self) -> Drawing:
        """Draw after which time callers gave up."""
        return self._shares(self._f.gave_up_within, "missed", "gave-up", "waited_gave_up")

    def _shares(self, found: Sequence[float], class_: str, name: str, text: str) -> Drawing:
        rows = [
            (self._w.fill("within", seconds=f"{seconds}"), share, self._w.share(share))
            for seconds, share in zip(WITHIN, found, strict=True)
        ]
        return charts.shares(rows, class_, name=name, text=self._w[text])

    def waits_table(self) -> _Table:
        """Give the figures of both."""
        w, f = self._w, self._f
        rows = [
            [w.fill("within", seconds=f"{seconds}"), w.share(one, 1), w.share(other, 1)]
            for seconds, one, other in zip(WITHIN, f.answered_within, f.gave_up_within, strict=True)
        ]
        return _Table([w["waiting"], w["waited_answered"], w["waited_gave_up"]], rows)

    # Missed calls.

    def reached(self) -> list[tuple[str, str, str, Drawing]]:
        """Give what became of the missed calls: in words, how many, their share, a small bar."""
        w, found = self._w, self._f.reached
        named = {
            "within_hour": (found.within_hour, "answered"),
            "within_day": (found.within_day, "answered"),
            "later": (found.later, "answered"),
            "rang_again": (found.rang_again, "voicemail"),
            "open": (found.open, "missed"),
            "hidden": (found.hidden, "other"),
        }
        total = max(1, found.missed)
        return [
            (w[name], w.number(calls), w.share(calls / total), charts.meter(calls / total, class_))
            for name, (calls, class_) in named.items()
        ]

    def until(self) -> str:
        """Say until when calls were looked at."""
        return self._moment(self._f.reached.until)

    def open_numbers(self) -> list[_Listed]:
        """List the numbers that nobody has talked with since they were missed."""
        w = self._w
        return [
            _Listed(
                [
                    self._moment(seen.start),
                    self._s.text(seen.number),
                    self._s.name(seen.name),
                    self._line(seen.line),
                    w.number(times),
                    w.length(seen.wait),
                ],
                0,
                in_filter(seen.line, self._f.filter_lines),
                self._period_of(seen.start),
            )
            for seen, times in self._f.reached.last
        ]

    def _line(self, number: str) -> str:
        return self._s.text(self._f.line_names.get(number, number))

    def _period_of(self, start: datetime) -> int:
        day = start.date()
        return sum(column.period.first <= day for column in self._f.columns) - 1

    # Who and where.

    def top(self, lines: Sequence[Line]) -> list[tuple[str, str, str, str, Drawing]]:
        """List numbers, lines or persons: the name, calls, missed, talk, a small bar."""
        w = self._w
        most = max((line.totals.calls for line in lines), default=1)
        return [
            (
                self._s.text(line.name),
                w.number(line.totals.calls),
                w.number(line.totals.missed),
                w.length(line.totals.talk),
                charts.meter(line.totals.calls / most),
            )
            for line in lines
        ]

    # Costs.

    def costs_chart(self) -> Drawing:
        """Draw the cost by day."""
        w = self._w
        drawn = [
            charts.Bar(
                *self._label(at),
                f"{self.period(at)}: {w.money(one.slice.cost)}",
                [float(one.slice.cost)],
                one.covered >= 1,
            )
            for at, one in enumerate(self._f.columns)
        ]
        return charts.bars(drawn, ["answered"], name="costs-chart", unit=w["cost"], text=w["costs"])

    def costs_table(self) -> _Table:
        """Give the cost of each column."""
        rows = [
            [self.period(at), self._w.money(one.slice.cost)]
            for at, one in enumerate(self._f.columns)
        ]
        return _Table([self._w[self._f.unit], self._w["cost"]], rows, keys=range(len(rows)))

    def not_worked_out(self) -> str:
        """Say of how many calls the cost is not worked out yet."""
        if not self._f.without_cost:
            return ""
        return self._w.fill(
            "not_worked_out",
            calls=self._w.number(self._f.without_cost),
            outbound=self._w.number(self._f.outbound_without_cost),
        )

    def places(self, *, networks: bool) -> list[tuple[list[str], list[str], Drawing]]:
        """List countries, or countries and networks: names, figures, a small bar."""
        found = self._f.networks if networks else self._f.countries
        most = max((place.cost for place in found), default=0) or 1
        return [
            (
                [
                    self._s.text(place.country) or self._w["no_place"],
                    *([self._s.text(place.network)] if networks else []),
                ],
                [self._w.number(place.calls), self._w.money(place.cost)],
                charts.meter(float(place.cost / most)),
            )
            for place in found
        ]

    # The longest and the dearest calls.

    def rows(self, rows: Sequence[Row]) -> list[_Listed]:
        """List calls."""
        w = self._w
        return [
            _Listed(
                [
                    self._moment(row.start),
                    self.direction(row.direction),
                    self._s.text(row.party),
                    self._s.name(row.name),
                    self._s.text(row.answered_by),
                    w.length(row.talk),
                    w.money(row.cost),
                ],
                row.direction,
                in_filter(row.line, self._f.filter_lines),
                self._period_of(row.start),
            )
            for row in rows
        ]

    # Calls at once.

    def at_once(self) -> str:
        """Say when most calls were there at once."""
        found = self._f.busiest
        if found is None:
            return ""
        return self._w.fill(
            "at_once_most",
            calls=self._w.number(found.calls),
            when=f"{self._w.day(found.start)}, {found.start:%H:%M:%S}",
            time=self._w.long_length(found.seconds),
        )

    def at_once_chart(self) -> Drawing:
        """Draw the busiest day."""
        found = self._f.busiest
        quarters: Sequence[int] = found.quarters if found else ()
        # By the clock; on a day on which that changes they stand a little off.
        labels = {hour / 24: f"{hour:02}:00" for hour in range(0, 24, 3)}
        return charts.steps(quarters, labels, name="at-once", text=self._w["busiest_day"])

    def at_once_table(self) -> _Table:
        """Give the most calls at once in each hour of that day."""
        found = self._f.busiest
        rows: list[list[str]] = []
        if found is not None:
            midnight = datetime.combine(found.start.date(), datetime.min.time(), found.start.tzinfo)
            for at in range(0, len(found.quarters), 4):
                moment = datetime.fromtimestamp(midnight.timestamp() + 900 * at, self._f.range.zone)
                most = max(found.quarters[at : at + 4])
                rows.append([f"{moment:%H:%M}", self._w.number(most)])
        return _Table([self._w["time"], self._w["most_at_once"]], rows)

    # The filter.

    def filter_lines(self) -> list[str]:
        """Name the lines that one can choose."""
        return [self._line(number) for number in self._f.filter_lines]

    def has_other_lines(self) -> bool:
        """Say whether there are lines beside these."""
        others = len(self._f.filter_lines)
        return any(line == others for _, _, line in self._f.cube)

    def has_no_direction(self) -> bool:
        """Say whether there are calls without a direction."""
        return any(direction == len(DIRECTIONS) - 1 for direction, _ in self._f.directions)

    def data(self) -> str:
        """Give the numbers that the filter needs, as JSON that has no texts but names of parts.

        `cube` has a row for each period, direction and line, with calls, answered, missed,
        voicemail, machine, missed in a voicemail box, talk and cost. `weeks` has one for each
        direction and line, with the calls in each hour of the week.
        """
        f = self._f
        cube = [
            [
                *place,
                *(part.calls, part.answered, part.missed, part.voicemail, part.machine),
                *(part.missed_box, round(part.talk), _short(part.cost)),
            ]
            for place, part in f.cube.items()
        ]
        weeks = [[*place, *week] for place, week in f.hours_by_filter.items()]
        return json.dumps(
            {
                "cube": cube,
                "weeks": weeks,
                "hours": [round(hours, 2) for hours in f.hours],
                "lines": len(f.filter_lines),
            },
            separators=(",", ":"),
        )


_DAY: Final = 86400
_MOST_SPANS: Final = 4
_MOST_LABELS: Final = 15
_DAYS_OF_MONTH: Final = 31
_WEEK: Final = 7
_TEN: Final = 10
_TENTH: Final = 0.1
_PART_WORDS: Final = ("answered", "missed_in_box", "missed_no_box", "not_reached")
_CLASSES: Final[dict[str, str]] = {
    Outcome.ANSWERED: "answered",
    Outcome.VOICEMAIL: "voicemail",
    Outcome.NO_ANSWER: "missed",
}


def _parts(part: Slice) -> list[float]:
    """Give the parts of a bar, which add up to all calls; the two in the middle are missed."""
    return [
        part.answered,
        part.missed_box,
        part.missed - part.missed_box,
        part.not_reached,
    ]


def _rise(total: Totals, before: Totals | None, name: str) -> float | None:
    """Give by how much a total grew since the span before; None where nothing can be said."""
    was = getattr(before, name) if before is not None else 0
    if not was:
        return None
    return float(getattr(total, name) / was) - 1


def _short(cost: Decimal) -> float:
    return round(float(cost), 5)
