"""Who imports whom, and what is public."""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
import re
import subprocess
import sys
import typing
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

import boxis_async

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(boxis_async.__file__).parent
NAME = "boxis_async"

LAYERS = (
    ("__init__",),
    ("client",),
    (
        "watch",
        "_watch",
        "_watch.watcher",
        "_watch.looks",
        "_watch.schedule",
        "_watch.tiers",
        "_watch.call_feed",
        "_watch.leg_feed",
        "_watch.position",
        "_watch.seen_legs",
        "_watch.alarm",
        "file_position",
        "watch_model",
    ),
    ("contract",),
    ("call_range",),
    ("stream",),
    ("call_stream",),
    ("_probe", "_probe.exact_windows", "_probe.places", "_probe.answers", "_probe.next_window"),
    (
        "_run",
        "_run.run",
        "_run.sieve",
        "_run.prefetch",
        "_run.fetch",
        "_run.guards",
        "_run.query",
        "_run.proofs",
        "_run.coverage_builder",
        "_run.dedupe",
        "_run.fingerprint_table",
        "_run.key_rules",
        "_run.adaptive_windows",
        "_run.windows",
        "_run.fetched",
        "_run.date_rules",
        "_run.known_server",
    ),
    (
        "_http",
        "_http.attempts",
        "_http.requester",
        "_http.request",
        "_http.transport",
        "_http.exchange",
        "_http.http_library",
        "_http.response_body",
        "_http.connections",
        "_http.foreign_errors",
        "_http.proxies",
        "_http.waiting",
        "_http.rate_limiter",
        "_http.server_clock",
        "_http.loop_clock",
    ),
    ("_checks",),
    ("hooks", "retry", "coverage", "contract_model"),
    (
        "call_stats",
        "calls",
        "_calls",
        "_calls.open_calls",
        "_calls.closed",
        "_calls.group",
        "_calls.build",
        "_calls.judge",
        "_calls.order",
        "_calls.costs",
        "_calls.numbers",
        "call_model",
    ),
    ("moments",),
    (
        "_wire",
        "_wire.readers",
        "_wire.records",
        "_wire.signing",
        "_wire.answers",
        "_wire.xml",
        "_wire.json",
        "_wire.json_orjson",
        "_wire.json_chunks",
        "_wire.members",
        "_wire.body_text",
        "_wire.cooperative",
        "_wire.messages",
        "_wire.wallclock",
    ),
    ("_plain",),
    ("errors",),
    ("types",),
    ("models",),
    ("_as_json", "_files", "_printable", "_version"),
)
"""The core from top to bottom. A module imports only from layers below its own, or, within a layer,
from modules that stand behind it."""

ORDER = [module for layer in LAYERS for module in layer]

WINGS = ("cli", "export", "fleet", "mirror", "otel", "pydantic", "report", "testing")
"""Folders of their own, on the public face alone."""

OPTIONAL: dict[str, str | tuple[str, ...]] = {
    "click": "cli",
    "defusedxml": "_wire.xml",
    "dask": "fleet",
    "distributed": "fleet",
    "jinja2": "report.page",
    "opentelemetry": "otel",
    "orjson": "_wire.json_orjson",
    "psycopg": "mirror.database",
    # Rows become Arrow's in one module; a data set is written and read in another wing.
    "pyarrow": ("export.arrow", "fleet"),
    "pydantic": "pydantic",
    "rich": "cli",
    "sqlalchemy": "mirror",
    "uvicorn": "testing.loopback",
    "xlsxwriter": "export.workbook",
}
"""The one module, or the one wing, in which each optional package is imported; or both."""

FACES = (
    *("__init__", "calls", "call_stats", "moments", "types", "_files"),
    *("testing", "export", "fleet", "mirror", "report"),
)
"""What a wing may import from outside itself: the library's face, and those of other wings.

`calls` has what makes calls of legs one by one, for the exports, and `call_stats` what counts them,
for the command line and the report. `moments` makes the dates that a wing is given plain.
`_files` is no face: it is what the operating system's files are like, for the wings as for a
position.
"""


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
    """Tell whether a module is no module of the core."""
    return module.partition(".")[0] in (*WINGS, "__main__")


def test_every_module_has_its_place() -> None:
    """Each module stands in a layer, once, or in a wing."""
    assert sorted(ORDER) == sorted(name for name in MODULES if not is_in_wing(name))
    assert {place for places in OPTIONAL.values() for place in in_tuple(places)} <= set(MODULES)
    assert len(IMPORTS) > 100


def test_modules_import_only_from_below() -> None:
    """No module imports from above or from itself, not even for types: so there is no circle."""
    wrong = [
        (found.importer, target)
        for found in IMPORTS
        if not is_in_wing(found.importer)
        for target in found.targets
        if target not in ORDER or ORDER.index(target) <= ORDER.index(found.importer)
    ]
    assert wrong == []


def test_httpx_is_known_in_one_module() -> None:
    """One module knows httpx, not even its types, and the stand-in's own transport; none httpx2."""
    importers = {found.importer for found in IMPORTS if found.top == "httpx"}
    core = {module for module in importers if not is_in_wing(module)}
    assert core == {"_http.http_library"}
    assert "httpx2" not in {found.top for found in IMPORTS}
    assert {module for module in importers - core if not module.startswith("testing.")} == set()


def in_tuple(places: str | tuple[str, ...]) -> tuple[str, ...]:
    """Give the places of an optional package, also where there is one."""
    return (places,) if isinstance(places, str) else places


@pytest.mark.parametrize(("package", "places"), OPTIONAL.items())
def test_optional_packages_are_imported_in_one_place(
    package: str, places: str | tuple[str, ...]
) -> None:
    """An optional package is imported where the table says, in one module or in one wing."""
    importers = {found.importer for found in IMPORTS if found.top == package}
    wings = {importer: importer.partition(".")[0] for importer in importers}
    listed = in_tuple(places)
    assert {wing if wing in listed else name for name, wing in wings.items()} == {*listed}


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


@pytest.mark.subprocess
def test_optional_packages_are_not_loaded_unasked() -> None:
    """Importing the library loads no optional package, and no wing."""
    # httpx has a command line of its own, and loads what that needs where it is installed.
    code = (
        "import sys, httpx; before = set(sys.modules); import boxis_async;"
        f"print([name for name in {[*OPTIONAL, 'httpx2', *(f'{NAME}.{wing}' for wing in WINGS)]} "
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
    """The package's own module has imports and its public names, and says whose they are."""
    docstring, *body = ast.parse(MODULES["__init__"].read_text("utf-8")).body
    assert isinstance(docstring, ast.Expr)
    others = [ast.unparse(node) for node in body if not isinstance(node, ast.ImportFrom)]
    assert [other.partition(" = ")[0] for other in others] == [
        "__all__",
        "for _name in __all__:\n    globals()[_name].__module__",
    ]


def test_the_face_shows_all_that_it_imports() -> None:
    """Whatever the package's own module imports is public, the version included."""
    imported = {found.name for found in IMPORTS if found.importer == "__init__"}
    assert imported == {"__version__", *boxis_async.__all__}


@pytest.mark.parametrize("name", boxis_async.__all__)
def test_public_names_are_where_users_import_them_from(name: str) -> None:
    """A public class says that it is from the package, and pickles by that path."""
    public = getattr(boxis_async, name)
    assert public.__module__ == "boxis_async"
    assert public.__qualname__ == name
    assert pickle.loads(pickle.dumps(public)) is public
    assert f"boxis_async {name}".encode() in pickle.dumps(public, protocol=0).replace(b"\n", b" ")


@pytest.mark.parametrize(
    "public",
    [public for name in boxis_async.__all__ if attrs.has(public := getattr(boxis_async, name))],
    ids=lambda public: public.__name__,
)
def test_types_of_public_values(public: type) -> None:
    """The types of a public value's fields are known, for whoever asks at run time."""
    hints = typing.get_type_hints(public)
    assert {field.name for field in attrs.fields(public)} <= set(hints)
    assert not any(isinstance(hint, str) for hint in hints.values())


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
