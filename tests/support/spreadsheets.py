"""Files opened by LibreOffice, without a screen, and their cells read back."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TypeAlias
from xml.etree import ElementTree as ET

import attrs

__all__ = ["Cell", "csv_filter", "find_office", "open_file"]

_NAMES = {
    "office": "urn:oasis:names:tc:opendocument:xmlns:office:1.0",
    "table": "urn:oasis:names:tc:opendocument:xmlns:table:1.0",
    "text": "urn:oasis:names:tc:opendocument:xmlns:text:1.0",
}
_LANGUAGES = {"de": 1031, "en-US": 1033}
_VALUES = ("value", "date-value", "time-value", "boolean-value")
Rows: TypeAlias = "list[list[Cell]]"


@attrs.frozen
class Cell:
    """A cell as the program understood it: its type, its value as text, and its formula."""

    kind: str | None
    value: str
    formula: str | None = None


def find_office() -> str | None:
    """Give the path of LibreOffice, or None."""
    return shutil.which("soffice") or shutil.which("libreoffice")


def csv_filter(delimiter: str, language: str) -> str:
    """Say how a CSV file is opened: as UTF-8, with numbers and dates of a language, and formulas.

    The last token has texts that begin with = evaluated, as Excel does and as one may choose here.
    """
    tokens = [str(ord(delimiter)), "34", "76", "1", "", str(_LANGUAGES[language]), "false", "true"]
    return f"CSV:{','.join([*tokens, 'false', 'false', 'false', '-1', 'true'])}"


def open_file(path: Path, language: str, infilter: str | None = None) -> list[Rows]:
    """Open a file and give the cells of each sheet."""
    office = find_office()
    assert office is not None
    with tempfile.TemporaryDirectory() as folder:
        command = [office, f"-env:UserInstallation=file://{folder}/profile", "--headless"]
        command += ["--norestore", f"--language={language}"]
        command += [] if infilter is None else [f"--infilter={infilter}"]
        command += ["--convert-to", "fods", "--outdir", folder, str(path)]
        subprocess.run(command, capture_output=True, timeout=120, check=True)
        tree = ET.parse(Path(folder) / f"{path.stem}.fods")
        return [_rows(table) for table in tree.iter(_name("table", "table"))]


def _name(space: str, name: str) -> str:
    return f"{{{_NAMES[space]}}}{name}"


def _rows(table: ET.Element) -> Rows:
    found: Rows = []
    for row in table.iter(_name("table", "table-row")):
        line: list[Cell] = []
        for element in row.findall(_name("table", "table-cell")):
            cell = _cell(element)
            repeated = int(element.get(_name("table", "number-columns-repeated"), "1"))
            # At the end of a line there are thousands of empty ones.
            line += [cell] * (repeated if repeated < 1000 else 1)
        while line and line[-1].kind is None:
            line.pop()
        if line:
            found.append(line)
    return found


def _cell(element: ET.Element) -> Cell:
    paragraphs = ("".join(text.itertext()) for text in element.findall(_name("text", "p")))
    typed = (element.get(_name("office", name)) for name in _VALUES)
    return Cell(
        element.get(_name("office", "value-type")),
        next(filter(None, typed), "\n".join(paragraphs)),
        element.get(_name("table", "formula")),
    )
