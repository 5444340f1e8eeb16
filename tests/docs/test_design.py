"""The page on the design: its map shows every module, and what it names is there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = ROOT / "boxis_async"
TEXT = (ROOT / "docs" / "design.md").read_text("utf-8")

TREE = re.compile(r"^```text\nboxis_async/\n(?P<lines>.*?)^```$", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"(?P<indent> +)(?P<name>[\w.]+/?) {2,}(?P<purpose>\S.*)")
NAMED = re.compile(r"`(?P<path>[\w/]+\.py)`")


def shown() -> Iterator[str]:
    """List the modules of the map by their paths within the package; a folder is its own module."""
    for tree in TREE.finditer(TEXT):
        folder = ""
        for line in tree["lines"].splitlines():
            found = LINE.fullmatch(line)
            assert found, f"the map has a line that says of no module what it is for: {line}"
            name = found["name"]
            if len(found["indent"]) == 2:
                folder = name if name.endswith("/") else ""
                yield f"{name}__init__.py" if folder else name
            else:
                assert folder, f"the map has a module in no folder: {line}"
                yield folder + name


def test_map_shows_every_module_once() -> None:
    """The map names each module of the package, and no other."""
    modules = [path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")]
    assert sorted(shown()) == sorted(modules)


def test_named_modules_are_there() -> None:
    """Each file that the page names in its text exists, by its path within the package."""
    named = {found["path"] for found in NAMED.finditer(TEXT)}
    assert len(named) > 20
    assert [path for path in named if not (PACKAGE / path).is_file()] == []
