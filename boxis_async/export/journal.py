"""The journal of an export: its last checkpoint, as a JSON file beside what is written.

The journal pairs a coverage with the positions of the files that were written by then. It is
replaced in one step, so that a reader finds this checkpoint or the one before, never a mix.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from datetime import UTC, date, datetime, time
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs

from boxis_async import Coverage, UsageError
from boxis_async.export.errors import DamagedError
from boxis_async.export.files import Position, write_anew
from boxis_async.export.formats import FORMATS
from boxis_async.export.open_folder import OpenFolder
from boxis_async.export.values import Unfinished

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["JOURNAL_FILES", "Journal", "differences", "folder_name", "resolve_path", "unfinished"]

JOURNAL_FILES = "journal.json*"
"""The names that the journal, and a draft of it, have in its folder."""

_VERSION = 1
_NAME = "journal.json"
_LONGEST_SHOWN = 200
# The names in the file, where they differ from those of the attributes. They must stay, so that the
# journal of an export that an earlier version began can be read.
_STORED_NAMES = {
    "request": "asked",
    "draft": "mark",
    "finished": "whole",
    "may_overwrite": "replaces",
}
_ATTRIBUTES = {stored: attribute for attribute, stored in _STORED_NAMES.items()}
# As many as Linux follows.
_MOST_LINKS = 40
_LONGEST_PROBLEM = 200
# The 39 columns of a leg, all named, take 500 characters.
_LONGEST_QUERY = 4_000
_PROGRESS = frozenset({"records", "covered"})


@attrs.frozen(kw_only=True)
class Journal:
    """A checkpoint of an export."""

    request: Unfinished
    """What the file is to contain, and how far it is."""
    fingerprint: str = ""
    """The coverage's, which also stands for what `request` lacks, such as the client's zone."""
    coverage: str | None = None
    """As `Coverage.to_json` writes it; None before the first checkpoint."""
    draft: Position | None = None
    keys: Position | None = None
    conflicts: int = 0
    may_overwrite: bool = False
    """Whether the export may replace an existing file."""
    is_fetched: bool = False
    """Whether all is fetched, and only the last steps on the disk are missing."""
    finished: Position | None = None
    """Of the finished file, once it was made; it is in its place or ready to go there."""
    rejects: int = 0
    """How many records could not be read, once all is fetched. They are in a file of the folder,
    or in its place already."""
    calls: int | None = None
    """The rows of the finished file, where they are calls."""

    @property
    def is_finished(self) -> bool:
        """Whether the finished file was made."""
        return self.finished is not None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept that could be lost."""
        return not (self.request.records or self.request.covered or self.is_fetched)

    def check(self) -> None:
        """Check that a checkpoint can be what it says, whoever wrote it.

        Raises:
            ValueError: It cannot be.
        """
        request = self.request
        positions = (self.draft or (), self.keys or (), self.finished or ())
        counts = (request.records, self.conflicts, *(n for position in positions for n in position))
        if any(type(count) is not int or count < 0 for count in counts):
            raise ValueError("a number in it is not a count")
        # Messages show the query, and whoever can write the folder can write a text of any length.
        if len(str(attrs.astuple(request))) > _LONGEST_QUERY:
            raise ValueError("its query is too long")
        if not 0 <= request.covered <= 1:
            raise ValueError("it covers no share of the range")
        if request.records and None in (self.draft, self.keys):
            raise ValueError("it has records, and does not say where")
        if self.coverage is None and not (self.is_fetched or self.is_empty):
            raise ValueError("it has records, and does not say of which windows")
        self.parsed_coverage()  # which raises an error if it cannot be read

    def parsed_coverage(self) -> Coverage | None:
        """Give the coverage: what need not be fetched again."""
        return None if self.coverage is None else Coverage.from_json(self.coverage)

    def save(self, folder: OpenFolder) -> None:
        """Write the journal to a folder, in one step."""
        values = {
            _STORED_NAMES.get(name, name): value for name, value in attrs.asdict(self).items()
        }
        request = values["asked"]
        request |= {name: _written(request[name]) for name in ("datefrom", "dateto")}
        text = json.dumps({"version": _VERSION, "sum": _checksum(values)} | values, indent=1)
        draft = f"{_NAME}.new"
        write_anew(folder, draft, text.encode())
        folder.move(draft, folder, _NAME)
        folder.sync()

    @classmethod
    def load(cls, folder: OpenFolder) -> Journal | None:
        """Read what `save` wrote, or None if the folder has no journal.

        Raises:
            UsageError: The file is something else, or of a version that this one cannot read.
        """
        try:
            with folder.open(_NAME) as file:
                return cls._parse(file.readall())
        except FileNotFoundError:
            return None
        except (
            DamagedError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RecursionError,
        ) as error:
            # Some errors show all that they are about: here the whole file.
            problem = f"{type(error).__name__}: {error}"[:_LONGEST_PROBLEM]
            raise UsageError(
                f"{folder.path / _NAME} is not a journal that this version can resume "
                f"({problem}): start over (overwrite=True, without resume), or remove its folder"
            ) from error

    @classmethod
    def _parse(cls, text: bytes) -> Journal:
        stored = cast("dict[str, Any]", json.loads(text))
        if (version := stored.pop("version")) != _VERSION:
            raise ValueError(f"it is of version {version}, not {_VERSION}")
        if stored.pop("sum") != _checksum(stored):
            raise ValueError("it was changed")
        values = {_ATTRIBUTES.get(name, name): value for name, value in stored.items()}
        request = values.pop("request")
        request |= {name: _read(request[name]) for name in ("datefrom", "dateto")}
        if isinstance(request.get("columns"), list):
            request["columns"] = tuple(request["columns"])
        if request["format"] not in FORMATS:
            raise ValueError("it has an unknown format")
        values |= {name: _position(values[name]) for name in ("draft", "keys", "finished")}
        journal = cls(request=Unfinished(**request), **values)
        journal.check()
        return journal


def differences(unfinished: Unfinished, request: Unfinished) -> list[str]:
    """List, as texts, where an unfinished export differs from what is requested now."""
    names = [name for name in attrs.fields_dict(Unfinished) if name not in _PROGRESS]
    if unfinished.tenant is None:
        # An earlier version wrote None for the client's own tenant. The fingerprint shows whether
        # it is another one.
        names.remove("tenant")
    pairs = [(name, getattr(unfinished, name), getattr(request, name)) for name in names]
    return [
        f"{name} was {_shown(before)}, not {_shown(now)}"
        for name, before, now in pairs
        if _comparable(before) != _comparable(now)
    ]


def resolve_path(path: str | os.PathLike[str]) -> Path:
    """Give the absolute path of a file, with links followed.

    Raises:
        UsageError: The path cannot be that of a file, a link leads in a circle, or somebody else
            put it into a folder that all may write to.
    """
    given = Path(path)
    _check_links(given)
    try:
        resolved = given.resolve()
    except RuntimeError as error:
        raise UsageError(f"{given} cannot be found: {error}") from error
    if not resolved.name:
        raise UsageError(f"{resolved} is not a file: name one that can be made or replaced")
    return resolved


def _check_links(path: Path) -> None:
    """Refuse what Linux refuses to follow where `fs.protected_symlinks` is set.

    Raises:
        UsageError: The path is a pipe or a device, or a link that somebody else put into a folder
            that all may write to.
    """
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise UsageError(
                f"{path} is not a file, but a pipe or a device: name a file, or write to it as to "
                "an open file (write(), or -o - for standard output)"
            )
    for _ in range(_MOST_LINKS):
        try:
            found, folder = path.lstat(), path.parent.stat()
            if not stat.S_ISLNK(found.st_mode):
                return
            target = path.readlink()
        except OSError:
            return
        is_open_to_all = bool(folder.st_mode & stat.S_IWOTH)
        if is_open_to_all and found.st_uid not in (os.geteuid(), folder.st_uid):
            raise UsageError(
                f"{path} is a link that somebody else put into a folder that all may write to: "
                "name another file, or remove the link"
            )
        path = path.parent / target


def folder_name(target: Path) -> str:
    """Name the folder for the work on a file; it is beside it."""
    return f"{target.name}.unfinished"


def unfinished(target: str | os.PathLike[str]) -> Unfinished | None:
    """Give the unfinished export of a file, or None if there is none.

    Raises:
        UsageError: Its journal cannot be read, or somebody else made it.
    """
    path = resolve_path(target)
    try:
        place = OpenFolder.of(path.parent)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with place:
        folder = place.find_ours(folder_name(path))
        if folder is None:
            return None
        with folder:
            journal = Journal.load(folder)
    return None if journal is None else journal.request


def _checksum(values: dict[str, Any]) -> str:
    return blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=16).hexdigest()


def _position(numbers: Sequence[int] | None) -> Position | None:
    return None if numbers is None else tuple(numbers)


def _comparable(value: object) -> object:
    """Make ends of a range comparable: by the moment if it is aware, a date as its midnight."""
    if isinstance(value, datetime):
        # Python says that a moment in a repeated hour differs from itself in another zone.
        return value if value.utcoffset() is None else value.astimezone(UTC)
    return datetime.combine(value, time()) if isinstance(value, date) else value


def _shown(value: object) -> str:
    shown = str(value) if isinstance(value, date) else repr(value)
    # Whatever stands in a journal: it may be as long as the file.
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}…"


def _written(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


def _read(text: str | None) -> date | None:
    if text is None:
        return None
    return (
        date.fromisoformat(text) if len(text) == len("2026-10-01") else datetime.fromisoformat(text)
    )
