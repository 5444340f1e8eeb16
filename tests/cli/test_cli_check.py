"""`boxis check`: each step, what is wrong with it, and the exit code."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from commands import invoke

from boxis_async import CDR
from boxis_async.cli.zone_check import check_zone
from boxis_async.testing import Fault, Provider

if TYPE_CHECKING:
    from boxis_async.testing import LoopbackServer, Row

ZURICH = ZoneInfo("Europe/Zurich")


def lately(zone: ZoneInfo, *, late: int = 0) -> Row:
    """Make a record of an hour ago, as a provider in some zone writes it."""
    began = datetime.now(UTC) - timedelta(hours=1)
    start = began.astimezone(zone) + timedelta(seconds=late)
    return {
        "uniqueid": f"sip01-{int(began.timestamp())}.{late}",
        "start": f"{start:%Y-%m-%d %H:%M:%S}",
        "sequence": f"{late}",
    }


def test_all_is_well(served: Provider) -> None:
    """Each step says what was found, and of the key only that it is set; one request is sent."""
    served.add(*(lately(ZURICH, late=late) for late in (0, 1, 2, 1800)))
    result = invoke("check")
    assert result.exit_code == 0, result.output
    lines = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
    assert [sign for sign, _ in lines] == ["✓"] * 10
    for text in (
        f"username    {served.username} (BOXIS_USERNAME)",
        "API key     set (BOXIS_API_KEY)",
        "Europe/Zurich (default)",
        "accepted; 4 records",
        "Europe/Zurich fits 4 records",
        "clock       within",
    ):
        assert text in result.stdout
    assert served.api_key not in result.output
    assert len(served.requests) == 1


def test_the_zone(served: Provider) -> None:
    """The records show that another zone is set than theirs, and which offset they look like."""
    served.add(*(lately(ZoneInfo("Asia/Kolkata"), late=late) for late in range(3)))
    # In India it is later than here: their last hours lie in our future.
    result = invoke("check", "--timezone", "UTC")
    assert result.exit_code in (0, 2)
    result = invoke("check", "--timezone", "Asia/Karachi")
    assert result.exit_code == 2
    assert "look like UTC+05:30, but Asia/Karachi is UTC+05:00" in result.stdout
    assert invoke("check", "--timezone", "Asia/Kolkata").exit_code == 0


def test_the_zone_without_calls(served: Provider) -> None:
    """Without calls the zone cannot be checked, and that is not an error."""
    result = invoke("check")
    assert result.exit_code == 0
    assert "cannot be checked: no calls" in result.stdout
    served.add(lately(ZURICH) | {"uniqueid": "none"})
    assert "cannot be checked: none of the records" in invoke("check").stdout


def test_the_clock(served: Provider) -> None:
    """A clock that is more than a minute off is reported, and in which direction."""
    served.clock_skew = -200
    result = invoke("check")
    assert result.exit_code == 5
    assert "s behind this computer's" in result.stdout
    assert "set this computer's clock" in result.stdout
    served.clock_skew = 4000
    assert "s ahead of this computer's" in invoke("check").stdout


@pytest.mark.parametrize(
    ("fault", "code", "text"),
    [
        (Fault.status(404), 4, "✗ server      HTTP status 404"),
        (Fault.refuse("authentication failed"), 3, "✗ credentials Error: authentication failed"),
        (Fault.refuse("not today"), 5, "✗ credentials Error: not today"),
        (Fault.html(), 5, "✗ answer"),
        (Fault.disconnect(), 4, "✗ server"),
    ],
)
def test_what_is_wrong(served: Provider, fault: Fault, code: int, text: str) -> None:
    """A failure is reported at its step, with what to do, and decides the exit code."""
    served.faults = lambda _: fault
    result = invoke("check")
    assert result.exit_code == code
    assert text in result.stdout
    assert "  → " in result.stdout


def test_nobody_listens() -> None:
    """No server at the address is a network fault."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    env = {
        "BOXIS_USERNAME": "me@example.com",
        "BOXIS_API_KEY": "k",
        "BOXIS_TENANT": "VOICE-1-1",
        "BOXIS_BASE_URL": f"http://127.0.0.1:{port}/",
    }
    result = invoke("check", env=env)
    assert result.exit_code == 4
    assert "✗ server" in result.stdout


def test_what_is_missing(served: Provider) -> None:
    """All that is missing is reported at once; the first of it decides the exit code."""
    result = invoke("check", env={"BOXIS_API_KEY": None, "BOXIS_TENANT": None})
    assert result.exit_code == 2
    assert "✗ tenant      none" in result.stdout
    assert "✗ credentials no API key" in result.stdout
    assert invoke("check", env={"BOXIS_API_KEY": None}).exit_code == 3
    assert not served.requests


def test_wrong_credentials(server: LoopbackServer, served: Provider) -> None:
    """A wrong key is refused, and reported as wrong credentials."""
    result = invoke("check", "--key", "-", input="nonsense\n", env={"BOXIS_API_KEY": None})
    assert result.exit_code in (3, 5)
    assert "✗ credentials" in result.stdout
    assert "nonsense" not in result.output
    assert server.url
    assert served.refusals


def test_verbose_logs_each_request(served: Provider) -> None:
    """`--verbose` logs each request to standard error, and no secret."""
    result = invoke("check", "-v")
    assert "attempt 1: status 200" in result.stderr
    assert "attempt 1" not in invoke("check").stderr
    assert served.api_key not in result.output


def test_most_records_decide() -> None:
    """Later legs begin long after the epoch of their caller's channel; most records decide."""
    began = datetime(2026, 10, 1, 10, tzinfo=ZURICH)
    epoch = int(began.timestamp())
    cdrs = [
        CDR(uniqueid=f"sip01-{epoch}.{late}", start=began + timedelta(minutes=late))
        for late in (0, 1, 2, 90, 180)
    ]
    finding = check_zone(cdrs, ZURICH)
    assert finding is not None
    assert (finding.fits, finding.offset, finding.records) == (True, "+02:00", 5)
    elsewhere = check_zone(cdrs, ZoneInfo("America/St_Johns"))
    assert elsewhere is not None
    assert (elsewhere.fits, elsewhere.offset, elsewhere.expected) == (False, "+02:00", "-02:30")
    assert check_zone([CDR(uniqueid="a-1.2", start=began)], ZURICH) is None
    long_ago = check_zone([CDR(uniqueid="1000000000.1", start=began)], ZURICH)
    assert long_ago is not None
    assert long_ago.offset == "more than a day"
