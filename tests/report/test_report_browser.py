"""The page of a report in a real browser, from a file, with the network cut off."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

import pytest
from browsing import DESK, PHONE
from legs import legs_of
from playwright.sync_api import Browser, Page, ViewportSize, expect

from boxis_async import group_calls
from boxis_async.call_stats import CallStats
from boxis_async.report import Report
from boxis_async.testing import generate_calls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.browser, pytest.mark.subprocess]

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
NOW = datetime(2026, 12, 1, 8, tzinfo=UTC)
NASTY = {
    "uniqueid": "sip-1.1",
    "linkedid": "nasty",
    "start": "2026-10-14 22:50:00",
    "answer": "2026-10-14 22:50:07",
    "end": "2026-10-15 03:52:10",
    "clid": '"<img src=https://example.com/x onerror=alert(1)></script>" <0041445550199>',
    "src": "0041445550199",
    "firstdst": "0041445550101",
    "userfield": "[inbound]",
    "disposition": "ANSWERED",
    "dstchannel": "SIP/201-1",
    "billsec": "18123",
    "cc_cost": "9.10",
    "sequence": "1",
}
CALLS = group_calls(
    legs_of([*generate_calls(date(2026, 9, 1), date(2026, 11, 8), calls_per_day=12), NASTY])
)
STATS = CallStats()
STATS.add(call for call in CALLS if OCTOBER <= call.start.date() < NOVEMBER)
SECTIONS = 9


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write the page to a file."""
    report = Report(OCTOBER, NOVEMBER, now=NOW)
    for call in CALLS:
        report.add(call)
    report.lacks(datetime(2026, 10, 9), datetime(2026, 10, 10))  # noqa: DTZ001 - a wall time
    path: Path = tmp_path_factory.mktemp("report") / "october.html"
    path.write_text(report.html(tenant="VOICE-29001-1"), "utf-8")
    return path.as_uri()


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def size(request: pytest.FixtureRequest) -> ViewportSize:
    """Be the size of a window."""
    size: ViewportSize = request.param
    return size


@pytest.fixture
def page(browser: Browser, url: str, size: ViewportSize) -> Iterator[Page]:
    """Open the page; a request, an error or a word on the console fails the test."""
    with browser.new_context(viewport=size, offline=True) as context:
        page = context.new_page()
        complaints: list[str] = []
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: complaints.append(f"{error}"))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(url)
        yield page
        assert requests == [url]
        assert complaints == []


def number(text: str) -> float:
    return float(re.sub(r"[^0-9.]", "", text))


def cards(page: Page) -> dict[str, str]:
    """Read the large figures."""
    found: dict[str, str] = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('.card [data-total]')]"
        ".map((one) => [one.dataset.total, one.textContent]))"
    )
    return found


def column_table(page: Page) -> list[list[str]]:
    """Read the table of days."""
    found: list[list[str]] = page.evaluate(
        "[...document.querySelectorAll('[data-by=period] tbody tr')]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return found


def choose(page: Page, **values: str) -> None:
    for name, label in values.items():
        page.select_option(f"select[name={name}]", label=label)


def test_figures_are_those_of_stats(page: Page) -> None:
    """The figures that one sees are those that `boxis stats` counts, in total and by day."""
    total, found = STATS.total, cards(page)
    assert number(found["calls"]) == total.calls
    assert number(found["answered"]) == total.answered
    assert number(found["missed"]) == total.missed
    assert number(found["voicemail"]) == total.voicemail
    assert number(found["cost"]) == float(round(total.cost, 2))
    days = {f"{day.day} {day:%b}": one for day, one in STATS.by_day().items()}
    rows = column_table(page)
    assert len(rows) == 31
    for day, *cells in rows:
        one = days[day.partition(" ")[2]]
        shown = [number(cell) for cell in cells[:5]]
        assert shown == [one.calls, one.answered, one.missed, one.voicemail, one.machine]


def test_nothing_is_cut_or_overlaps(page: Page) -> None:
    """Nothing is wider than the window, and no label of a chart covers another one."""
    width = page.viewport_size
    assert width is not None
    assert page.evaluate("document.documentElement.scrollWidth") == width["width"]
    overlaps = page.evaluate(
        """() => [...document.querySelectorAll("svg.chart")].flatMap((chart) => {
          const texts = [...chart.querySelectorAll("text")]
            .map((one) => ({ box: one.getBoundingClientRect(), text: one.textContent.trim() }))
            .filter(({ box, text }) => box.width && text);
          return texts.flatMap((one, at) => texts.slice(at + 1)
            .filter(({ box }) => box.left < one.box.right - 1 && one.box.left < box.right - 1
              && box.top < one.box.bottom - 3 && one.box.top < box.bottom - 3)
            .map(({ text }) => [chart.id, one.text, text]));
        })"""
    )
    assert overlaps == []


def test_days_that_are_not_known_are_hatched(page: Page) -> None:
    """A day without data is hatched, in both charts, and the legend says what that means."""
    assert page.locator("#days rect.unknown").count() == 1
    assert page.locator("#costs-chart rect.unknown").count() == 1
    assert page.locator(".legend").inner_text().endswith("Not known, or not whole")


def test_the_filter(page: Page) -> None:
    """The filter counts again by direction, line and day, and its reset brings everything back."""
    before, table, html = cards(page), column_table(page), page.inner_html("main")
    inbound = STATS.by_direction()["inbound"]
    choose(page, direction="Inbound")
    assert number(cards(page)["calls"]) == inbound.calls
    assert number(cards(page)["missed"]) == inbound.missed
    assert page.locator("[role=status]").inner_text().startswith(f"{inbound.calls} of ")
    assert sum(number(row[1]) for row in column_table(page)) == inbound.calls
    assert page.locator("#longest, #extremes .way:visible").all_inner_texts().count("Outbound") == 0
    line, totals = next(iter(STATS.by_dialled(1).items()))
    choose(page, line=line)
    assert number(cards(page)["calls"]) == totals.calls
    choose(page, direction="Outbound")
    assert cards(page)["calls"] == "0"
    choose(page, direction="All", line="All", period="Wed 14 Oct")
    assert number(cards(page)["calls"]) == STATS.by_day()[date(2026, 10, 14)].calls
    assert page.locator("#days .bar.off").count() == 30
    page.click("button[type=reset]")
    # An empty one has no place in the tree that readers of a screen get.
    expect(page.locator("[role=status]")).to_have_text("")
    assert (cards(page), column_table(page)) == (before, table)
    assert page.inner_html("main").replace(' class=""', "").replace("bar ", "bar") == html.replace(
        ' class=""', ""
    ).replace("bar ", "bar")


def test_without_script(browser: Browser, url: str, size: ViewportSize) -> None:
    """Without script the page has everything but the filter."""
    with browser.new_context(viewport=size, offline=True, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(url)
        assert not page.locator("form").is_visible()
        assert page.locator("section").count() == SECTIONS
        assert page.locator("[data-total=calls]").inner_text() == f"{STATS.total.calls:,}"


def test_a_hostile_name_is_text(page: Page) -> None:
    """The name of a caller is a text, in the list of the longest calls."""
    assert "<img src=https://example.com/x" in page.locator("#extremes").inner_text()
    assert page.locator("img").count() == 0


@pytest.mark.parametrize(("size", "scheme"), [(DESK, "light"), (PHONE, "dark")])
def test_anybody_can_use_it(
    browser: Browser, url: str, size: ViewportSize, scheme: Literal["light", "dark"]
) -> None:
    """The checks of axe-core find nothing, with all tables open."""
    axe = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
    with browser.new_context(viewport=size, offline=True, color_scheme=scheme) as context:
        page = context.new_page()
        page.goto(url)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        page.evaluate(axe)
        # Of a text in a chart axe cannot tell the ground, and takes long to say so.
        found = page.evaluate(
            "axe.run({ exclude: [['svg text']] }, { resultTypes: ['violations'] })"
        )
    assert found["passes"]
    assert json.dumps(found["violations"]) == "[]"


def test_on_paper(browser: Browser, url: str, tmp_path: Path) -> None:
    """Each section is one sheet of A4, in light colours, without what paper cannot do."""
    with browser.new_context(offline=True, color_scheme="dark") as context:
        page = context.new_page()
        page.goto(url)
        page.emulate_media(media="print", color_scheme="dark")
        assert not page.locator("form").is_visible()
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(23, 32, 43)"
        page.pdf(path=tmp_path / "a.pdf", prefer_css_page_size=True, print_background=True)
    paper = (tmp_path / "a.pdf").read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) == SECTIONS
    (box,) = set(re.findall(rb"/MediaBox\s*\[([^\]]+)\]", paper))
    assert [round(float(side)) for side in box.split()] == [0, 0, 595, 842]
