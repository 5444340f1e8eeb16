"""Write these pages for language models, as https://llmstxt.org describes it.

`llms.txt` is an index: a summary of the project, then a link to each page, by section. Each page
stands beside it in Markdown, and `llms-full.txt` has all of them in one file. All of it is made
from the pages themselves: the sections are the captions in index.md, and a page's note is its first
sentence. Links are relative, so that they work wherever the built pages are put.
"""

from __future__ import annotations

import re
import shutil
from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["write"]

_TOCTREE = re.compile(r"^```\{toctree\}\n(?P<body>.*?)^```\n", re.MULTILINE | re.DOTALL)
_EXAMPLE = re.compile(r"^```\{literalinclude\}.*?^```$", re.MULTILINE | re.DOTALL)
_INCLUDE = re.compile(r"^```\{include\} (?P<path>\S+)\n```$", re.MULTILINE)
_GENERATED = re.compile(r"^```\{eval-rst\}$", re.MULTILINE)
_DIRECTIVE = re.compile(r"^```\{.*$", re.MULTILINE)
_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\([^)]*\)")
_SENTENCE = re.compile(r".+?[.!?](?=\s|$)")


class Built(Protocol):
    """What only the build of the pages knows."""

    def as_text(self, page: str) -> str:
        """Give a page as text, with the docstrings that it shows."""
        ...

    def examples(self, page: str) -> list[str]:
        """List the parts of the examples that a page shows, in its order."""
        ...


def write(docs: Path, out: Path, built: Built) -> None:
    """Write llms.txt, llms-full.txt and each page in Markdown.

    Args:
        docs: The folder of the pages.
        out: The folder of the built documentation.
        built: What only the build knows.

    Raises:
        ValueError: A page has a directive that a reader of its Markdown would see as such.
    """
    index = (docs / "index.md").read_text("utf-8")
    pages = {"index": _TOCTREE.sub("", index).rstrip() + "\n"}
    lines = [f"# {_title(index)}", "", f"> {' '.join(_first_paragraph(index).split())}", ""]
    lines += ["What it is for, and which page is for whom: [index.md](index.md).", ""]
    for caption, names in _sections(index):
        lines += [f"## {caption}", ""]
        for name in names:
            source = _INCLUDE.sub(
                partial(_included, docs), (docs / f"{name}.md").read_text("utf-8")
            )
            lines.append(f"- [{_title(source)}]({name}.md): {_first_sentence(source)}")
            pages[name] = _readable(name, source, built)
        lines.append("")
    for name, text in pages.items():
        if directive := _DIRECTIVE.search(text):
            raise ValueError(f"{name}.md: llms.py cannot show {directive[0]} in Markdown")
        (out / f"{name}.md").write_text(text, "utf-8")
    for folder in ("examples", "pictures"):  # the pages link to what is in them
        caches = shutil.ignore_patterns("__pycache__")
        shutil.copytree(docs / folder, out / folder, ignore=caches, dirs_exist_ok=True)
    (out / "llms.txt").write_text("\n".join(lines), "utf-8")
    (out / "llms-full.txt").write_text("\n\n".join(pages.values()), "utf-8")


def _readable(name: str, source: str, built: Built) -> str:
    """Give a page as a reader sees it, in Markdown where its source is."""
    if _GENERATED.search(source):
        return built.as_text(name)
    examples = iter(built.examples(name))
    return _EXAMPLE.sub(lambda _: f"```python\n{next(examples).rstrip()}\n```", source)


def _included(docs: Path, found: re.Match[str]) -> str:
    return (docs / found["path"]).read_text("utf-8").rstrip()


def _sections(index: str) -> Iterator[tuple[str, list[str]]]:
    """List the captions of a page's toctrees, and the pages under each."""
    for found in _TOCTREE.finditer(index):
        lines = found["body"].splitlines()
        captions = [line.removeprefix(":caption: ") for line in lines if ":caption:" in line]
        yield captions[0], [line for line in lines if line and not line.startswith(":")]


def _title(source: str) -> str:
    return source.partition("\n")[0].removeprefix("# ")


def _first_paragraph(source: str) -> str:
    """Give the text under a page's title, without its links."""
    return _LINK.sub(r"\g<text>", source.split("\n\n")[1])


def _first_sentence(source: str) -> str:
    text = " ".join(_first_paragraph(source).split())
    found = _SENTENCE.match(text)
    return text if found is None else found[0]
