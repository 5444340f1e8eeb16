"""How Sphinx builds these pages; nothing here needs the network."""

import re
import sys
from pathlib import Path
from typing import cast

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent.parent))

import boxis_async
import boxis_async.testing

project = "boxis_async"
author = "The boxis_async authors"
release = version = boxis_async.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "examples"]
html_theme = "furo"
html_title = f"boxis_async {release}"
html_copy_source = False
html_show_sphinx = html_show_copyright = False

# So that `page.md#a-heading` works here as it does where the pages are read as plain Markdown.
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True}
autodoc_type_aliases = {"UniqueBy": "UniqueBy", "Order": "Order", "Clip": "Clip"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
maximum_signature_line_length = 80
python_use_unqualified_type_names = True
# The docstrings set code in single backticks, as Markdown does.
default_role = "code"

_FACE = "|".join({*boxis_async.__all__, *boxis_async.testing.__all__})
_MENTION = re.compile(rf"(?<![`:\w])`((?:{_FACE})(?:\.\w+)?)`(?!`)")


_COLON = "\ue000"


def _hide_colon(_app: object, what: str, *event: object) -> None:
    """Keep napoleon from reading `Dropped: a copy` as a type and a description."""
    lines = cast("list[str]", event[-1])
    if what in {"attribute", "property"}:
        lines[:1] = [line.replace(":", _COLON) for line in lines[:1]]


def _finish(*event: object) -> None:
    """Show the colons again, and make each public name a link to where it is described."""
    lines = cast("list[str]", event[-1])
    lines[:] = [_MENTION.sub(r":py:obj:`\1`", line).replace(_COLON, ":") for line in lines]


def _shorten(*event: object) -> tuple[str, object] | None:
    """Leave out how a default is made, which attrs and Python can only show as objects."""
    signature, returns = event[-2:]
    if signature is None:
        return None
    return re.sub(r"NOTHING|<function [^>]*>", "...", str(signature)), returns


def setup(app: Sphinx) -> None:
    """Register what the docstrings need, before napoleon and after it."""
    app.connect("autodoc-process-docstring", _hide_colon, priority=400)
    app.connect("autodoc-process-docstring", _finish, priority=900)
    app.connect("autodoc-process-signature", _shorten)
