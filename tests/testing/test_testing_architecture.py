"""How the modules of the testing wing depend on each other, and where its names are public."""

from __future__ import annotations

import ast
import pickle
import pickletools
from graphlib import TopologicalSorter
from inspect import isclass, isfunction
from typing import TYPE_CHECKING

import pytest
from paths import ROOT

from boxis_async import testing
from boxis_async.testing import Fault, Received

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WING = ROOT / "boxis_async" / "testing"
PACKAGE = ("boxis_async", "testing")

LAYERS = (
    {"asgi", "local_clock", "phone_book", "received", "rows", "true_call"},
    {"answers", "date_filter", "exchanges", "faults", "inprocess", "live", "loopback"},
    {"call_script", "row_store", "validation"},
    {"machines", "relays", "transfers"},
    {"own_calls", "phones", "queues"},
    {"menus"},
    {"pbx"},
    {"generator", "provider"},
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


def public(kind: Callable[[object], bool]) -> list[str]:
    return [name for name in testing.__all__ if kind(getattr(testing, name))]


def test_all_is_sorted() -> None:
    """The public names stand in the order of ruff's RUF022: constants, classes, the rest."""
    groups = [
        [name for name in testing.__all__ if name.isupper()],
        [name for name in testing.__all__ if name[0].isupper() and not name.isupper()],
        [name for name in testing.__all__ if name[0].islower()],
    ]
    assert [name for group in groups for name in sorted(group)] == testing.__all__


@pytest.mark.parametrize("name", public(lambda value: isclass(value) or isfunction(value)))
def test_public_module(name: str) -> None:
    """A public class or function says that it is where users import it from."""
    assert getattr(testing, name).__module__ == "boxis_async.testing"


@pytest.mark.parametrize("name", public(isclass))
def test_classes_pickle_by_public_path(name: str) -> None:
    """A pickle refers to a class by its public path, and finds it there."""
    public_class = getattr(testing, name)
    pickled = pickle.dumps(public_class)
    assert {"boxis_async.testing", name} <= {
        argument for _, argument, _ in pickletools.genops(pickled)
    }
    assert pickle.loads(pickled) is public_class


def test_values_pickle() -> None:
    """Values go to another process and come back equal."""
    for value in (
        Fault.status(429, retry_after=2),
        Received(
            number=1,
            parameters={"tenant": "VOICE-29001-1"},
            datefrom="2026-10-01 00:00:00",
            dateto="2026-10-02 00:00:00",
            accepted=True,
            arrived=1.0,
        ),
    ):
        assert pickle.loads(pickle.dumps(value)) == value
