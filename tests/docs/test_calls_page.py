"""The page of the web backend, in a real browser; the backend is started as a reader would.

Nothing here is asynchronous: Playwright's plain interface has an event loop of its own, in the
thread of the tests.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, TypeAlias

import pytest
from browsing import DESK, PHONE, backend
from calls import call
from playwright.sync_api import Browser, Page, ViewportSize, expect
from waiting import Gate

from boxis_async import e164
from boxis_async.testing import Fault, LoopbackServer, Provider, ServedProvider, generate_history

if TYPE_CHECKING:
    from collections.abc import Iterator

    from boxis_async.testing import Received, TrueCall

pytestmark = [pytest.mark.browser, pytest.mark.subprocess]

NASTY = call(
    "2026-10-14 22:50:00",
    clid='"<b onclick=alert(1)>=SUM(A1)</b> and a name that goes on and on" <0041445550199>',
    src="0041445550199",
    userfield="[inbound]",
    dstchannel="SIP/201-1",
    answer="2026-10-14 22:50:07",
    end="2026-10-14 23:52:10",
    billsec="3723",
    cc_cost="0.10",
    linkedid="nasty",
)
# So long that others, which start later, are complete before.
LONG = call(
    "2026-10-02 05:00:00",
    "long",
    userfield="[local]",
    src="201",
    clid='"Reception" <201>',
    dst="305",
    dstchannel="SIP/305-1",
    end="2026-10-02 23:00:00",
    billsec="64800",
)
HISTORY = generate_history(date(2026, 10, 1), date(2026, 10, 15), calls_per_day=6, seed=5)
ROWS = [*HISTORY.rows, NASTY, LONG]


@pytest.fixture(scope="module")
def provider() -> Provider:
    """Hold the calls of a fortnight."""
    return Provider(ROWS)


@pytest.fixture(scope="module")
def url(provider: Provider) -> Iterator[str]:
    """Serve the page, and behind it the provider."""
    with (
        LoopbackServer(provider) as server,
        backend("web_backend", ServedProvider(server.url, provider).environment) as (_, url),
    ):
        yield url


@pytest.fixture(params=[DESK, PHONE], ids=["desk", "phone"])
def size(request: pytest.FixtureRequest) -> ViewportSize:
    """Be the size of a window."""
    return request.param


@pytest.fixture
def page(browser: Browser, provider: Provider, url: str, size: ViewportSize) -> Iterator[Page]:
    """Open the page; whatever it complains of fails the test."""
    complaints: list[str] = []
    page = browser.new_page(viewport=size)
    page.on("pageerror", lambda error: complaints.append(f"{error}"))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.goto(url)
    yield page
    page.close()
    provider.gate = None
    provider.faults = []
    assert complaints == []


def ask(page: Page, first: str, last: str) -> None:
    page.get_by_label("From").fill(first)
    page.get_by_label("To").fill(last)
    page.get_by_role("button", name="Show").click()


Row: TypeAlias = tuple[str, ...]

ARROWS = {"inbound": "↘ ", "outbound": "↗ ", "local": "↔ "}


def shown(page: Page) -> list[Row]:
    """Read the rows of the table, each as the texts of its cells; a name is a text of its own."""
    script = """rows => rows.map(row => [...row.cells].flatMap(cell =>
        cell.className == "name"
            ? [cell.firstChild.textContent, cell.querySelector("small")?.textContent ?? ""]
            : [cell.textContent]))"""
    found = page.locator("tbody tr").evaluate_all(script)
    return [tuple(row) for row in found]


def length(time: timedelta) -> str:
    """Write a length of time as the page does."""
    seconds = int(time.total_seconds())
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def expected(truth: TrueCall) -> Row:
    """Tell what the page is to show of a call, by what happened in it."""
    is_outbound = truth.direction == "outbound"
    party = e164(truth.outside) or "unknown"
    if truth.direction == "local":
        party = f"{truth.caller_number or 'unknown'} → {truth.dialled or 'unknown'}"
    return (
        f"{truth.start:%Y-%m-%d %H:%M:%S}",
        ARROWS[truth.direction] + truth.direction,
        *(party, "" if is_outbound else truth.caller_name),
        truth.outcome,
        "" if is_outbound else truth.answered_by,
        *(length(truth.recorded_wait), length(truth.recorded_talk)),
        f"{truth.cost}",
    )


def as_expected(row: Row) -> Row:
    """Write the number of a row as `expected` does."""
    time, direction, party, *rest = row
    return (time, direction, party if "local" in direction else e164(party), *rest)


# By hand, as the generator knows nothing of them.
SHOWN_NASTY = (
    *("2026-10-14 22:50:00", "↘ inbound", "0041445550199"),
    "<b onclick=alert(1)>=SUM(A1)</b> and a name that goes on and on",
    *("ANSWERED", "201", "0:00:07", "1:02:03", "0.10"),
)
SHOWN_LONG = (
    *("2026-10-02 05:00:00", "↔ local", "201 → 305", "Reception"),
    *("ANSWERED", "305", "0:00:00", "18:00:00", "0"),
)


def calls_before(day: str) -> list[Row]:
    """List what the page is to show of the calls that start before a day, in order."""
    own = [as_expected(SHOWN_NASTY), SHOWN_LONG]
    return sorted(row for row in [*map(expected, HISTORY.calls), *own] if row[0] < day)


def fits(page: Page) -> bool:
    """Tell whether the page can be read without scrolling sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_the_calls_are_shown(page: Page) -> None:
    """The page shows each call as it happened, in order of time, as text, and how many."""
    ask(page, "2026-10-01", "2026-10-14")
    calls = calls_before("2026-10-15")
    missed = [row for row in calls if "inbound" in row[1] and row[4] != "ANSWERED"]
    assert missed
    expect(page.get_by_role("status")).to_have_text(
        f"Done: {len(calls)} calls, {len(missed)} missed."
    )
    assert fits(page)
    rows = shown(page)
    assert [row[0] for row in rows] == [row[0] for row in calls]
    assert sorted(map(as_expected, rows)) == calls
    assert SHOWN_NASTY in rows
    assert page.locator("tbody b").count() == 0
    expect(page.get_by_role("alert")).to_be_hidden()
    # The table becomes a list at 70rem, which are 1120 pixels.
    for width in (320, 800, 1120, 1121):
        page.set_viewport_size({"width": width, "height": 800})
        assert fits(page), width


def test_the_calls_are_shown_as_they_arrive(page: Page, provider: Provider) -> None:
    """What is complete is shown while more is awaited; a stopped list says that it is stopped."""
    gate = Gate(lambda received: str(received.dateto) > "2026-10-05 00:00:00")
    provider.gate = gate
    ask(page, "2026-10-01", "2026-10-14")
    three_days = calls_before("2026-10-04")
    expect(page.get_by_role("table")).to_contain_text(three_days[-1][0])
    expect(page.get_by_role("status")).to_contain_text("So far")
    rows = [as_expected(row) for row in shown(page)]
    assert sorted(rows)[: len(three_days)] == three_days
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert not gate.is_open
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status")).to_contain_text("Stopped after")
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    gate.open()
    ask(page, "2026-10-01", "2026-10-01")
    first_day = calls_before("2026-10-02")
    expect(page.get_by_role("status")).to_contain_text(f"Done: {len(first_day)} calls")


def test_a_failure_is_shown(page: Page, provider: Provider) -> None:
    """Where the provider fails, the page says that the list broke off, where, and why."""

    def fifth_day(received: Received) -> Fault | None:
        broken = str(received.dateto) > "2026-10-05 00:00:00"
        return Fault.refuse("out of <b>order</b>") if broken else None

    provider.faults = fifth_day
    ask(page, "2026-10-01", "2026-10-14")
    expect(page.get_by_role("alert")).to_contain_text("out of <b>order</b>")
    expect(page.get_by_role("alert")).to_contain_text("2026-10-04 19:59:59")
    expect(page.get_by_role("status")).to_contain_text("Failed after")
    rows = sorted(map(as_expected, shown(page)))
    three_days, complete = calls_before("2026-10-04"), calls_before("2026-10-04 20:00:00")
    assert rows[: len(three_days)] == three_days
    assert rows == complete[: len(rows)]
    assert fits(page)


@pytest.mark.parametrize("size", [PHONE], ids=["phone"])
def test_a_range_that_makes_no_sense_is_told(page: Page) -> None:
    """A range that the backend refuses is told in its words."""
    ask(page, "2026-10-14", "2026-10-01")
    expect(page.get_by_role("alert")).to_contain_text("'to' must lie 1 to 92 days after 'from'")
    assert fits(page)


@pytest.mark.parametrize("size", [PHONE], ids=["phone"])
def test_a_day_without_calls(page: Page) -> None:
    """No calls are told as such."""
    ask(page, "2026-09-01", "2026-09-01")
    expect(page.get_by_role("status")).to_have_text("Done: no calls.")
    expect(page.get_by_role("table")).to_be_hidden()


def test_a_backend_that_dies(browser: Browser) -> None:
    """Where the connection breaks, the page says that its list is not complete."""
    gate = Gate(lambda received: str(received.dateto) > "2026-10-05 00:00:00")
    provider = Provider(ROWS, gate=gate)
    with (
        LoopbackServer(provider) as server,
        backend("web_backend", ServedProvider(server.url, provider).environment) as (process, url),
        browser.new_page() as page,
    ):
        page.goto(url)
        ask(page, "2026-10-01", "2026-10-14")
        expect(page.get_by_role("status")).to_contain_text("So far")
        process.kill()
        expect(page.get_by_role("status")).to_contain_text("not complete")
        expect(page.get_by_role("alert")).to_be_visible()
