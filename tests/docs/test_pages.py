"""The documentation: each block is run, each link leads somewhere, the commands do what it says.

Blocks of a page share their names, as they would in one session. A block that calls `asyncio.run`
is a program, and runs in a process of its own; one whose first line is a file's name is that file.
A block of shell in which a line begins with `boxis` is run too. `boxis serve` goes on until the end
of the page, and the commands after it talk to it. A block of TOML is the command's profile file.
A block of text that follows is what was printed, where `…` stands for anything.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import importlib.util
import inspect
import io
import os
import re
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from clients import connected
from paths import ROOT

from boxis_async import BoxisClient
from boxis_async.testing import LoopbackServer, Provider, generate_calls

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    from boxis_async import CDR, Window

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
EXAMPLES = sorted((DOCS / "examples").glob("*.py"))
WANTED = [
    *(
        "index",
        "first-steps",
        "command-line",
        "exports",
        "report",
        "web-backend",
        "batch-job",
        "bot",
        "observability",
    ),
    *(
        "calls",
        "watch",
        "duplicates",
        "time",
        "errors",
        "resume",
        "mirror",
        "testing",
        "design",
        "performance",
    ),
    *("provider", "security", "guards", "probe", "glossary", "reference", "support", "changelog"),
    *("reference-client", "reference-values", "reference-errors", "fleet"),
]
OPTIONAL = (
    *(
        "aiosqlite",
        "click",
        "dask",
        "defusedxml",
        "distributed",
        "jinja2",
        "opentelemetry",
        "pyarrow",
    ),
    *("pydantic", "pytest", "rich", "sqlalchemy", "uvicorn", "uvloop"),
)

FENCE = re.compile(r"^```(?P<kind>\S*)[^\n]*\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ +(?P<text>.+?)\s*$", re.MULTILINE)
FILE_NAME = re.compile(r"# (?P<name>\w+\.py)\n")
COMMAND = re.compile(r"^boxis ", re.MULTILINE)
EXPORTED = re.compile(r"export (?P<name>\w+)=(?P<value>\S+)\n")


class Block:
    """One fenced block of a page, and the text that is to be printed by it, if any follows."""

    def __init__(self, page: Path, text: str, found: re.Match[str]) -> None:
        self.page = page
        self.kind = found["kind"]
        self.body = found["body"]
        self.line = text.count("\n", 0, found.start("body")) + 1
        self.is_alone = True
        self.printed: str | None = None

    def __repr__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def file_name(self) -> str | None:
        named = FILE_NAME.match(self.body)
        if named is not None:
            return named["name"]
        return f"program_{self.line}.py" if "asyncio.run(" in self.body else None


def blocks(page: Path) -> list[Block]:
    """List the fenced blocks of a page."""
    text = page.read_text("utf-8")
    found = list(FENCE.finditer(text))
    listed = [Block(page, text, match) for match in found]
    for before, after, block, following in zip(found, found[1:], listed, listed[1:], strict=False):
        if following.kind == "text" and not text[before.end() : after.start()].strip():
            block.printed = following.body
            following.is_alone = False
    return listed


def blocks_of_kind(kind: str, page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.kind == kind]


def prose(page: Path) -> str:
    """Give a page without its fenced blocks."""
    return FENCE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """List the fragments that the headings of a page make, and its explicit targets."""
    text = prose(page)
    return {
        re.sub(r"[^\w\- ]", "", heading["text"].lower()).replace(" ", "-")
        for heading in HEADING.finditer(text)
    } | set(re.findall(r"(?m)^\(([\w-]+)\)=$", text))


def check_printed(printed: str, block: Block) -> None:
    """Compare what was printed with what the page shows; `…` stands for anything."""
    if block.printed is None:
        return
    wanted = ".*?".join(re.escape(part) for part in block.printed.strip().split("…"))
    assert re.fullmatch(
        wanted, "\n".join(map(str.rstrip, printed.splitlines())).strip(), re.DOTALL
    ), f"{block!r} prints otherwise than shown:\n{printed}"


def run(
    *arguments: str,
    path: tuple[Path, ...] = (),
    cwd: Path | None = None,
    stderr: int = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, and wait for it."""
    search = [*path, ROOT]
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join(map(str, search)),
            "PYTHONIOENCODING": "utf-8",
            "PYTHONUNBUFFERED": "1",
            # Half of the time of a page's tests went into loading plugins that it does not need.
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        cwd=cwd or ROOT,
        stdout=subprocess.PIPE,
        stderr=stderr,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str | None]]:
    """Be the calls of the weeks that the pages ask for."""
    return generate_calls(date(2026, 9, 1), date(2026, 11, 3), calls_per_day=8)


@pytest.fixture(scope="module")
def loopback() -> Iterator[LoopbackServer]:
    with LoopbackServer() as server:
        yield server


@pytest.fixture
def served(
    rows: list[dict[str, str | None]], loopback: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Provider]:
    """Serve the calls where the environment says that the API is."""
    provider = Provider(rows, actions={("voip", "getLineList"): lambda _: {"line1": {"id": "1"}}})
    monkeypatch.setenv("BOXIS_USERNAME", provider.username)
    monkeypatch.setenv("BOXIS_API_KEY", provider.api_key)
    monkeypatch.setenv("BOXIS_TENANT", provider.tenant)
    monkeypatch.setenv("BOXIS_BASE_URL", loopback.mount(provider))
    yield provider
    loopback.unmount(provider)


@pytest.fixture
def core_alone(tmp_path: Path) -> Path:
    """Make a folder that, on the path, hides what the core does not need, as if not installed."""
    folder = tmp_path / "core_alone"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        textwrap.dedent(
            f"""
            import sys

            HIDDEN = {OPTIONAL!r}

            class Hiding:
                def __init__(self, finder):
                    self.finder = finder
                def __getattr__(self, name):
                    return getattr(self.finder, name)
                def find_spec(self, name, path=None, target=None):
                    if name.partition(".")[0] in HIDDEN:
                        return None
                    return self.finder.find_spec(name, path, target)

            sys.meta_path[:] = map(Hiding, sys.meta_path)
            """
        ),
        "utf-8",
    )
    return folder


async def store(window: Window, cdrs: tuple[CDR, ...]) -> None:
    """Stand for the reader's own database."""
    assert window.start is not None
    assert all(cdr.start for cdr in cdrs)


class Shell:
    """Runs a page's blocks of shell in a folder, with `boxis` as a command and no profile yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        programs = folder / "bin"
        programs.mkdir()
        boxis = programs / "boxis"
        boxis.write_text(
            # As an installer writes it: processes that are started import it, too.
            f"#!{sys.executable}\nfrom boxis_async.cli.entry import main\n"
            'if __name__ == "__main__":\n    raise SystemExit(main())',
            "utf-8",
        )
        boxis.chmod(0o755)
        self._environment = {
            **os.environ,
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / ".config"),
            "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": "utf-8",
            "PYTHONUNBUFFERED": "1",
        }
        self._server: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.communicate(timeout=120)

    def run(self, block: Block) -> str:
        """Run a block to its end, or until its server listens, and give what it prints."""
        if block.body.startswith("boxis serve"):
            return self._serve(block.body)
        if block.body.startswith("boxis watch"):
            return self._watch(block.body)
        done = subprocess.run(
            ["sh", "-c", block.body], stdin=subprocess.DEVNULL, timeout=120, check=False,
            **self._settings(),
        )  # fmt: skip
        assert done.returncode == 0, f"{block!r}\n{done.stdout}"
        return done.stdout

    def keep_profile(self, block: Block) -> None:
        """Write the profile file, as one that nobody else may read."""
        file = self._folder / ".config" / "boxis" / "profiles.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block.body, "utf-8")
        file.chmod(0o600)

    def _serve(self, command: str) -> str:
        assert self._server is None
        self._server, printed = self._begin(command)
        self._environment |= {one["name"]: one["value"] for one in EXPORTED.finditer(printed)}
        return printed

    def _watch(self, command: str) -> str:
        """Run a command that never ends, until it says how to end it."""
        process, printed = self._begin(command)
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=10)
        finally:
            process.kill()
            process.wait()
        return printed

    def _begin(self, command: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(["sh", "-c", f"exec {command}"], **self._settings())
        assert process.stdout is not None
        printed = ""
        for line in process.stdout:
            printed += line
            if "Ctrl-C" in line:
                break
        return process, printed

    def _settings(self) -> dict[str, Any]:
        # Both streams as one, in the order in which a terminal would show them.
        return {
            "env": self._environment, "cwd": self._folder, "encoding": "utf-8",
            "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT,
        }  # fmt: skip


async def run_in_turn(page: Path, folder: Path) -> None:
    """Run the blocks of a page in order, with one set of names."""
    with Shell(folder) as shell:
        await run_python_in_turn(page, folder, shell)


async def run_python_in_turn(page: Path, folder: Path, shell: Shell) -> None:
    """Run the blocks of a page in order, those of shell in theirs."""
    async with BoxisClient() as client:
        names: dict[str, Any] = {
            "BoxisClient": BoxisClient,
            "UTC": UTC,
            "api_key": os.environ["BOXIS_API_KEY"],
            "asyncio": asyncio,
            "date": date,
            "datetime": datetime,
            "timedelta": timedelta,
            "client": client,
            "datefrom": date(2026, 10, 1),
            "dateto": date(2026, 10, 8),
            "store": store,
        }
        for block in blocks(page):
            if block.kind == "toml":
                shell.keep_profile(block)
            if block.kind == "sh" and COMMAND.search(block.body):
                check_printed(await asyncio.to_thread(shell.run, block), block)
            if block.kind != "python":
                continue
            if block.file_name is not None:
                check_printed(await asyncio.to_thread(run_file, block, folder), block)
                continue
            code = compile(
                "\n" * (block.line - 1) + block.body,
                str(page),
                "exec",
                flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
                dont_inherit=True,
            )
            with contextlib.redirect_stdout(io.StringIO()) as out:
                result = eval(code, names)
                if inspect.iscoroutine(result):
                    await result
            check_printed(out.getvalue(), block)
            if names["client"] is not client:  # the block made one of its own
                await names["client"].aclose()
                names["client"] = client


def run_file(block: Block, folder: Path) -> str:
    """Write a block to a file and run it, with pytest if it is a test."""
    name = block.file_name
    assert name is not None
    (folder / name).write_text(block.body, "utf-8")
    arguments = ["-W", "error", name]
    if name.startswith("test_"):
        # The project's own fixtures by name, as it need not be installed.
        wanted = ("no:cacheprovider", "pytest_boxis_async", "pytest_asyncio.plugin")
        plugins = [part for plugin in wanted for part in ("-p", plugin)]
        arguments = ["-m", "pytest", "-q", *plugins, name]
    # Both streams as one, in the order in which a terminal would show them.
    done = run(*arguments, cwd=folder, path=(folder,), stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"{block!r}\n{done.stdout}"
    return done.stdout


@pytest.mark.subprocess
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.usefixtures("served")
def test_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block of Python, and each with `boxis`, runs as it stands, and prints what is shown."""
    monkeypatch.chdir(tmp_path)
    asyncio.run(run_in_turn(page, tmp_path))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_escapes(page: Path) -> None:
    """Python stands in blocks that say so, so that none goes unrun."""
    plain = {block.kind for block in blocks(page) if not block.kind.startswith("{")}
    assert plain <= {"python", "text", "sh", "toml", "ini"}
    assert page.read_text("utf-8").count("```") == 2 * len(blocks(page))


def test_record_error_reads_as_shown() -> None:
    """The page on errors shows the text of a record's error as the library writes it."""
    shown = [block for block in blocks_of_kind("text", DOCS / "errors.md") if block.is_alone]
    assert shown
    row = {"uniqueid": "1", "start": "2026-10-01 10:00:00"}
    provider = Provider([row] * 16 + [row | {"duration": "soon"}])

    async def fetch() -> str:
        async with connected(provider) as client:
            with pytest.raises(Exception, match="duration") as raised:
                await client.cdrs(date(2026, 10, 1), date(2026, 10, 2)).to_list()
        return str(raised.value.__cause__)

    assert asyncio.run(fetch()) == shown[0].body.strip()


def test_pages_are_there() -> None:
    """The pages that others link to exist under their names."""
    assert {page.stem for page in PAGES} == {"README", *WANTED}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link names a file that exists, and a heading in it where it says so."""
    for link in LINK.finditer(prose(page)):
        target = link["target"]
        if "://" in target:
            continue
        path, _, fragment = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), f"{page.name} links to {target}"
        assert not fragment or fragment in anchors(file), f"{page.name} links to {target}"


@pytest.mark.parametrize("picture", sorted(DOCS.glob("pictures/*.svg")), ids=lambda file: file.name)
def test_pictures_stand_alone(picture: Path) -> None:
    """A picture is well-formed, shown on some page, and loads nothing from anywhere."""
    text = picture.read_text("utf-8")
    ET.fromstring(text)
    assert any(f"pictures/{picture.name}" in page.read_text("utf-8") for page in PAGES)
    assert re.findall(r"https?://(?!127\.0\.0\.1:)[^\s\"<]+", text) == [
        "http://www.w3.org/2000/svg"
    ]
    assert not re.search(r"@import|@font-face|url\((?!#)", text)


def test_readme_has_two_commands() -> None:
    """The first shell block of the README holds its two commands, a line each."""
    first = blocks_of_kind("sh", ROOT / "README.md")[0]
    assert len(first.body.splitlines()) == 2
    assert all(line.strip() for line in first.body.splitlines())


def test_examples_are_known() -> None:
    """Each example has a test of what it prints."""
    assert [example.name for example in EXAMPLES] == [
        *("batch_job.py", "bot.py", "first_calls.py", "live_calls.py"),
        *("telegram_chat.py", "web_backend.py"),
    ]


def check_first_calls(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    calls, missed, *last = done.stdout.splitlines()
    assert re.fullmatch(r"[1-9]\d+ calls, of [1-9]\d+ legs", calls)
    assert re.fullmatch(r"[1-9]\d+ of them missed; the last three:", missed)
    assert len(last) == 3
    assert all(re.match(r"  \d\d Sep \d\d:\d\d  [+\d]", line) for line in last)


@pytest.mark.subprocess
def test_first_calls(tmp_path: Path) -> None:
    """The first example prints the missed calls of a month, from any folder."""
    check_first_calls(run("-W", "error", str(DOCS / "examples" / "first_calls.py"), cwd=tmp_path))


@pytest.mark.subprocess
def test_first_calls_on_the_core_alone(core_alone: Path) -> None:
    """The first example needs no extra."""
    check_first_calls(run(str(DOCS / "examples" / "first_calls.py"), path=(core_alone,)))


@pytest.mark.subprocess
def test_core_alone_hides(core_alone: Path) -> None:
    """What is hidden looks as if it were not installed, and the rest does not."""
    look = "import importlib.util as u, sys; print([n for n in sys.argv[1:] if u.find_spec(n)])"
    assert all(importlib.util.find_spec(name) for name in ("uvicorn", "pytest", "httpx"))
    done = run("-c", look, *OPTIONAL, "httpx", path=(core_alone,))
    assert done.stdout.strip() == "['httpx']", done.stderr


@pytest.mark.subprocess
def test_demo() -> None:
    """The demo shows the first calls, and complains of nothing."""
    done = run("-m", "boxis_async", "demo", "--calls-per-day", "5")
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert (
        len(re.findall(r"^  2025-10-\d\d \d\d:\d\d (?:in|out|local) ", done.stdout, re.MULTILINE))
        == 8
    )


@pytest.mark.subprocess
def test_demo_without_its_server(core_alone: Path) -> None:
    """Without its extra the demo says in one line which to install, and fails."""
    done = run("-m", "boxis_async", "demo", "--calls-per-day", "5", path=(core_alone,))
    assert done.returncode == 1
    assert not done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert "boxis-async[cli]" in done.stderr
