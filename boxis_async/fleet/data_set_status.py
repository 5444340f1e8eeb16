"""What a data set holds, and whether it is what its manifests say; no cluster, no request."""

# No `from __future__ import annotations` here, see periods.py.

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import attrs

from boxis_async.fleet.data_set import DataSet, Found, Place
from boxis_async.fleet.errors import DataSetError
from boxis_async.fleet.extra import require_extra
from boxis_async.fleet.legs_table import check_legs_file, digest_of
from boxis_async.fleet.manifest import PartitionState
from boxis_async.fleet.periods import PeriodKind

__all__ = ["Flaw", "Partition", "Status", "Verified", "status", "verify"]

_READERS: Final = 4


@attrs.frozen(kw_only=True)
class Partition:
    """How one partition stands."""

    tenant: str
    period: str
    state: PartitionState
    rows: int = 0
    """The legs that are there, also of one that is young, or that failed when it was tried anew."""
    size: int = 0
    """The bytes of its file."""
    error: str | None = None
    """Why it failed, the last time."""


@attrs.frozen(kw_only=True)
class Status:
    """How a data set stands."""

    period: PeriodKind
    partitions: tuple[Partition, ...]
    """All that were ever wanted, by tenant and period."""

    @property
    def counts(self) -> dict[PartitionState, int]:
        """How many partitions are in each state."""
        found = Counter(one.state for one in self.partitions)
        states: tuple[PartitionState, ...] = ("complete", "young", "missing", "failed")
        return {state: found[state] for state in states}

    @property
    def rows(self) -> int:
        """The legs that are there."""
        return sum(one.rows for one in self.partitions)

    @property
    def size(self) -> int:
        """The bytes of the files."""
        return sum(one.size for one in self.partitions)


@attrs.frozen(kw_only=True)
class Flaw:
    """What is wrong with a partition."""

    tenant: str
    period: str
    text: str


@attrs.frozen(kw_only=True)
class Verified:
    """What a check of a data set found."""

    partitions: int
    """Those that were read."""
    rows: int
    flaws: tuple[Flaw, ...]


def status(dataset: str | os.PathLike[str]) -> Status:
    """Look how a data set stands: which partitions are complete, young, missing, or failed.

    It lists the files and reads the manifests; nothing is sent to the provider.

    Raises:
        UsageError: The address cannot be.
        MissingExtraError: pyarrow is not installed, which S3 needs.
        DataSetError: There is no data set, or it cannot be read.
    """
    data_set = DataSet(dataset)
    kind, _ = data_set.require_header()
    found = data_set.look(data_set.wanted_places())
    return Status(
        period=kind,
        partitions=tuple(_partition(place, one) for place, one in found.items()),
    )


def verify(
    dataset: str | os.PathLike[str], *, progress: Callable[[int, int], object] | None = None
) -> Verified:
    """Read each file of a data set, and compare it with its manifest.

    It finds files that were changed, cut or swapped, rows of another tenant, columns that differ
    from those of the other files, and files without a manifest. What is missing or failed is no
    flaw: `status` has it.

    Args:
        dataset: The data set.
        progress: Called with how many files were read, and how many there are.

    Raises:
        UsageError: The address cannot be.
        MissingExtraError: pyarrow is not installed.
        DataSetError: There is no data set, or it cannot be read.
    """
    require_extra("to read Parquet files needs pyarrow", "pyarrow")
    data_set = DataSet(dataset)
    places = data_set.wanted_places()
    flaws: list[Flaw] = []
    schemas: dict[Any, int] = {}
    partitions = rows = 0

    def check(place: Place) -> tuple[Place, int | None, str | None, Any]:
        try:
            return place, *_check(data_set, place)
        except DataSetError as error:
            return place, None, str(error), None

    with ThreadPoolExecutor(_READERS, thread_name_prefix="boxis-fleet") as readers:
        for number, (place, found, flaw, schema) in enumerate(readers.map(check, places)):
            if found is not None:
                partitions += 1
                rows += found
            if schema is not None:
                first = next(iter(schemas), schema)
                schemas[schema] = schemas.get(schema, 0) + 1
                if schema != first:
                    other = "its columns are others than those of the first file"
                    flaws.append(Flaw(tenant=place.tenant, period=place.period, text=other))
            if flaw:
                flaws.append(Flaw(tenant=place.tenant, period=place.period, text=flaw))
            if progress is not None:
                progress(number + 1, len(places))
    return Verified(partitions=partitions, rows=rows, flaws=tuple(flaws))


def _check(data_set: DataSet, place: Place) -> tuple[int | None, str | None, Any]:
    """Read one file: its rows, what is wrong with it, and its columns."""
    found = data_set.look_at(place)
    content = data_set.read_legs(place)
    if content is None:
        return None, None, None
    manifest = found.manifest
    if manifest is None:
        return None, "the file has no manifest that fits it: harvest it again", None
    if digest_of(content) != manifest.sha256:
        return None, "the file was changed since it was written: its digest is another one", None
    if (manifest.tenant, manifest.period) != (place.tenant, place.period):
        return None, f"it is of {manifest.tenant}, {manifest.period}", None
    rows, flaw, schema = check_legs_file(content, place.tenant)
    if flaw is None and rows != manifest.rows:
        flaw = f"it has {rows:,} rows, and its manifest says {manifest.rows:,}"
    return rows, flaw, schema


def _partition(place: Place, found: Found) -> Partition:
    manifest, failure = found.manifest, found.failure
    return Partition(
        tenant=place.tenant,
        period=place.period,
        state=found.state,
        rows=0 if manifest is None else manifest.rows,
        size=0 if manifest is None else manifest.size,
        error=None if failure is None else f"{failure.kind}: {failure.error}",
    )
