"""The layers of the command line: no module imports one that imports it, not even for types."""

from __future__ import annotations

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import boxis_async.cli
from boxis_async.cli import __doc__ as overview

FOLDER = Path(boxis_async.cli.__file__).parent
PACKAGE = "boxis_async.cli"
SOURCES = {path.stem: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.py"))}
FACE = "__init__"


def imports_of(source: str) -> set[str]:
    """List the modules of the wing that a source imports, for types and in functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level == 1:
                base = f"{PACKAGE}.{base}".rstrip(".")
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        modules = {name.removeprefix(f"{PACKAGE}.").partition(".")[0] for name in names
                   if name.startswith(f"{PACKAGE}.")}  # fmt: skip
        found |= modules & SOURCES.keys()
    return found


IMPORTS = {name: imports_of(source) for name, source in SOURCES.items()}


def layers() -> list[set[str]]:
    """Read the layers, from the top, out of the overview in the package's docstring."""
    assert overview is not None
    found: list[set[str]] = []
    for line in overview.splitlines():
        listed = re.match(r"( {4}| {6})(\w+(?: \w+)*)(?:  |$)", line)
        if listed is None:
            continue
        if len(listed[1]) == 6:  # a line that continues a layer
            found[-1] |= set(listed[2].split())
        else:
            found.append(set(listed[2].split()))
    return found


def test_no_import_circle() -> None:
    """The imports can be put into an order, types and imports inside functions included."""
    order = list(TopologicalSorter(IMPORTS).static_order())
    assert sorted(order) == sorted(SOURCES)
    assert order[-1] == "entry"
    assert sum(map(len, IMPORTS.values())) > 50


def test_a_circle_would_be_found() -> None:
    """A circle for types alone is one too."""
    back = "if TYPE_CHECKING:\n    from .settings import Settings\n"
    lazy = "def f():\n    from boxis_async.cli import settings\n"
    for source in (back, lazy):
        assert imports_of(source) == {"settings"}
        with pytest.raises(CycleError):
            TopologicalSorter(IMPORTS | {"secret": imports_of(source)}).prepare()


def test_layers_are_as_the_overview_says() -> None:
    """Each module is in one layer, and imports only from the layers below it."""
    found = layers()
    listed = [module for layer in found for module in layer]
    assert sorted(listed) == sorted(SOURCES.keys() - {FACE})
    level = {module: number for number, layer in enumerate(found) for module in layer}
    assert [
        (module, imported)
        for module in listed
        for imported in IMPORTS[module]
        if level[imported] <= level[module]
    ] == []


@pytest.mark.parametrize("words", ["told", "gone on with", "go on with", "the door", "the house"])
def test_plain_words(words: str) -> None:
    """Some words stay out of the code, its comments and its messages."""
    pattern = re.compile(rf"\b{words}\b", re.IGNORECASE)
    assert [name for name, source in SOURCES.items() if pattern.search(source)] == []
