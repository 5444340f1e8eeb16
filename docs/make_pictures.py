"""Draw what is in docs/pictures: the commands as they really look, at a terminal, and a report.

`nox -s recording` runs it. Each command is run at a pseudo-terminal, against a stand-in provider
on this machine, and what it prints is drawn. A further run draws the same, but for times and ports.
A report is opened in the Chromium of this machine; without one, its pictures stay as they are.
"""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

from boxis_async import BoxisClient, Contract
from boxis_async.report import Report
from boxis_async.testing import LoopbackServer, Provider, ServedProvider, generate_calls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from boxis_async.testing import Received

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
RUN = "from boxis_async.cli.entry import main; raise SystemExit(main())"
WIDTH, HEIGHT = 80, 24
MONTH = date(2026, 10, 1), date(2026, 11, 1)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Only on paper are there margins, and an end of the sheet.
SHEET = "body { padding: 14mm } section:not(:first-child), footer { display: none }"
LOOKS: dict[str, tuple[int, int, Literal["light", "dark"], Literal["screen", "print"]]] = {
    "report": (1280, 1250, "light", "screen"),
    "report-dark": (1280, 1100, "dark", "screen"),
    "report-phone": (390, 1320, "light", "screen"),
    "report-paper": (794, 1123, "light", "print"),
}
HELD = "2026-10-19"  # the first day whose request is not answered while the bar is looked at
CTRL_C, STOPPED = b"\x03", 130

# As in rich's own, but for its fonts: these would be loaded from the network.
SVG = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font: {char_height}px/{line_height}px ui-monospace, Menlo, Consolas, monospace;
  font-variant-ligatures: none;
}}
.{unique_id}-title {{ font: bold 18px sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Standin:
    """A provider of a month of calls that can be held in the middle of it."""

    def __init__(self) -> None:
        self.is_held = False
        rows = generate_calls(date(2026, 10, 1), date(2026, 11, 1), calls_per_day=150)
        self.provider = Provider(rows, latency=0.05, gate=self._gate)

    async def _gate(self, request: Received) -> None:
        # Not an event: it is let go from another thread.
        while self.is_held and (request.datefrom or "") >= HELD:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Session:
    """What stands on the screen after commands were typed, one after the other.

    Args:
        environment: Where the provider is.
        folder: Where the commands run.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = {
            **os.environ,
            **environment,
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm-256color",
            "COLORTERM": "",
            "XDG_CONFIG_HOME": str(folder),  # where no profile is
        }
        self._folder = folder
        self.screen = ""

    def type(self, command: str, *, until: str | None = None) -> str:
        """Run a command; once it shows a text, type Ctrl-C, and give what stood there then."""
        here, there = pty.openpty()
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        process = subprocess.Popen(  # noqa: S603 - our own commands
            [sys.executable, "-c", RUN, *command.split()[1:]],
            stdin=there,
            stdout=there,
            stderr=there,
            env=self._environment,
            cwd=self._folder,
            start_new_session=True,
            # Without a terminal of its own Ctrl-C would be a letter.
            preexec_fn=partial(fcntl.ioctl, 0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - takes no lock
        )
        os.close(there)
        shown = f"\x1b[1;32m$\x1b[0m \x1b[1m{command}\x1b[0m\n"
        stood = ""
        while True:
            try:
                part = os.read(here, 65536)
            except OSError:  # Linux: the other end is closed
                break
            if not part:
                break
            shown += part.decode("utf-8", "replace")
            if until is not None and not stood and until in on_screen(shown):
                stood = self.screen + on_screen(shown)
                os.write(here, CTRL_C)
        os.close(here)
        if process.wait() != (STOPPED if stood else 0):
            raise RuntimeError(f"{command} failed:\n{shown}")
        self.screen += on_screen(shown).rstrip() + "\n\n"
        return stood


def on_screen(shown: str) -> str:
    """Give what is left on the screen of all that was written to it, lines that were erased not."""
    lines: list[str] = []
    for line in re.sub(r"\x1b\[\?25[lh]", "", shown).replace("\r\n", "\n").split("\n"):
        while line.startswith("\r\x1b[1A\x1b[2K"):
            lines.pop()
            line = line.removeprefix("\r\x1b[1A\x1b[2K")  # noqa: PLW2901 - eaten from the left
        lines.append(line.rpartition("\r\x1b[2K")[2])
    return "\n".join(lines)


def draw(name: str, screen: str) -> None:
    """Draw a screen.

    Args:
        name: The picture's.
        screen: What stands on it, with the colours as a terminal has them.
    """
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="256"
    )
    for line in screen.rstrip().split("\n"):
        console.print(Text.from_ansi(line), soft_wrap=True, highlight=False)
    svg = console.export_svg(title="boxis", code_format=SVG, unique_id=name)
    # Bars of blocks are to have no gaps, whichever font there is.
    svg = svg.replace(" textLength=", ' lengthAdjust="spacingAndGlyphs" textLength=')
    (PICTURES / f"{name}.svg").write_text(svg, "utf-8")
    print(PICTURES / f"{name}.svg")


async def make_report() -> str:
    """Make the report of a month of 15,000 calls."""
    rows = generate_calls(date(2026, 9, 1), date(2026, 11, 8), calls_per_day=484)
    provider = Provider(rows)
    contract = Contract(rule="start", dates_ignored=False, no_cap_up_to=len(rows))
    report = Report(*MONTH, now=datetime(2026, 12, 1, 8, tzinfo=UTC))
    async with (
        provider.client() as http,
        BoxisClient(
            *(provider.username, provider.api_key),
            tenant=provider.tenant,
            http_client=http,
            contract=contract,
        ) as client,
    ):
        async for call in client.iter_calls(*report.needs):
            report.add(call)
    return report.html(tenant=provider.tenant)


def draw_report(folder: Path) -> None:
    """Open a report in each of its looks, and draw what one sees first."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        print(f"no report is drawn: none of {', '.join(BROWSERS)} is on the PATH")
        return
    path = folder / "report.html"
    path.write_text(asyncio.run(make_report()), "utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        for name, (width, height, scheme, media) in LOOKS.items():
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme=scheme,
                reduced_motion="reduce",
                bypass_csp=True,
            )
            page.emulate_media(media=media, color_scheme=scheme)
            # In the dark, the charts: the totals are in the first picture.
            page.goto(path.as_uri() + ("#by-period" if scheme == "dark" else ""))
            if media == "print":
                page.add_style_tag(content=SHEET)
            page.screenshot(path=PICTURES / f"{name}.png")
            print(PICTURES / f"{name}.png")
            page.close()
        browser.close()


def main() -> None:
    """Run the commands, and draw them."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        draw_report(Path(folder))
    standin = Standin()
    with tempfile.TemporaryDirectory() as folder, LoopbackServer(standin.provider) as server:
        environment = ServedProvider(server.url, standin.provider).environment

        session = Session(environment, Path(folder))
        session.type("boxis demo")
        draw("demo", session.screen)

        session = Session(environment, Path(folder))
        session.type("boxis stats --from 2026-10-05 --to 2026-10-12 --by day --by number --top 5")
        draw("stats", session.screen)

        session = Session(environment, Path(folder))
        standin.is_held = True
        export = "boxis export --month 2026-10 --unique-by leg --window 1d -o calls.csv"
        draw("progress", session.type(export, until="18/31 windows"))
        standin.is_held = False
        session.type("boxis export --resume -o calls.csv --window 1d")
        draw("export", session.screen)


if __name__ == "__main__":
    main()
