"""The reference: each public name is there once, under the path from which users import it."""

from __future__ import annotations

import importlib
import inspect
import re
from typing import TYPE_CHECKING

import pytest
from paths import ROOT

import boxis_async
import boxis_async.export
import boxis_async.fleet
import boxis_async.mirror
import boxis_async.otel
import boxis_async.pydantic
import boxis_async.report
import boxis_async.testing
import boxis_async.types

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

TEXT = "".join(page.read_text("utf-8") for page in sorted((ROOT / "docs").glob("reference*.md")))
FACES = (
    *(boxis_async, boxis_async.types, boxis_async.export, boxis_async.fleet, boxis_async.mirror),
    *(boxis_async.otel, boxis_async.pydantic, boxis_async.report, boxis_async.testing),
)

DIRECTIVE = re.compile(
    r"^\.\. (?:currentmodule:: (?P<module>\S+)|auto\w+:: (?P<name>[\w.]+).*)\n"
    r"(?P<options>(?:   :.*\n)*)",
    re.MULTILINE,
)
EXCLUDED = re.compile(r":exclude-members: (?P<names>.+)")


def documented() -> Iterator[tuple[str, str, list[str]]]:
    """List what is documented: the module, the name in it, and the members that are left out."""
    module = ""
    for found in DIRECTIVE.finditer(TEXT):
        if found["module"]:
            module = found["module"]
            continue
        excluded = EXCLUDED.search(found["options"])
        yield module, found["name"], excluded["names"].split(", ") if excluded else []


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.__name__)
def test_each_public_name_is_documented_once(face: ModuleType) -> None:
    """The reference describes what a public module lists in `__all__`, and nothing else of it."""
    names = [name for module, name, _ in documented() if module == face.__name__]
    assert sorted(names) == sorted(face.__all__)


def test_no_class_is_documented_under_a_second_path() -> None:
    """A class or a function says that it is from the module under which it is documented."""
    for module, name, _ in documented():
        described = getattr(importlib.import_module(module), name)
        if inspect.isclass(described) or inspect.isfunction(described):
            assert described.__module__ == module, name


def test_members_that_are_left_out_exist() -> None:
    """What the reference leaves out of a class is there, so that no stale exception remains."""
    left_out = 0
    for module, name, excluded in documented():
        described = getattr(importlib.import_module(module), name)
        for member in excluded:
            assert hasattr(described, member), f"{name}.{member}"
            left_out += 1
    assert left_out
