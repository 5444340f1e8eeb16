"""A data set: a folder for each tenant and period, and what was harvested into it.

    DATASET/_dataset.json                              what was wanted, of which kind of period
    DATASET/tenant=VOICE-29001-1/period=2026-10/
        legs.parquet                                   the legs, in place at once
        _manifest.json                                 what the file holds, written after it
        _failure.json                                  why it could not be had, the last time

A partition is there if its manifest is, and the file has the size that the manifest says. Readers
pass over names that begin with an underscore or a dot.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote, unquote

import attrs

from boxis_async.fleet.errors import DataSetError
from boxis_async.fleet.manifest import Failure, Manifest, PartitionState
from boxis_async.fleet.periods import PERIODS, period_named, periods_between
from boxis_async.fleet.storage import open_storage
from boxis_async.moments import read_date

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from boxis_async.fleet.periods import PeriodKind
    from boxis_async.fleet.storage import Storage

__all__ = ["DataSet", "Found", "Place", "Wanted", "as_wall"]

_VERSION: Final = 1
_DATASET, _LEGS = "_dataset.json", "legs.parquet"
_MANIFEST, _FAILURE = "_manifest.json", "_failure.json"
# To read a manifest takes some 0.1 ms in a folder, and some 20 ms in S3.
_READERS: Final = 16


@attrs.frozen(order=True)
class Place:
    """Which partition: a tenant, and the name of a period."""

    tenant: str
    period: str

    @property
    def folder(self) -> str:
        """The path of its folder."""
        # A tenant is whatever the provider calls so: no character of it may be a path's.
        return f"tenant={quote(self.tenant, safe='')}/period={self.period}"


@attrs.frozen
class Found:
    """What is there of a partition."""

    state: PartitionState
    manifest: Manifest | None = None
    failure: Failure | None = None


@attrs.frozen
class Wanted:
    """What a harvest was to put into a data set."""

    tenants: tuple[str, ...]
    datefrom: datetime
    dateto: datetime


class DataSet:
    """A data set, by its address.

    Raises:
        UsageError: The address cannot be.
    """

    def __init__(self, url: str | os.PathLike[str]) -> None:
        self.storage: Storage = open_storage(url)
        self.address = str(url)
        """As it was given, for whoever opens it elsewhere."""
        self.url = self.storage.url
        """For people."""

    def header(self) -> tuple[PeriodKind, list[Wanted]] | None:
        """Read of which kind its periods are, and what was wanted; None where there is no data set.

        Raises:
            DataSetError: It is there, and cannot be read.
        """
        text = self.storage.read(_DATASET)
        if text is None:
            return None
        where = f"{self.url}/{_DATASET}"
        try:
            content = cast("dict[str, Any]", json.loads(text))
            version, kind = content["version"], content["period"]
            wanted = [
                Wanted(
                    tuple(map(str, one["tenants"])),
                    datetime.fromisoformat(one["from"]),
                    datetime.fromisoformat(one["to"]),
                )
                for one in content["wanted"]
            ]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataSetError(f"{where} is not what a harvest writes: name another folder") from (
                error
            )
        if version != _VERSION or kind not in PERIODS:
            raise DataSetError(
                f"{where} is of version {version!r:.60}, and this library reads version {_VERSION}"
            )
        return kind, wanted

    def want(self, kind: PeriodKind, wanted: Wanted) -> None:
        """Make the data set, or note in it what is wanted besides.

        Raises:
            DataSetError: Its periods are of another kind, it is a folder of something else, or it
                cannot be written.
        """
        before = self.header()
        listed: list[Wanted] = []
        if before is not None:
            if before[0] != kind:
                raise DataSetError(
                    f"{self.url} has a partition for each {before[0]}: give "
                    f'period="{before[0]}", or another data set'
                )
            listed = before[1]
        elif files := sorted(path for path in self.storage.files() if not path.startswith(".")):
            raise DataSetError(
                f"{self.url} is no data set, and holds other files, such as {files[0]}: name a "
                "new folder"
            )
        # The same tenants once more, each month: one entry, and not one more each time.
        same = [one for one in listed if one.tenants == wanted.tenants]
        others = [one for one in listed if one.tenants != wanted.tenants]
        joined = Wanted(
            wanted.tenants,
            min(one.datefrom for one in (*same, wanted)),
            max(one.dateto for one in (*same, wanted)),
        )
        if same == [joined]:
            return
        content = {
            "version": _VERSION,
            "period": kind,
            "wanted": [
                {"tenants": one.tenants, "from": f"{one.datefrom}", "to": f"{one.dateto}"}
                for one in (*others, joined)
            ],
        }
        self.storage.put(_DATASET, (json.dumps(content) + "\n").encode())

    def is_there(self) -> bool:
        """Report whether the data set is there, as seen from this machine."""
        return self.storage.size(_DATASET) is not None

    def look_at(self, place: Place) -> Found:
        """Look what is there of one partition.

        Raises:
            DataSetError: A file cannot be read.
        """
        names = (_LEGS, _MANIFEST, _FAILURE)
        paths = [f"{place.folder}/{name}" for name in names]
        sizes = {path: size for path in paths if (size := self.storage.size(path)) is not None}
        return self._found(place, sizes)

    def look(self, places: Iterable[Place]) -> dict[Place, Found]:
        """Look what is there of many partitions: one listing, then the manifests, several at once.

        Raises:
            DataSetError: Something cannot be read.
        """
        sizes = self.storage.files()
        with ThreadPoolExecutor(_READERS, thread_name_prefix="boxis-fleet") as readers:
            listed = list(places)
            found = readers.map(partial(self._found, sizes=sizes), listed)
            return dict(zip(listed, found, strict=True))

    def places(self) -> list[Place]:
        """List the partitions of which anything is there, sorted."""
        return sorted({found for path in self.storage.files() if (found := _place(path))})

    def wanted_places(self) -> list[Place]:
        """List the partitions that were wanted, and those of which anything is there, sorted.

        Raises:
            DataSetError: There is no data set.
        """
        kind, wanted = self.require_header()
        found = set(self.places())
        for one in wanted:
            periods = periods_between(one.datefrom, one.dateto, kind)
            found |= {Place(tenant, period.name) for tenant in one.tenants for period in periods}
        return sorted(place for place in found if period_named(place.period, kind))

    def require_header(self) -> tuple[PeriodKind, list[Wanted]]:
        """Read of which kind its periods are, and what was wanted.

        Raises:
            DataSetError: There is no data set.
        """
        header = self.header()
        if header is None:
            raise DataSetError(
                f"{self.url} is no data set: there is no {_DATASET}. Harvest into it first"
            )
        return header

    def read_legs(self, place: Place) -> bytes | None:
        """Read the Parquet file of a partition; None where there is none."""
        return self.storage.read(f"{place.folder}/{_LEGS}")

    def put(self, place: Place, content: bytes, manifest: Manifest) -> None:
        """Write a partition: the file, then what says that it is there.

        Raises:
            DataSetError: It cannot be written.
        """
        self.storage.put(f"{place.folder}/{_LEGS}", content)
        self.storage.put(f"{place.folder}/{_MANIFEST}", manifest.to_json())
        self.storage.remove(f"{place.folder}/{_FAILURE}")

    def put_failure(self, place: Place, failure: Failure) -> None:
        """Write why a partition could not be had; what is there of it stays.

        Raises:
            DataSetError: It cannot be written.
        """
        self.storage.put(f"{place.folder}/{_FAILURE}", failure.to_json())

    def _found(self, place: Place, sizes: Mapping[str, int]) -> Found:
        legs, manifest_path, failure_path = (
            f"{place.folder}/{name}" for name in (_LEGS, _MANIFEST, _FAILURE)
        )
        manifest: Manifest | None = None
        if manifest_path in sizes and legs in sizes:
            text = self.storage.read(manifest_path)
            if text is not None:
                manifest = Manifest.from_json(text, f"{self.url}/{manifest_path}")
                if manifest.size != sizes[legs]:
                    # Killed between the two: the file is of a run, the manifest of the one before.
                    manifest = None
        if manifest is not None and manifest.state == "complete":
            return Found("complete", manifest)
        if failure_path in sizes and (text := self.storage.read(failure_path)) is not None:
            failure = Failure.from_json(text, f"{self.url}/{failure_path}")
            return Found("failed", manifest, failure)
        return Found("missing" if manifest is None else "young", manifest)


def _place(path: str) -> Place | None:
    """Give the partition that a file belongs to, or None if it belongs to none."""
    parts = path.split("/")
    if len(parts) != 3 or not parts[0].startswith("tenant=") or not parts[1].startswith("period="):  # noqa: PLR2004 - tenant, period, file
        return None
    return Place(unquote(parts[0].removeprefix("tenant=")), parts[1].removeprefix("period="))


def as_wall(moment: date) -> datetime:
    """Give a date as the naive wall time at which it begins."""
    plain = read_date("moment", moment)
    if isinstance(plain, datetime):
        return plain
    return datetime(plain.year, plain.month, plain.day)  # noqa: DTZ001 - a wall time
