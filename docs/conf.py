"""How Sphinx builds these pages; nothing here needs the network."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.builders.text import TextBuilder
from sphinx.pycode import ModuleAnalyzer

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

import llms

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
    from sphinx.writers.text import TextTranslator

project = "boxis_async"
author = "The boxis_async authors"
release = version = boxis_async.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build", "examples"]
html_theme = "furo"
html_title = f"boxis_async {release}"
html_static_path = ["_static"]
html_css_files = ["boxis.css"]
html_js_files = ["scrolls.js"]
html_copy_source = False
# What was printed is not copied.
copybutton_selector = "div:not(.highlight-text) > div.highlight > pre"
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

_FACES = (
    *(boxis_async, boxis_async.types, boxis_async.export),
    *(boxis_async.fleet, boxis_async.mirror),
    *(boxis_async.otel, boxis_async.pydantic, boxis_async.report, boxis_async.testing),
)
_FACE = "|".join({name for face in _FACES for name in face.__all__})
_MENTION = re.compile(rf"(?<![`:\w])`((?:{_FACE})(?:\.\w+)?)`(?!`)")


_FOUND_BY = {
    "web-backend": {"## Which status for which error": ("502", "503", "504")},
    "errors": {"## Slowing down": ("429",)},
}
"""What a reader may search for that the search leaves out, as it is a number: by its heading."""

_COLON = "\ue000"


def _hide_colon(_app: object, what: str, *event: object) -> None:
    """Keep napoleon from reading `Dropped: a copy` as a type and a description."""
    lines = cast("list[str]", event[-1])
    if what in {"attribute", "property"}:
        lines[:1] = [line.replace(":", _COLON) for line in lines[:1]]


def _drop_borrowed(_app: object, what: str, *event: object) -> None:
    """Drop what autodoc tells of a constant: it is the docstring of the constant's class."""
    lines = cast("list[str]", event[-1])
    if what == "data":
        lines[:] = [line for line in lines if line.startswith("alias of")]


def _finish(*event: object) -> None:
    """Show the colons again, and make each public name a link to where it is described."""
    lines = cast("list[str]", event[-1])
    lines[:] = [_MENTION.sub(r":py:obj:`\1`", line).replace(_COLON, ":") for line in lines]


def _shorten(*event: object) -> tuple[str, object] | None:
    """Leave out how a default is made, which attrs and Python can only show as objects.

    And the type of what stands for an argument that was left out, where None means something.
    """
    signature, returns = event[-2:]
    if signature is None:
        return None
    made = re.sub(r"NOTHING|<function [^>]*>", "...", str(signature))
    return re.sub(r" \| [~\w.]*_Unchanged\b", "", made), returns


def _read_sources() -> None:
    """Show autodoc the order of members in the modules behind each face.

    It reads the source of the module that a class names as its own. For a public class that is the
    face, which only imports, and the members would be sorted by name.
    """
    for face in _FACES:
        merged = ModuleAnalyzer.for_module(face.__name__)
        merged.analyze()
        for name in [name for name in sys.modules if name.startswith(f"{face.__name__}.")]:
            source = ModuleAnalyzer.for_module(name)
            source.analyze()
            before = len(merged.tagorder)
            merged.tagorder |= {tag: before + at for tag, at in source.tagorder.items()}
            merged.attr_docs |= source.attr_docs


class _Built:
    """What `llms` cannot read from the pages' sources."""

    def __init__(self, app: Sphinx) -> None:
        self._env = app.env
        self._builder = TextBuilder(app, app.env)
        self._builder.init()

    def as_text(self, page: str) -> str:
        tree = self._env.get_and_resolve_doctree(page, self._builder)
        writer = cast("TextTranslator", self._builder.create_translator(tree, self._builder))
        tree.walkabout(writer)
        return writer.body

    def examples(self, page: str) -> list[str]:
        blocks = self._env.get_doctree(page).findall(nodes.literal_block)
        return [block.astext() for block in blocks if "/examples/" in str(block.get("source"))]


def _write_for_models(app: Sphinx, exception: Exception | None) -> None:
    """Put llms.txt, and the pages in Markdown, beside the pages in HTML."""
    if exception is None and app.builder.name == "html":
        llms.write(Path(app.srcdir), Path(app.outdir), _Built(app))


def _let_be_found(_app: object, page: str, source: list[str]) -> None:
    """Give numbers an entry in the index, which the search looks through too."""
    for heading, numbers in _FOUND_BY.get(page, {}).items():
        entries = "\n".join(f"```{{index}} single: {number}\n```" for number in numbers)
        before, found, after = source[0].partition(f"{heading}\n")
        source[0] = f"{before}{found}\n{entries}\n{after}"


def setup(app: Sphinx) -> None:
    """Register what the docstrings need, before napoleon and after it."""
    _read_sources()
    # In a command line, `export` is most often a command of ours, and a date is no sum.
    app.add_lexer("sh", TextLexer)
    app.connect("autodoc-process-docstring", _drop_borrowed, priority=300)
    app.connect("autodoc-process-docstring", _hide_colon, priority=400)
    app.connect("autodoc-process-docstring", _finish, priority=900)
    app.connect("autodoc-process-signature", _shorten)
    app.connect("source-read", _let_be_found)
    app.connect("build-finished", _write_for_models)
