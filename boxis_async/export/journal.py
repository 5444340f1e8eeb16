"""What stands beside a file that is being written: what was asked for, and how far it is."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attrs

from boxis_async import Coverage, UsageError
from boxis_async.export.drafts import Mark, sync
from boxis_async.export.formats import FORMATS, Format

if TYPE_CHECKING:
    import os

__all__ = ["Journal", "Unfinished", "folder_of", "unfinished"]

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
    """The tenant, or None for the client's own."""
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
        pairs = [
            (name, getattr(self, name), getattr(other, name))
            for name in attrs.fields_dict(Unfinished)
            if name not in progress
        ]
        return [f"{name} was {old!r}, not {new!r}" for name, old, new in pairs if old != new]


@attrs.frozen(kw_only=True)
class Journal:
    """A checkpoint of an export: both what is covered and how much of the draft that is."""

    asked: Unfinished
    coverage: str | None = None
    """As `Coverage.to_json` writes it; None before the first checkpoint."""
    mark: Mark | None = None
    keys: int = 0
    """How many keys of the records that are kept stand in the file of keys."""
    conflicts: int = 0
    replaces: bool = False
    """Whether a file that is there may be replaced in the end."""
    is_fetched: bool = False
    """Whether nothing is missing but the last steps on the disk."""
    is_whole: bool = False
    """Whether the finished file was made, and is in its place or ready to go there."""

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
            file.write(json.dumps({"version": _VERSION} | told, indent=1).encode())
            sync(file)
        draft.replace(folder / _NAME)

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
            asked = told.pop("asked")
            mark = told.pop("mark")
            asked |= {name: _read(asked[name]) for name in ("datefrom", "dateto")}
            if asked["format"] not in FORMATS:
                raise ValueError("of an unknown format")  # noqa: TRY301 - told with the others
            journal = cls(
                asked=Unfinished(**asked), mark=None if mark is None else tuple(mark), **told
            )
            journal.done  # noqa: B018 - raises where it cannot be read
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(
                f"{path} is no journal that can be gone on with ({error}): begin anew "
                "(overwrite=True), or remove its folder"
            ) from error
        return journal


def folder_of(target: Path) -> Path:
    """Give the folder in which the work on a file stands, beside it."""
    return target.with_name(f"{target.name}.unfinished")


def unfinished(target: str | os.PathLike[str]) -> Unfinished | None:
    """Tell which export of a file was begun and did not end, or None.

    Raises:
        UsageError: Its journal cannot be read.
    """
    journal = Journal.load(folder_of(Path(target).resolve()))
    return None if journal is None else journal.asked


def _written(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


def _read(text: str | None) -> date | None:
    if text is None:
        return None
    return (
        date.fromisoformat(text) if len(text) == len("2026-10-01") else datetime.fromisoformat(text)
    )
