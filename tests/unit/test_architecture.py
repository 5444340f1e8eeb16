"""The floors of the house: who imports whom, and what is public."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

import boxis_async

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(boxis_async.__file__).parent
NAME = "boxis_async"

FLOORS = (
    "errors",
    "models",
    "_wire",
    "_wire.wallclock",
    "_run",
    "_run.windows",
    "_run.adaptive_windows",
    "_wire.cooperative",
    "_wire.json_chunks",
    "_wire.json_orjson",
    "_wire.json",
    "_wire.xml",
    "_wire.answers",
    "_wire.turns",
    "_wire.records",
    "retry",
    "_http",
    "_http.response_body",
    "_http.connections",
    "_http.transport",
    "_http.rate_limiter",
    "_http.requester",
    "_run.fingerprint_table",
    "_run.dedupe",
    "_run.fetch",
    "_run.prefetch",
    "coverage",
    "_run.query",
    "stream",
    "client",
    "__init__",
)
"""The rooms of the core, each importing only from those before it."""

WINGS = ("cli", "export", "testing", "sync")
"""Folders of their own, on the public face alone."""

OPTIONAL = {
    "click": "cli",
    "defusedxml": "_wire.xml",
    "orjson": "_wire.json_orjson",
    "pyarrow": "export.arrow",
    "rich": "cli",
    "uvicorn": "testing.loopback",
}
"""The one module, or the one wing, in which each optional package is imported."""

FACES = ("__init__", "testing", "export")
"""What a wing may import from outside itself: the library's face, and those of other wings."""


@attrs.frozen
class Import:
    """One name that one module imports."""

    importer: str
    module: str
    name: str | None
    for_types_only: bool

    @property
    def top(self) -> str:
        """The package that is imported from."""
        return self.module.partition(".")[0]

    @property
    def targets(self) -> set[str]:
        """The modules of ours that this may load, by their names within the package."""
        if self.top != NAME:
            return set()
        inner = self.module.removeprefix(NAME).lstrip(".")
        below = f"{inner}.{self.name}".lstrip(".")
        return {below if below in MODULES else inner or "__init__"}


def files() -> dict[str, Path]:
    """Give the modules of the package, by their names within it."""
    found: dict[str, Path] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if len(parts) > 1 and parts[-1] == "__init__":
            parts = parts[:-1]
        found[".".join(parts)] = path
    return found


MODULES = files()


def walk(node: ast.AST, *, for_types_only: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Walk a tree, and tell of each node whether it is for type checkers alone."""
    yield node, for_types_only
    for name, value in ast.iter_fields(node):
        children = value if isinstance(value, list) else [value]
        guarded = (
            name == "body" and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        )
        for child in children:
            if isinstance(child, ast.AST):
                yield from walk(child, for_types_only=for_types_only or guarded)


def imports_of(module: str) -> Iterator[Import]:
    """Give all that a module imports, wherever in it."""
    path = MODULES[module]
    package = [NAME, *path.relative_to(PACKAGE).parent.parts]
    for node, for_types_only in walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, None, for_types_only)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(module, source, alias.name, for_types_only)


IMPORTS = [found for module in MODULES for found in imports_of(module)]


def is_in_wing(module: str) -> bool:
    """Tell whether a module is no room of the core."""
    return module.partition(".")[0] in (*WINGS, "__main__")


def test_every_module_has_its_place() -> None:
    """Each module is a room with a floor, or stands in a wing."""
    assert [name for name in MODULES if name not in FLOORS and not is_in_wing(name)] == []
    assert set(OPTIONAL.values()) <= set(MODULES)
    assert len(IMPORTS) > 100


def test_rooms_import_only_from_below() -> None:
    """A room imports only from the floors below it; for types alone it may look around."""
    wrong = [
        found
        for found in IMPORTS
        if not is_in_wing(found.importer) and not found.for_types_only
        for target in found.targets
        if target not in FLOORS or FLOORS.index(target) >= FLOORS.index(found.importer)
    ]
    assert wrong == []


def test_the_ground_floor_imports_none() -> None:
    """Errors and models import no room; the errors know the models as types only."""
    ours = {
        (found.importer, target, found.for_types_only)
        for found in IMPORTS
        if found.importer in ("errors", "models")
        for target in found.targets
    }
    assert ours <= {("errors", "models", True)}


def test_nothing_imports_the_client() -> None:
    """Only the face imports the client, types included."""
    importers = {found.importer for found in IMPORTS if "client" in found.targets}
    assert importers == {"__init__"}


def test_httpx_is_known_in_one_room() -> None:
    """Only the transport knows httpx, and the stand-in's own transport for it."""
    importers = {
        found.importer for found in IMPORTS if found.top == "httpx" and not found.for_types_only
    }
    assert importers == {"_http.transport", "testing.inprocess"}
    rooms = {found.importer for found in IMPORTS if found.top == "httpx"}
    assert {room for room in rooms if not is_in_wing(room)} == {"_http.transport"}


@pytest.mark.parametrize(("package", "place"), OPTIONAL.items())
def test_optional_packages_are_imported_in_one_place(package: str, place: str) -> None:
    """An optional package is imported in one module only, or in one wing."""
    importers = {found.importer for found in IMPORTS if found.top == package}
    if place in WINGS:
        importers = {importer.partition(".")[0] for importer in importers}
    assert importers == {place}


def test_only_declared_packages_are_imported() -> None:
    """Besides the standard library, only what the project declares is imported."""
    declared = {"anyio", "attrs", "cattrs", "httpx", "stamina", *OPTIONAL}
    foreign = {found.top for found in IMPORTS} - {NAME, "attr"} - sys.stdlib_module_names
    assert foreign <= declared


def test_the_stand_in_is_an_independent_witness() -> None:
    """The stand-in provider imports nothing of the library but itself, types included."""
    wrong = [
        found
        for found in IMPORTS
        if found.importer.partition(".")[0] == "testing"
        for target in found.targets
        if target.partition(".")[0] != "testing"
    ]
    assert wrong == []


def test_wings_stand_on_the_face() -> None:
    """A wing imports the public face and itself; other wings' faces are public too."""
    wrong = [
        found
        for found in IMPORTS
        if is_in_wing(found.importer)
        for target in found.targets
        if target not in FACES
        and target.partition(".")[0] != found.importer.partition(".")[0]
        and not (found.importer == "__main__" and target.startswith("cli"))
    ]
    assert wrong == []


def test_no_room_imports_a_wing() -> None:
    """The core works without its wings."""
    wrong = [
        found
        for found in IMPORTS
        if not is_in_wing(found.importer)
        for target in found.targets
        if is_in_wing(target)
    ]
    assert wrong == []


def test_optional_packages_are_not_loaded_unasked() -> None:
    """Importing the library loads no optional package, and no wing."""
    # httpx has a command line of its own, and loads what that needs where it is installed.
    code = (
        "import sys, httpx; before = set(sys.modules); import boxis_async;"
        f"print([name for name in {[*OPTIONAL, *(f'{NAME}.{wing}' for wing in WINGS)]} "
        "if name in sys.modules and name not in before])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
    )
    assert done.stdout.strip() == "[]"


def in_order(name: str) -> tuple[int, list[tuple[int, str | int]]]:
    """Give the place of a name as ruff's RUF022 sorts: CONSTANTS, Classes, functions."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return kind, [(0, int(part)) if part.isdigit() else (1, part) for part in parts]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_public_names(module: str) -> None:
    """What a module says to be public is sorted, comes once, and exists."""
    names = [
        node.value
        for node in ast.parse(MODULES[module].read_text("utf-8")).body
        if isinstance(node, ast.Assign)
        and any(isinstance(one, ast.Name) and one.id == "__all__" for one in node.targets)
    ]
    if not names:
        # A script, or a folder that only holds others.
        assert is_in_wing(module) or MODULES[module].name == "__init__.py"
        return
    (listed,) = (ast.literal_eval(value) for value in names)
    assert listed == sorted(set(listed), key=in_order)
    loaded = importlib.import_module(f"{NAME}.{module}".removesuffix(".__init__"))
    assert [name for name in listed if not hasattr(loaded, name)] == []


def test_the_face_only_imports() -> None:
    """The package's own module holds a docstring, imports, a version and its public names."""
    docstring, *body = ast.parse(MODULES["__init__"].read_text("utf-8")).body
    assert isinstance(docstring, ast.Expr)
    assigned = [node for node in body if not isinstance(node, ast.ImportFrom)]
    assert [ast.unparse(node).partition(" = ")[0] for node in assigned] == [
        "__version__",
        "__all__",
    ]


def test_the_face_shows_all_that_it_imports() -> None:
    """Whatever the package's own module imports is public."""
    imported = {found.name for found in IMPORTS if found.importer == "__init__"}
    assert imported == set(boxis_async.__all__)


@pytest.mark.parametrize("name", boxis_async.__all__)
def test_docstrings(name: str) -> None:
    """Each public object, and each public method of it, says what it is for."""
    public = getattr(boxis_async, name)
    # Not `inspect.getdoc`, which would take a base's.
    assert public.__doc__
    assert public.__doc__.strip().endswith((".", "`")) or "\n" in public.__doc__.strip()
    for method, value in vars(public).items():
        # Methods of Python's own protocols and types do what their names say.
        if method.startswith("_") or not (inspect.isfunction(value) or isinstance(value, property)):
            continue
        if any(hasattr(base, method) for base in (dict, str, BaseException)):
            continue
        assert value.__doc__, f"{name}.{method}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_modules_say_what_they_are_for(module: str) -> None:
    """Each module begins with a docstring."""
    assert ast.get_docstring(ast.parse(MODULES[module].read_text("utf-8")))
