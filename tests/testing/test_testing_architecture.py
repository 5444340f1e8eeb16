"""How the modules of the testing wing depend on each other, and where its names are public."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

import pytest
from paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WING = ROOT / "boxis_async" / "testing"
PACKAGE = ("boxis_async", "testing")

LAYERS = (
    {"asgi", "local_clock", "phone_book", "received", "rows"},
    {"answers", "date_filter", "faults", "inprocess", "loopback", "pbx", "validation"},
    {"generator", "row_store"},
    {"provider"},
    {"served_provider"},
    {"__init__"},
)
"""From bottom to top. A module imports only from the layers below its own."""


def imports_of(path: Path) -> Iterator[tuple[str, ...]]:
    """Give what a module imports, wherever in it and for whatever purpose, as dotted parts."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield tuple(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            parents = PACKAGE[: len(PACKAGE) - node.level + 1] if node.level else ()
            source = (*parents, *(node.module.split(".") if node.module else ()))
            if source in (PACKAGE, PACKAGE[:1]):
                # `from . import x`: the name may be a module.
                for alias in node.names:
                    yield (*source, alias.name)
            else:
                yield source


IMPORTS = {path.stem: set(imports_of(path)) for path in sorted(WING.glob("*.py"))}

NEIGHBOURS = {
    module: {name[2] for name in names if name[:2] == PACKAGE} for module, names in IMPORTS.items()
}
"""Which modules of the wing each of its modules imports, types included."""


def importers(package: str) -> set[str]:
    return {
        module for module, names in IMPORTS.items() if any(name[0] == package for name in names)
    }


def test_no_cycle() -> None:
    """No module imports itself by way of others, not even for types."""
    order = [*TopologicalSorter(NEIGHBOURS).static_order()]
    assert set(order) == set(IMPORTS)
    assert order[-1] == "__init__"


def test_layers() -> None:
    """Each module has a layer and imports only from lower ones, types included."""
    levels = {module: level for level, modules in enumerate(LAYERS) for module in modules}
    assert set(levels) == set(IMPORTS)
    upwards = [
        (module, neighbour)
        for module, neighbours in NEIGHBOURS.items()
        for neighbour in neighbours
        if levels[neighbour] >= levels[module]
    ]
    assert upwards == []


def test_independent_witness() -> None:
    """The stand-in imports nothing of the library but itself: it must not share its mistakes."""
    foreign = {
        (module, name)
        for module, names in IMPORTS.items()
        for name in names
        if name[0] == PACKAGE[0] and name[:2] != PACKAGE
    }
    assert foreign == set()


@pytest.mark.parametrize(("package", "module"), [("httpx", "inprocess"), ("uvicorn", "loopback")])
def test_one_module_for_each_http_library(package: str, module: str) -> None:
    """Each HTTP library is imported in one module only, types included."""
    assert importers(package) == {module}
