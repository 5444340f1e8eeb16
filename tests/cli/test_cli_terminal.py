"""At a terminal: a progress bar, tables, and what is not written to a terminal."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from calls import call
from commands import WITHIN, environment

from boxis_async.testing import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from boxis_async.testing import Provider

# Absent where there are no pseudo-terminals.
pty = pytest.importorskip("pty")
fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")

WEEK = ("--from", "2025-10-01", "--to", "2025-10-08")


def _own_terminal() -> None:
    """Let Ctrl-C at the terminal end the command, wherever the tests were started."""
    # Without a terminal of its own Ctrl-C would be a letter.
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # A shell starts what runs in the background so that it ignores this, and so would the command.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def at_terminal(*arguments: str, typed: bytes = b"", **env: str) -> tuple[int, str]:
    """Run a command whose three streams are a terminal, and give its code and screen."""
    here, there = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "boxis_async", *arguments],
        stdin=there, stdout=there, stderr=there, close_fds=True, start_new_session=True,
        env=environment(**({"TERM": "xterm-256color", "LINES": "24"} | env)),
        preexec_fn=_own_terminal,  # noqa: PLW1509 - it takes no lock
    )  # fmt: skip
    os.close(there)
    shown = b""
    try:
        while select.select([here], [], [], WITHIN)[0]:
            try:
                part = os.read(here, 65536)
            except OSError:  # Linux: the other end is closed
                break
            if not part:
                break
            shown += part
            if typed and b": " in shown:
                os.write(here, typed)
                typed = b""
        return process.wait(WITHIN), shown.decode()
    finally:
        process.kill()
        process.wait()
        os.close(here)


@pytest.mark.subprocess
def test_the_progress_bar(served: Provider, tmp_path: Path) -> None:
    """An export shows windows, records and the share that is done; --quiet shows nothing."""
    served.latency = 0.15
    options = ("--concurrency", "1", "--window", "1d")
    code, shown = at_terminal("export", *WEEK, "-o", "calls.csv", *options)
    assert code == 0
    assert "━" in shown
    assert "/7 windows" in shown
    assert "records, " in shown
    assert (tmp_path / "calls.csv").exists()
    served.latency = 0
    code, shown = at_terminal("export", *WEEK, "-o", "other.csv", "--quiet", "--unique-by", "leg")
    assert (code, shown) == (0, "")


@pytest.mark.subprocess
def test_the_progress_bar_of_a_mirror(served: Provider) -> None:
    """A sync shows whose calls it fetches, and then what it did."""
    code, shown = at_terminal("mirror", "sync", "calls.db", *WEEK)
    assert code == 0
    assert f"{served.tenant} " in shown
    assert "━" in shown
    assert "100%" in shown
    assert f"{served.tenant}: {len(served.select())} new" in shown


@pytest.mark.subprocess
def test_the_progress_bar_shows_retries(served: Provider) -> None:
    """While no window is done, the bar shows that requests are sent again."""
    served.faults = [Fault.status(503, retry_after=1)]
    code, shown = at_terminal("export", *WEEK, "-o", "calls.csv")
    assert code == 0
    assert "1 sent again" in shown


@pytest.mark.subprocess
def test_the_progress_bar_obeys_nobody(served: Provider) -> None:
    """The provider's text is shown in the bar, and is neither markup nor a command."""
    body = json.dumps({"result": "0", "resulttxt": "[/b]\x1b]52;c;\x07\u202e"}).encode()
    served.faults = [Fault("status", code=503, headers=(("retry-after", "1"),), body=body)]
    code, shown = at_terminal("export", *WEEK, "-o", "calls.csv", COLUMNS="160")
    assert code == 0
    assert "1 sent again: " in shown
    assert "HTTP status 503: [/b]" in shown
    assert "\x1b]" not in shown
    assert "\u202e" not in shown


@pytest.mark.subprocess
def test_data_at_a_terminal_obeys_nobody(served: Provider) -> None:
    """CSV on a terminal, and a name in a table, are shown as harmless text."""
    evil = "\x1b]52;c;ZXZpbA==\x07\x9b31m\u202e"
    served.add(
        call("2025-10-02 08:00:00", clid=evil, src=evil, disposition=evil, userfield="[inbound]")
    )
    for arguments in (
        ("export", *WEEK, "-o", "-", "--quiet", "--unique-by", "leg"),
        ("export", *WEEK, "-o", "-", "--quiet", "--unique-by", "leg", "--format", "jsonl"),
        ("stats", *WEEK, "--by", "disposition", "--by", "number", "--top", "1000"),
    ):
        code, shown = at_terminal(*arguments)
        assert code == 0
        assert "\\u001b]52;c;ZXZpbA" in shown
        assert not any(one in shown for one in ("\x1b]52", "\x07", "\x9b", "\u202e"))


@pytest.mark.subprocess
def test_tables_at_a_terminal(served: Provider) -> None:
    """Tables are in colour, and the bar of the way there is cleared away."""
    code, shown = at_terminal("stats", *WEEK, "--by", "day")
    assert code == 0
    assert "\x1b[36m█" in shown
    assert served.requests


@pytest.mark.subprocess
def test_a_dumb_terminal(served: Provider) -> None:
    """A terminal that cannot move its cursor gets no bar."""
    code, shown = at_terminal("stats", *WEEK, TERM="dumb")
    assert code == 0
    assert "\x1b" not in shown
    assert served.requests


@pytest.mark.subprocess
def test_a_short_plan() -> None:
    """At a terminal the first and last windows are shown, and how many there are."""
    code, shown = at_terminal("plan", "--month", "2025-10")
    assert code == 0
    assert "21 more, --all" in shown
    assert "31 windows, a first guess" in shown
    assert "2025-10-15" not in shown
    assert "2025-10-15" in at_terminal("plan", "--month", "2025-10", "--all")[1]


@pytest.mark.subprocess
def test_where_to(served: Provider) -> None:
    """At a terminal an export needs `-o`; Parquet is never written to a terminal."""
    code, shown = at_terminal("export", *WEEK)
    assert code == 2
    assert "give -o FILE, or -o - for this terminal" in shown
    code, shown = at_terminal("export", *WEEK, "-o", "-", "--format", "parquet")
    assert code == 2
    assert "Parquet is not for a terminal" in shown
    assert not served.requests
    code, shown = at_terminal("export", *WEEK, "-o", "-")
    assert code == 0
    assert "uniqueid,start," in shown
    assert "━" not in shown


@pytest.mark.subprocess
def test_the_prompt_for_the_key_has_no_echo(served: Provider) -> None:
    """`--key -` prompts at a terminal, and shows nothing of what is typed."""
    key = served.api_key
    code, shown = at_terminal(
        "stats", *WEEK, "--key", "-", typed=f"{key}\n".encode(), BOXIS_API_KEY=""
    )
    assert code == 0
    assert "API key: " in shown
    assert key not in shown


@pytest.mark.subprocess
def test_ctrl_c_at_a_question() -> None:
    """Ctrl-C at the question ends it like any other."""
    given = ("stats", *WEEK, "--tenant", "t", "--username", "u")
    code, _ = at_terminal(*given, "--key", "-", typed=b"\x03")
    assert code == 130


@pytest.mark.subprocess
def test_long_messages_are_broken_between_words() -> None:
    """What is longer than a line of the terminal is broken where words end."""
    code, shown = at_terminal("plan", "--from", "soon")
    assert code == 2
    assert max(map(len, shown.splitlines())) <= 80
    assert "01.10.2026" in shown
    code, shown = at_terminal("stats", *WEEK, "--tenant", "VOICE-1-1")
    assert code == 3
    assert "or set BOXIS_USERNAME, BOXIS_API_KEY and BOXIS_TENANT" in " ".join(shown.split())
