"""The one way to the screen: whatever is shown is made printable first.

Names of callers, texts of the provider and names of files are chosen by others, and a terminal
obeys some characters. So each text that a command shows goes through here, as one paragraph: a
line break in it is shown, not made. Only `show_data` keeps line breaks and tabs, of our own output
for programs, whose values have none. Cells of tables go through `printable` in `tables`.
"""

from __future__ import annotations

import re
import shutil
import sys
from textwrap import fill
from typing import IO, TYPE_CHECKING, Any

import click

from boxis_async import printable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO, TextIO

__all__ = ["PrintableOutput", "show", "show_data", "show_lines", "wrap"]

_WITHIN_A_CELL = re.compile(r"[^\n\t]+")


def show(
    text: str = "",
    *,
    on_stdout: bool = False,
    wraps: bool = True,
    indent: int = 0,
    file: IO[Any] | None = None,
) -> None:
    """Write a paragraph to standard error, or to standard output.

    Args:
        text: The text.
        on_stdout: Whether it is a result, for standard output.
        wraps: Whether a terminal gets it in lines of its width.
        indent: How many spaces begin each further line.
        file: Where else to write it.
    """
    if wraps:
        text = wrap(text, stream=sys.stdout if on_stdout else sys.stderr, indent=indent)
    else:
        text = printable(text)
    click.echo(text, file=file, err=not on_stdout)


def show_data(text: str, *, ends_line: bool = True) -> None:
    """Write output for programs, such as JSON, to standard output: its lines and tabs stay."""
    click.echo(_WITHIN_A_CELL.sub(lambda found: printable(found[0]), text), nl=ends_line)


def show_lines(lines: Iterable[str], *, end: str = "\n") -> None:
    """Write records to standard output, a line each: exactly in a pipe, printable at a terminal."""
    at_terminal = sys.stdout.isatty()
    for line in lines:
        sys.stdout.write((printable(line) if at_terminal else line) + end)
    sys.stdout.flush()


def wrap(text: str, *, stream: TextIO | None = None, indent: int = 0) -> str:
    """Make a text printable, and break it between words to the width of a terminal.

    In a pipe it stays one line.

    Args:
        text: The text.
        stream: Where it will be written; standard error unless given.
        indent: How many spaces begin each further line.
    """
    text = printable(text)
    if not (stream or sys.stderr).isatty():
        return text
    width = max(2 * indent, shutil.get_terminal_size().columns - 1)
    # Do not break what one may want to copy, such as a path.
    return fill(
        text,
        width,
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


class PrintableOutput:
    """A terminal that records are exported to: as CSV cannot escape what it obeys, this does.

    Args:
        file: The terminal, open for bytes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: bytes, /) -> int:
        """Write whole lines of text."""
        lines = data.decode("utf-8").split("\r\n")
        shown = "\r\n".join("\n".join(map(printable, line.split("\n"))) for line in lines)
        self._file.write(shown.encode("utf-8"))
        return len(data)

    def flush(self) -> None:
        """Flush the terminal."""
        self._file.flush()
