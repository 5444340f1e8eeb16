"""`boxis report`: a page, or its figures, from the provider or from an exported file."""

from __future__ import annotations

import json
import os
import stat
import sys
import webbrowser
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import boxis, invoke

from boxis_async.testing import Fault

if TYPE_CHECKING:
    from boxis_async.testing import Provider, Received

WEEK = ("--from", "2025-10-01", "--to", "2025-10-08")
NOW = ("--now", "2025-12-01 08:00")
FILES = {
    "legs.csv": (),
    "legs.jsonl": (),
    "legs.parquet": (),
    "spelled.csv": ("--formula-safe", "--delimiter", "semicolon", "--bom", "--decimal-comma"),
    "local.csv": ("--local-times", "--delimiter", "tab"),
    "calls.csv": ("--rows", "calls"),
    "calls.jsonl": ("--rows", "calls"),
    "calls.parquet": ("--rows", "calls"),
}


def comparable(found: Any) -> Any:  # noqa: ANN401 - whatever JSON has
    """Write costs as numbers: a Parquet file has more zeros."""
    if isinstance(found, dict):
        return {
            key: Decimal(value) if key == "cost" and isinstance(value, str) else comparable(value)
            for key, value in found.items()
        }
    return [comparable(one) for one in found] if isinstance(found, list) else found


def test_figures_are_those_of_stats(served: Provider) -> None:
    """What `stats --json` has, `report --json` has with the same values, and more."""
    report = json.loads(invoke("report", *WEEK, *NOW, "--json").stdout)
    stats = json.loads(invoke("stats", *WEEK, "--json").stdout)
    assert report["total"]["calls"] > 100
    same = ("from", "to", "timezone", "tenant", "total", "waiting", "by_day", "by_outcome")
    for name in (*same, "by_number", "by_dialled"):
        assert report[name] == stats[name], name
    assert report["by_answered_by"] == stats["by_answered_by"]
    assert report["tenant"] == served.tenant


def test_a_page_is_written(served: Provider, tmp_path: Path) -> None:
    """The page is a file for others to read, whole, and said on standard error."""
    target = tmp_path / "week.html"
    result = invoke("report", "-o", str(target), *WEEK, *NOW)
    assert result.exit_code == 0
    assert not result.stdout
    assert str(target) in result.stderr
    page = target.read_text("utf-8")
    assert served.tenant in page
    assert page.endswith("</html>\n")
    if sys.platform != "win32":
        umask = os.umask(0)
        os.umask(umask)
        assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask
    target.chmod(0o600)
    assert invoke("report", "-o", str(target), *WEEK, *NOW, "--quiet").stderr == ""
    assert target.read_text("utf-8") == page
    assert stat.S_IMODE(target.stat().st_mode) & 0o077 == 0
    assert [path.name for path in tmp_path.glob("*.html")] == ["week.html"]


@pytest.mark.usefixtures("served")
def test_standard_output_language_and_redaction(tmp_path: Path) -> None:
    """`-o -` writes the page to standard output, in the language and with the mask requested."""
    page = invoke("report", "-o", "-", *WEEK, *NOW, "--lang", "de", "--redact", "-q").stdout
    assert '<html lang="de">' in page
    assert "Nummern sind verdeckt" in page
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.usefixtures("served")
def test_the_page_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--open` opens the page in the browser, and says what to do where there is none."""
    opened: list[str] = []

    def opens(url: str) -> bool:
        opened.append(url)
        return len(opened) == 1

    monkeypatch.setattr(webbrowser, "open", opens)
    invoke("report", "--open", *WEEK, *NOW, "-q")
    (url,) = opened
    page = Path(url.removeprefix("file://"))
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")
    page.unlink()
    result = invoke("report", "--open", *WEEK, *NOW, "-q")
    assert "no browser was found" in result.stderr
    Path(opened[1].removeprefix("file://")).unlink()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Be a folder for exports."""
    return tmp_path_factory.mktemp("exports")


@pytest.mark.parametrize("name", FILES)
def test_a_file_gives_the_figures_of_the_provider(
    served: Provider, exported: Path, name: str
) -> None:
    """An export of legs or of calls, in each format and spelling, gives the same figures."""
    target = str(exported / name)
    reach = ("--from", "2025-09-24", "--to", "2025-10-15")
    invoke("export", "-o", target, *reach, "--unique-by", "leg", *FILES[name], "-q")
    asked = len(served.requests)
    of_file = json.loads(invoke("report", "--file", target, *WEEK, *NOW, "--json").stdout)
    assert len(served.requests) == asked
    of_provider = json.loads(invoke("report", *WEEK, *NOW, "--json").stdout)
    # A file knows nothing beyond its first and its last day.
    of_provider["before"] = of_provider["missed"]["until"] = None
    of_file["before"] = of_file["missed"]["until"] = None
    if name.startswith("calls"):
        # Which legs a call has, a file of calls does not say.
        of_provider = json.loads(json.dumps(of_provider, default=str), object_hook=_without_legs)
    assert comparable(of_file) == comparable(of_provider)


def _without_legs(found: dict[str, Any]) -> dict[str, Any]:
    if "legs" in found:
        found["legs"] = None
    if "by_country" in found:
        found |= {"by_country": [], "by_network": []}
    return found


def test_a_mirror_gives_the_figures_of_the_provider(served: Provider, exported: Path) -> None:
    """A mirror gives the same figures without a request; what it lacks is hatched, and partial."""
    database = str(exported / "mirror.db")
    invoke("mirror", "sync", database, "--from", "2025-09-20", "--to", "2025-10-20", "-q")
    asked = len(served.requests)
    of_mirror = invoke("report", "--database", database, *WEEK, *NOW, "--json", "-q")
    assert len(served.requests) == asked
    of_provider = invoke("report", *WEEK, *NOW, "--json", "-q")
    assert json.loads(of_mirror.stdout) == json.loads(of_provider.stdout)
    options = ("--from", "2025-10-15", "--to", "2025-10-25", *NOW, "-q")
    partial = invoke("report", "--database", database, *options, "-o", "-")
    assert partial.exit_code == 6
    # There is no chart of costs, as there are no calls.
    assert partial.stdout.count('<rect class="unknown"') == 5
    assert "mirror sync" in partial.stderr
    figures = json.loads(
        invoke("report", "--database", database, "--month", "2025-09", *NOW, "--json", "-q").stdout
    )
    assert figures["before"] is None
    assert figures["known"] == [["2025-09-20T00:00:00+02:00", "2025-10-01T00:00:00+02:00"]]


@pytest.mark.usefixtures("served")
def test_a_file_without_a_range(exported: Path) -> None:
    """Without a range the page is of the days that the file reaches over."""
    target = str(exported / "whole.csv")
    invoke("export", "-o", target, *WEEK, "--unique-by", "leg", "-q")
    found = json.loads(invoke("report", "--file", target, *NOW, "--json").stdout)
    assert (found["from"], found["to"]) == ("2025-10-01 00:00:00", "2025-10-08 00:00:00")
    month = json.loads(
        invoke("report", "--file", target, "--month", "2025-10", *NOW, "--json").stdout
    )
    assert month["known"] == [["2025-10-01T00:00:00+02:00", "2025-10-08T00:00:00+02:00"]]
    assert month["before"] is None
    page = invoke("report", "--file", target, "--month", "2025-10", *NOW, "-o", "-").stdout
    assert "A file does not say which days it covers" in page
    assert page.count('<rect class="unknown"') == 2 * 24


def test_failed_windows_are_hatched(served: Provider) -> None:
    """With --keep-going the days that could not be fetched are hatched, and the page is partial."""

    def fails(received: Received) -> Fault | None:
        late = "2025-10-03 07:00:00" < str(received.dateto) < "2025-10-03 21:00:00"
        return Fault.refuse("no such hours") if late else None

    served.faults = fails
    options = (*WEEK, *NOW, "--window", "6h", "--keep-going", "-q")
    result = invoke("report", "-o", "-", *options)
    assert result.exit_code == 6
    assert "The page is of a part of the range" in result.stderr
    assert result.stdout.count('<rect class="unknown"') == 2
    assert "not whole" in result.stdout
    figures = json.loads(invoke("report", "--json", *options).stdout)
    assert len(figures["known"]) == 2
    result = invoke("report", "-o", "-", *WEEK, *NOW, "--window", "6h", "-q")
    assert result.exit_code != 0
    assert not result.stdout


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (WEEK, "give -o FILE, --open or --json"),
        (("--json",), "which range"),
        ((*WEEK, "--json", "-o", "-"), "contradict"),
        ((*WEEK, "-o", "nowhere/a.html"), "does not exist"),
        ((*WEEK, "--json", "--now", "someday"), "is not a date"),
        ((*WEEK, "--json", "--file", "missing.csv"), "does not exist"),
        ((*WEEK, "--json", "--database", "missing.db"), "there is no mirror"),
        ((*WEEK, "--json", "--database", "a.db", "--window", "1h"), "for the provider"),
        ((*WEEK, "--json", "--database", "a.db", "--file", __file__), "contradict"),
        ((*WEEK, "--json", "--rejects", "r.jsonl"), "--keep-going"),
    ],
)
def test_options_that_make_no_sense(options: tuple[str, ...], words: str) -> None:
    """A wrong option is refused in words, with the exit code for it."""
    result = invoke("report", *options)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"start,src\n2025-10-01T00:00:00+02:00,1\n", "lacks"),
        ("a.jsonl", b"no json\n", "is no export"),
        ("a.jsonl", b"[1]\n", "no JSON object"),
        ("a.parquet", b"PAR1 no parquet", "is no export"),
        ("a.csv", b"\xff\xfe\x00", "is no export"),
        ("a.csv", b"", "has no calls"),
        ("a.xlsx", b"", "cannot be read back"),
        ("a.txt", b"", "does not show the format"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    """A file that is no export of ours is refused in words."""
    path = tmp_path / name
    path.write_bytes(content)
    result = invoke("report", "--json", "--file", str(path))
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())


@pytest.mark.subprocess
@pytest.mark.usefixtures("served")
def test_as_a_process(tmp_path: Path) -> None:
    """The command warns of nothing, and writes what it writes in this process."""
    target = tmp_path / "a.html"
    done = boxis("report", "-o", str(target), *WEEK, *NOW, "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert target.read_text("utf-8") == invoke("report", "-o", "-", *WEEK, *NOW, "-q").stdout
