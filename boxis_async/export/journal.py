"""What stands beside a file that is being written: what was asked for, and how far it is."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs

from boxis_async import Coverage, UsageError
from boxis_async.export.files import Mark, sync, sync_folder
from boxis_async.export.formats import FORMATS, Format

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

__all__ = ["Journal", "Unfinished", "folder_of", "place_of", "unfinished"]

_VERSION = 1
_NAME = "journal.json"


@attrs.frozen(kw_only=True)
class Unfinished:
    """An export that was begun and did not end: what it asks for, and how far it is.

    Call `export` with the same values and `resume=True` to go on with it.
    """

    datefrom: date | None
    """The start of the range, as it was given."""
    dateto: date | None
    """The end of the range; of one that ran to "now", the wall-clock time that this was."""
    tenant: str | None
    """The tenant; None, the client's own, in a journal of an earlier version."""
    format: Format
    formula_safe: bool
    unique_by: str
    """`"uniqueid"`, `"leg"`, or the name of a function."""
    clip: str | None
    records: int = 0
    """Records that are kept."""
    covered: float = 0.0
    """The share of the range, from 0 to 1, that is done."""

    def differences(self, other: Unfinished) -> list[str]:
        """Tell in which points two exports ask for something else."""
        progress = {"records", "covered"}
        if self.tenant is None or other.tenant is None:
            # An earlier version wrote None for the client's own tenant: the fingerprint holds
            # which one that was.
            progress.add("tenant")
        pairs = [
            (name, getattr(self, name), getattr(other, name))
            for name in attrs.fields_dict(Unfinished)
            if name not in progress
        ]
        return [
            f"{name} was {_told(old)}, not {_told(new)}"
            for name, old, new in pairs
            if _meant(old) != _meant(new)
        ]


@attrs.frozen(kw_only=True)
class Journal:
    """A checkpoint of an export: both what is covered and how much of the draft that is."""

    asked: Unfinished
    fingerprint: str = ""
    """As the coverage has it; it tells apart what `asked` cannot, as the client's own zone."""
    coverage: str | None = None
    """As `Coverage.to_json` writes it; None before the first checkpoint."""
    mark: Mark | None = None
    keys: Mark | None = None
    """Of the file with the keys of the records that are kept."""
    conflicts: int = 0
    replaces: bool = False
    """Whether a file that is there may be replaced in the end."""
    is_fetched: bool = False
    """Whether nothing is missing but the last steps on the disk."""
    whole: Mark | None = None
    """Of the finished file, once it was made; it is in its place or ready to go there."""

    @property
    def is_whole(self) -> bool:
        """Whether the finished file was made."""
        return self.whole is not None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept that would be lost."""
        return not (self.asked.records or self.asked.covered or self.is_fetched)

    @property
    def done(self) -> Coverage | None:
        """What is fetched already."""
        return None if self.coverage is None else Coverage.from_json(self.coverage)

    def save(self, folder: Path) -> None:
        """Write it, at once or not at all."""
        told = attrs.asdict(self)
        asked = told["asked"]
        asked["datefrom"], asked["dateto"] = map(_written, (asked["datefrom"], asked["dateto"]))
        draft = folder / f"{_NAME}.new"
        with draft.open("wb") as file:
            text = json.dumps({"version": _VERSION, "sum": _sum(told)} | told, indent=1)
            file.write(text.encode())
            sync(file)
        draft.replace(folder / _NAME)
        sync_folder(folder)

    @classmethod
    def load(cls, folder: Path) -> Journal | None:
        """Read what `save` wrote, or None where nothing is.

        Raises:
            UsageError: It is something else, or of a version that this one does not know.
        """
        path = folder / _NAME
        try:
            told = cast("dict[str, Any]", json.loads(path.read_bytes()))
            if told.pop("version") != _VERSION:
                raise ValueError("of another version")  # noqa: TRY301 - told with the others
            if told.pop("sum") != _sum(told):
                raise ValueError("it was changed")  # noqa: TRY301 - told with the others
            asked = told.pop("asked")
            mark, keys, whole = map(_mark, map(told.pop, ("mark", "keys", "whole")))
            asked |= {name: _read(asked[name]) for name in ("datefrom", "dateto")}
            if asked["format"] not in FORMATS:
                raise ValueError("of an unknown format")  # noqa: TRY301 - told with the others
            journal = cls(asked=Unfinished(**asked), mark=mark, keys=keys, whole=whole, **told)
            journal.done  # noqa: B018 - raises where it cannot be read
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise UsageError(
                f"{path} is no journal that can be gone on with ({error!r}): begin anew "
                "(overwrite=True, without resume), or remove its folder"
            ) from error
        return journal


def place_of(target: str | os.PathLike[str]) -> Path:
    """Give the place of a file, past links.

    Raises:
        UsageError: It names no file, or a link that leads in a circle.
    """
    try:
        path = Path(target).resolve()
    except RuntimeError as error:
        raise UsageError(f"{Path(target)} cannot be found: {error}") from error
    if not path.name:
        raise UsageError(f"{path} is no file: name one that may be made or replaced")
    return path


def folder_of(target: Path) -> Path:
    """Give the folder in which the work on a file stands, beside it."""
    return target.with_name(f"{target.name}.unfinished")


def unfinished(target: str | os.PathLike[str]) -> Unfinished | None:
    """Tell which export of a file was begun and did not end, or None.

    Raises:
        UsageError: Its journal cannot be read.
    """
    journal = Journal.load(folder_of(place_of(target)))
    return None if journal is None else journal.asked


def _sum(told: dict[str, Any]) -> str:
    """Sum up a journal, so that one that was changed is known."""
    return blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=16).hexdigest()


def _mark(numbers: Sequence[int] | None) -> Mark | None:
    return None if numbers is None else tuple(numbers)


def _meant(value: object) -> object:
    """Give what can be compared: a moment is the same in each zone, a date is its midnight."""
    if isinstance(value, datetime):
        # Else one in a repeated hour would be unlike itself in another zone, as Python has it.
        return value if value.utcoffset() is None else value.astimezone(UTC)
    return datetime.combine(value, time()) if isinstance(value, date) else value


def _told(value: object) -> str:
    return str(value) if isinstance(value, date) else repr(value)


def _written(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


def _read(text: str | None) -> date | None:
    if text is None:
        return None
    return (
        date.fromisoformat(text) if len(text) == len("2026-10-01") else datetime.fromisoformat(text)
    )
