"""The examples of the documentation, for the tests that start them."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

from paths import ROOT

if TYPE_CHECKING:
    from types import ModuleType

EXAMPLES = ROOT / "docs" / "examples"


def load(name: str) -> ModuleType:
    """Load an example anew, by the name of its file."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # As when it is started: what lies beside it can be imported.
    sys.path.insert(0, str(EXAMPLES))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(EXAMPLES))
    return module
