"""What stands beside each partition, as JSON: what it holds, and what that rests on."""

# No `from __future__ import annotations` here, see periods.py.

import json
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, Literal, Self, TypeAlias, cast

import attrs

from boxis_async.fleet.errors import DataSetError

__all__ = ["Failure", "Manifest", "PartitionState"]

PartitionState: TypeAlias = Literal["complete", "young", "missing", "failed"]
"""How a partition stands: `young` was written before its records were at rest."""

_VERSION: Final = 1
_LONGEST_REASON: Final = 80


@attrs.frozen(kw_only=True)
class Manifest:
    """What a partition holds, and what that rests on."""

    tenant: str
    period: str
    state: Literal["complete", "young"]
    timezone: str
    """The zone of the wall clock by which the period begins and ends."""
    rows: int
    size: int
    """The bytes of the Parquet file."""
    sha256: str
    """The digest of its bytes."""
    sealed: tuple[tuple[datetime, datetime], ...]
    """The spans, by the wall clock, that were at rest."""
    contract: dict[str, str | int | bool]
    """What the client knew of the provider's two dates, as `Contract.to_dict` gives it."""
    counts: dict[str, int]
    """What was dropped: duplicates, conflicts, revisions; and legs that start in other periods."""

    def to_json(self) -> bytes:
        """Write it."""
        content = attrs.asdict(self, recurse=False) | {
            "sealed": [[f"{start}", f"{end}"] for start, end in self.sealed]
        }
        return _written(content)

    @classmethod
    def from_json(cls, text: bytes, where: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            DataSetError: It is something else.
        """
        content = _read(text, where)
        try:
            spans = tuple(
                (datetime.fromisoformat(start), datetime.fromisoformat(end))
                for start, end in content.pop("sealed")
            )
            return cls(sealed=spans, **content)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(where, error) from error


@attrs.frozen(kw_only=True)
class Failure:
    """Why a partition could not be had, the last time."""

    tenant: str
    period: str
    kind: str
    """The class of the error."""
    error: str

    def to_json(self) -> bytes:
        """Write it."""
        return _written(attrs.asdict(self))

    @classmethod
    def from_json(cls, text: bytes, where: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            DataSetError: It is something else.
        """
        try:
            return cls(**_read(text, where))
        except TypeError as error:
            raise _damaged(where, error) from error


def _written(content: dict[str, Any]) -> bytes:
    summed = content | {"sum": _sum_of(content)}
    return (json.dumps({"version": _VERSION} | summed, indent=1) + "\n").encode()


def _sum_of(content: dict[str, Any]) -> str:
    return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def _read(text: bytes, where: str) -> dict[str, Any]:
    try:
        content = cast("dict[str, Any]", json.loads(text))
        version = content.pop("version")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(where, error) from error
    if version != _VERSION:
        raise DataSetError(
            f"{where} is of version {version!r:.60}, and this library reads version {_VERSION}: "
            "remove the folder of the partition, and harvest it again"
        )
    # One digit of a span that was at rest would be a gap that nobody sees.
    if content.pop("sum", None) != _sum_of(content):
        raise _damaged(where, ValueError("its checksum does not fit"))
    return content


def _reason(error: Exception) -> str:
    # Python's own words may be as long as the file.
    text = str(error)
    return text if text and len(text) < _LONGEST_REASON else type(error).__name__


def _damaged(where: str, error: Exception) -> DataSetError:
    return DataSetError(
        f"{where} is not what a harvest writes ({_reason(error)}): remove the folder of the "
        "partition, and harvest it again"
    )
