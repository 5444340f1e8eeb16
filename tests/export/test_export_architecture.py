"""How the export wing is built: who imports whom, and under which names users find its parts."""

from __future__ import annotations

import ast
import importlib
import pickle
import typing
from datetime import date, timedelta
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import attrs
import cattrs
import pytest

import boxis_async.export
from boxis_async import Stats, WindowError
from boxis_async.export import (
    CallsFile,
    ExportBusyError,
    Exported,
    ExportExistsError,
    IncompleteExportError,
    Unfinished,
    UnfitValueError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

WING = "boxis_async.export"
FOLDER = Path(boxis_async.export.__file__).parent

LAYERS = (
    "errors",
    "open_folder",
    "access",
    "files",
    "columns",
    "layout",
    "text_writers",
    "arrow",
    "workbook",
    "formats",
    "read_calls",
    "values",
    "call_rows",
    "leg_lines",
    "drafts",
    "journal",
    "rejects_file",
    "keys",
    "folder_lock",
    "work_folder",
    "worker_thread",
    "rows_in_turns",
    "checkpoints",
    "export_to_file",
    "write_to_open_file",
    "save_to_file",
    "__init__",
)
"""The modules of the wing. Each imports only from those before it, for types too."""


def imports_of(module: str) -> Iterator[str]:
    """Name all modules that a module imports, wherever in it, also for type checkers alone."""
    for node in ast.walk(ast.parse((FOLDER / f"{module}.py").read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "the wing imports by full names"
            assert node.module is not None
            yield node.module


IMPORTS = {path.stem: set(imports_of(path.stem)) for path in FOLDER.glob("*.py")}


def test_every_module_has_its_layer() -> None:
    """Each module of the wing is listed, and the list names no other."""
    assert sorted(IMPORTS) == sorted(LAYERS)
    assert not [path for path in FOLDER.rglob("*.py") if path.parent != FOLDER]


@pytest.mark.parametrize("module", LAYERS)
def test_modules_import_only_from_below(module: str) -> None:
    """There is no circle, not even for types; of the library, only the public face is used."""
    below = {f"{WING}.{name}" for name in LAYERS[: LAYERS.index(module)]}
    ours = {name for name in IMPORTS[module] if name.startswith("boxis_async")}
    face = {f"boxis_async{name}" for name in ("", ".calls", ".moments", ".types")}
    # What files are like is the operating system's.
    files = {"boxis_async._files"} if module in ("folder_lock", "open_folder") else set()
    assert ours <= face | files | below


@pytest.mark.parametrize(
    ("library", "importer"), [("pyarrow", "arrow"), ("xlsxwriter", "workbook")]
)
def test_a_library_is_imported_in_one_module(library: str, importer: str) -> None:
    """Only one module knows each, for types too, and importing the wing does not load it."""
    importers = {
        module
        for module, imported in IMPORTS.items()
        if any(name.partition(".")[0] == library for name in imported)
    }
    assert importers == {importer}
    tree = ast.parse((FOLDER / f"{importer}.py").read_text("utf-8"))
    at_once = [node for node in tree.body if isinstance(node, ast.Import)]
    assert library not in {alias.name for node in at_once for alias in node.names}


# The face


def public() -> dict[str, Any]:
    return {name: getattr(boxis_async.export, name) for name in boxis_async.export.__all__}


def test_the_public_names() -> None:
    """The public names are sorted, each is there, and all classes and functions are meant."""
    names = boxis_async.export.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name))
    assert len(set(names)) == len(public()) == 18


@pytest.mark.parametrize("name", boxis_async.export.__all__)
def test_names_say_where_users_import_them_from(name: str) -> None:
    """A class or a function names the wing as its module, which a repr or the reference shows."""
    value = public()[name]
    if isinstance(value, type | FunctionType):
        assert value.__module__ == WING
        assert getattr(importlib.import_module(value.__module__), value.__name__) is value
        assert pickle.loads(pickle.dumps(value)) is value
        assert value.__doc__


FAILURE = WindowError("window failed", tenant="VOICE-29001-1", attempts=3)
QUERY = Unfinished(
    datefrom=date(2024, 3, 5),
    dateto=None,
    tenant="VOICE-29001-1",
    format="csv",
    formula_safe=False,
    unique_by="leg",
    clip=None,
)
VALUES = [
    ExportExistsError("it exists"),
    ExportBusyError("it is busy"),
    UnfitValueError("it does not fit"),
    IncompleteExportError("1 window", failures=[FAILURE]),
    Exported(path=Path("calls.csv"), records=3, conflicts=1, stats=Stats(records=3)),
    QUERY,
    CallsFile(
        path=Path("calls.csv"),
        rows="legs",
        first=None,
        last=None,
        timezone=ZoneInfo("Europe/Zurich"),
        country="CH",
        margin=timedelta(hours=4),
        is_in_order=True,
    ),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_pickle_by_the_public_path(value: object) -> None:
    """A pickle names no module inside the wing, so that it survives when one is renamed."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        pickled = pickle.dumps(value, protocol)
        assert WING.encode() in pickled
        assert f"{WING}.".encode() not in pickled
        again = pickle.loads(pickled)
        assert type(again) is type(value)
        assert str(again) == str(value)
        if isinstance(value, IncompleteExportError):
            assert [(f.tenant, f.attempts) for f in again.failures] == [("VOICE-29001-1", 3)]
        if not isinstance(value, Exception):
            assert again == value


def test_no_other_value_needs_a_pickle() -> None:
    """The list above has each public class."""
    classes = {value for value in public().values() if isinstance(value, type)}
    assert classes == {type(value) for value in VALUES}


@pytest.mark.parametrize("cls", [CallsFile, Exported, Unfinished])
def test_types_can_be_read(cls: type[attrs.AttrsInstance]) -> None:
    """Though `__module__` is another one, the types of the fields can be found out at run time."""
    hints = typing.get_type_hints(cls)
    assert list(hints) == [field.name for field in attrs.fields(cls)]
    assert not [hint for hint in hints.values() if isinstance(hint, str)]
    assert "Stats" not in vars(boxis_async.export)


def test_cattrs_knows_the_values() -> None:
    """They can be put into JSON by cattrs, as other values of attrs can."""
    plain = cattrs.Converter().unstructure(QUERY)
    assert (plain["datefrom"], plain["unique_by"]) == (date(2024, 3, 5), "leg")
