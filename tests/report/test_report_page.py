"""The page of a report, as text: whole in itself, the same bytes each time, and harmless."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from legs import legs_of

from boxis_async import Call, MissingExtraError, group_calls, printable
from boxis_async.report import Report, render
from boxis_async.report.words import LANGUAGES, words_of
from boxis_async.testing import generate_calls

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
NASTY = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "\"'><b onclick=alert(1)>",
    "&lt;b&gt;{{ 7 * 7 }}{% raw %}",
    "\x1b[31mred\x1b[0m",
    "\u202egnitset\u202c",
    "a\u0000b\nc",
    "--></style><!--",
    "x" * 10_000,
)


@pytest.fixture(scope="module")
def calls() -> list[Call]:
    """Make up the calls of a month, and some around it."""
    rows = generate_calls(date(2026, 9, 1), date(2026, 11, 8), calls_per_day=12)
    return group_calls(legs_of(rows))


class Elements(HTMLParser):
    """Lists the elements of a page, with their attributes, and what stands in them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inside: dict[str, list[str]] = {"style": [], "script": []}
        self._open = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        del tag
        self._open = ""

    def handle_data(self, data: str) -> None:
        self.inside.get(self._open, self.texts).append(data)


def nasty_rows(names: Iterable[str]) -> list[dict[str, str | None]]:
    """Let every text of a record that reaches the page be one that a stranger chose."""
    return [
        {
            "uniqueid": f"sip-1.{number}",
            "start": f"2026-10-05 08:00:{number % 60:02}",
            "answer": f"2026-10-05 08:00:{number % 60:02}",
            "end": "2026-10-05 08:05:00",
            "clid": f'"{name}" <{name}>',
            "src": name,
            "dst": name,
            "firstdst": name,
            "userfield": f"[{('inbound', 'outbound', 'local')[number % 3]}]",
            "disposition": ("ANSWERED", "NO ANSWER", name or "x")[number // 3 % 3],
            "dstchannel": f"SIP/{name}-1",
            "wherelanded": name,
            "billsec": "290",
            "cc_country": name,
            "cc_network": name,
            "cc_cost": "0.10",
            "sequence": f"{number + 1}",
        }
        for number, name in enumerate(name for name in names for _ in range(9))
    ]  # fmt: skip


def check_harmless(page: str) -> Elements:
    """Find in a page no element, attribute or character that is not the template's."""
    found = Elements(page)
    for tag, attributes in found.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in {"src", "href", "action", "data", "formaction", "style"}:
                assert value is not None
                assert value.startswith("#") or (tag, value) == ("link", "data:,")
    tags = [tag for tag, _ in found.elements]
    assert tags.count("script") == tags.count("style") == 1
    assert not {"img", "iframe", "object", "embed", "video", "audio", "base"} & set(tags)
    assert [line[:99] for line in page.split("\n") if printable(line) != line] == []
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_names_show_as_text(language: str) -> None:
    """Whatever strangers write shows as text, cut where it is long, in each place of the page."""
    found = group_calls(legs_of(nasty_rows(NASTY)))
    page = render(found, OCTOBER, NOVEMBER, now=NOW, tenant=NASTY[0], language=language)
    elements = check_harmless(page)
    texts = "".join(elements.texts)
    assert "<script>alert(1)</script>" in texts
    assert "{{ 7 * 7 }}" in texts
    assert "\\u202egnitset" in texts
    assert f"{'x' * 59}…" in texts
    assert "x" * 61 not in page
    assert len(page) < 150_000


@settings(max_examples=15)
@given(names=st.lists(st.text(max_size=80), max_size=3))
def test_any_name_is_harmless(names: list[str]) -> None:
    """No text of a record becomes an element, an attribute or a control character."""
    rows = nasty_rows(name.encode("utf-8", "replace").decode() for name in names)
    check_harmless(render(group_calls(legs_of(rows)), OCTOBER, NOVEMBER, now=NOW))


def test_the_page_is_whole_in_itself(calls: list[Call]) -> None:
    """The page loads nothing, and its policy admits its one style and its one script alone."""
    page = render(calls, OCTOBER, NOVEMBER, now=NOW, before=True)
    found = check_harmless(page)
    assert not re.search(r"https?:|@import|@font-face|url\((?!#hatch)", page)
    (policy,) = (
        attributes["content"]
        for _, attributes in found.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    for kind in ("style", "script"):
        digest = hashlib.sha256("".join(found.inside[kind]).encode()).digest()
        assert f"{kind}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert "unsafe" not in policy
    assert not [name for _, attributes in found.elements for name in attributes if name == "style"]


def test_the_same_input_gives_the_same_bytes(calls: list[Call]) -> None:
    """The same calls and the same time give the same page; another time another one."""
    pages = {render(some, OCTOBER, NOVEMBER, now=NOW) for some in (calls, calls, calls[::-1])}
    assert len(pages) == 1
    assert render(calls, OCTOBER, NOVEMBER, now=datetime(2026, 12, 2, tzinfo=UTC)) not in pages


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_chart_has_a_name_and_a_table(calls: list[Call], language: str) -> None:
    """Each chart is an image with a name, and each table says what it is of."""
    page = render(calls, OCTOBER, NOVEMBER, now=NOW, language=language)
    found = Elements(page)
    charts = [
        attributes for tag, attributes in found.elements
        if tag == "svg" and attributes.get("role") == "img"
    ]  # fmt: skip
    assert [chart["id"] for chart in charts] == [
        *("days", "heat", "waited", "gave-up", "costs-chart", "at-once")
    ]
    ids = {attributes.get("id") for _, attributes in found.elements}
    assert {chart["aria-labelledby"] for chart in charts} <= ids
    tags = [tag for tag, _ in found.elements]
    assert tags.count("table") == tags.count("caption")
    # Both lists of waits have one table.
    assert tags.count("details") == len(charts) - 1


def test_words_are_there_in_each_language() -> None:
    """Each language has the same words, and fills the same places in them."""
    texts = {language: words_of(language).texts for language in LANGUAGES}
    for name, english in texts["en"].items():
        for language in LANGUAGES:
            other = texts[language][name]
            assert sorted(re.findall(r"{\w+}", other)) == sorted(re.findall(r"{\w+}", english))
    assert len({frozenset(words) for words in texts.values()}) == 1


def test_words_are_those_of_the_outcomes() -> None:
    """An outcome means on the page what the library says."""
    from boxis_async import Outcome  # noqa: PLC0415 - here alone

    for outcome in Outcome:
        assert words_of("en")[f"mean {outcome}"] == outcome.meaning
    assert words_of("en")["mean other"] == Outcome("SOMETHING").meaning


def test_numbers_and_dates_are_as_the_language_has_them(calls: list[Call]) -> None:
    """German has its own words, and writes thousands and per cent its way."""
    page = render(calls, OCTOBER, NOVEMBER, now=NOW, language="de")
    assert '<html lang="de">' in page
    for text in ("Oktober 2026", "Verpasst", "Do 1. Okt", "Di 1. Dez. 2026, 09:00", "\u202f%"):
        assert text in page
    assert words_of("de").number(1234567.5, 2) == "1’234’567.50"  # noqa: RUF001 - as there
    assert words_of("en").number(1234567.5, 2) == "1,234,567.50"


@pytest.mark.parametrize("language", LANGUAGES)
def test_redacted(calls: list[Call], language: str) -> None:
    """A redacted page holds no number of six digits or more, and no name of a caller."""
    report = Report(OCTOBER, NOVEMBER, now=NOW)
    for call in calls:
        report.add(call)
    numbers = {call.outside for call in calls} | {call.dialled for call in calls}
    names = {call.caller_name for call in calls} - {""}
    page = report.html(redact=True, language=language)
    shown = json.dumps(report.to_dict(redact=True), ensure_ascii=False)
    for text in (page, shown):
        assert not [number for number in numbers if len(number) > 5 and number in text]
        assert not [name for name in names if name in text]
        assert "•••" in text
    whole = report.html()
    assert [name for name in names if name in whole]


def test_a_report_without_jinja(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Jinja the error says which extra to install; figures need none."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    report = Report(OCTOBER, NOVEMBER, now=NOW)
    assert report.to_dict()["total"]["calls"] == 0
    with pytest.raises(MissingExtraError, match=r'pip install "boxis-async\[report\]"'):
        report.html()


def test_an_empty_report() -> None:
    """A range without calls has a page that says so."""
    page = render([], OCTOBER, NOVEMBER, now=NOW)
    assert "There are no calls in this range." in page
    assert "No call cost anything." in page


def test_a_long_range_stays_small() -> None:
    """A page of a year has weeks, and does not grow with the days or the calls."""
    rows = generate_calls(date(2025, 1, 1), date(2026, 1, 1), calls_per_day=3)
    page = render(group_calls(legs_of(rows)), date(2025, 1, 1), date(2026, 1, 1), now=NOW)
    assert "Calls by week" in page
    assert len(page.encode()) < 200_000


@pytest.mark.subprocess
def test_importing_the_wing_loads_no_jinja() -> None:
    """The wing is imported without Jinja, by the command line too."""
    code = "import sys, boxis_async.cli.main; print('jinja2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_missed_means_the_same_in_the_chart_as_above_it(calls: list[Call]) -> None:
    """The parts of each bar add up to its calls, and those that are missed to the missed calls."""
    page = render(calls, OCTOBER, NOVEMBER, now=NOW)
    bars = re.findall(
        r"<title>[^<:]*: (\d+) Calls; Answered (\d+), Missed, in a voicemail box (\d+), "
        r"Missed, in no voicemail box (\d+), Own calls, nobody reached (\d+)<",
        page,
    )
    assert len(bars) == 31
    of_days = [tuple(map(int, bar)) for bar in bars]
    by_day = {day: [c for c in calls if c.start.date() == day] for day in _days()}
    for (count, answered, in_box, in_none, own), found in zip(
        of_days, by_day.values(), strict=True
    ):
        assert count == len(found) == answered + in_box + in_none + own
        assert answered == sum(call.answered for call in found)
        assert in_box + in_none == sum(call.missed for call in found)
    assert sum(in_box for _, _, in_box, _, _ in of_days) > 0


def _days() -> list[date]:
    return [date(2026, 10, day) for day in range(1, 32)]
