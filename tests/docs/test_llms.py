"""The pages for language models: an index as llmstxt.org describes it, and the pages in Markdown.

The build of the documentation writes them. Here the same function writes them without Sphinx, whose
part is played by `Unbuilt`.
"""

from __future__ import annotations

import importlib.util
import re
from typing import TYPE_CHECKING, Any

import pytest
from paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"
PAGES = {page.name for page in DOCS.glob("*.md")}
LINK = re.compile(r"^- \[(?P<title>[^\]]+)\]\((?P<target>[^)]+)\): (?P<note>.+)$")

_spec = importlib.util.spec_from_file_location("llms", DOCS / "llms.py")
assert _spec is not None
assert _spec.loader is not None
llms: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(llms)


class Unbuilt:
    """Stands for what Sphinx knows of a page."""

    def as_text(self, page: str) -> str:
        return f"the docstrings of {page}\n"

    def examples(self, page: str) -> list[str]:
        return [f"an_example_of({page!r}, {number})" for number in range(9)]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Be the folder to which the project's own pages were written."""
    folder = tmp_path_factory.mktemp("html")
    llms.write(DOCS, folder, Unbuilt())
    return folder


def pages_of(folder: Path, page: str, index: str) -> Path:
    """Make a folder of pages: an index of one page, and that page."""
    docs = folder / "docs"
    for name in ("examples", "pictures"):
        (docs / name).mkdir(parents=True)
    (docs / "index.md").write_text(index, "utf-8")
    (docs / "page.md").write_text(page, "utf-8")
    (folder / "out").mkdir()
    return docs


INDEX = "# It\n\nIt does\nthis. And that.\n\n```{toctree}\n:hidden:\n:caption: All\n\npage\n```\n"


def test_index_has_its_form(out: Path) -> None:
    """The index is a title, a summary, then sections of links with a note each."""
    title, blank, summary, *rest = (out / "llms.txt").read_text("utf-8").splitlines()
    assert title == "# boxis_async"
    assert not blank
    assert summary.startswith("> An asyncio client for the call detail records of the Boxis")
    sections = [line for line in rest if line.startswith("#")]
    assert sections == ["## Tutorial", "## Guides", "## Explanation", "## Reference"]
    links = rest[rest.index(sections[0]) :]
    assert all(LINK.match(line) for line in links if line and line not in sections)


def test_index_links_each_page_once(out: Path) -> None:
    """Each page stands in the index once, under its own title, with its first sentence."""
    lines = (out / "llms.txt").read_text("utf-8").splitlines()
    found = [match for match in map(LINK.match, lines) if match]
    assert sorted(match["target"] for match in found) == sorted(PAGES - {"index.md"})
    notes = {match["target"]: (match["title"], match["note"]) for match in found}
    assert notes["reference.md"][0] == "Reference"
    assert notes["changelog.md"][0] == "Changelog"
    assert all("](" not in note and note.endswith(".") for _, note in notes.values())


def test_pages_are_markdown_without_directives(out: Path) -> None:
    """Each page is there, shows its examples and docstrings, and nothing of Sphinx's."""
    assert {page.name for page in out.glob("*.md")} == PAGES
    full = (out / "llms-full.txt").read_text("utf-8")
    for page in out.glob("*.md"):
        text = page.read_text("utf-8")
        assert "```{" not in text
        assert text in full
    assert "the docstrings of reference" in full
    assert "```python\nan_example_of('bot', 2)\n```" in (out / "bot.md").read_text("utf-8")
    assert "## [Unreleased]" in (out / "changelog.md").read_text("utf-8")


def test_links_of_the_pages_hold(out: Path) -> None:
    """What a page links to stands beside it."""
    for page in out.glob("*.md"):
        for target in re.findall(r"\]\((?!\w+://)([^)\s#]+)[^)]*\)", page.read_text("utf-8")):
            assert (out / target).is_file(), f"{page.name} links to {target}"


def test_summary_and_notes_come_from_the_pages(tmp_path: Path) -> None:
    """The summary is the index's first paragraph, a note the page's first sentence, in a line."""
    docs = pages_of(tmp_path, "# A page\n\nSee [how](x.md) 1.5 of\nit is done. More.\n", INDEX)
    llms.write(docs, tmp_path / "out", Unbuilt())
    assert (tmp_path / "out" / "llms.txt").read_text("utf-8").splitlines() == [
        "# It",
        "",
        "> It does this. And that.",
        "",
        "What it is for, and which page is for whom: [index.md](index.md).",
        "",
        "## All",
        "",
        "- [A page](page.md): See how 1.5 of it is done.",
    ]


def test_unknown_directive_is_an_error(tmp_path: Path) -> None:
    """A directive that cannot be shown in Markdown fails the build, by name."""
    docs = pages_of(tmp_path, "# A page\n\nText.\n\n```{note}\nMind this.\n```\n", INDEX)
    with pytest.raises(ValueError, match=r"page\.md: llms\.py cannot show ```\{note\}"):
        llms.write(docs, tmp_path / "out", Unbuilt())
