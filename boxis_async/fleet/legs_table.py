"""The legs of a partition as the bytes of a Parquet file: the same legs give the same bytes.

Types are those of `boxis_async.export`, with one column more, `tenant_name`. Readers make a column
`tenant` of the folder's name, and guess its type: a tenant `00123` becomes the number 123, and one
that is called otherwise than the first may become nothing at all (dask.dataframe). A column
`tenant` in the file would contradict theirs, and pandas and dask.dataframe would read nothing.

We sort the legs, as windows of another length hand them over in another order.
"""

# pyarrow carries no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from boxis_async.export import to_arrow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    import pyarrow as pa

    from boxis_async import CDR

__all__ = ["TENANT", "LegsTable", "check_legs_file", "digest_of"]

TENANT: Final = "tenant_name"
ROW_GROUP: Final = 50_000
"""The least rows of a row group, where there are so many; readers have little from smaller ones."""

_ORDER: Final = [
    (name, "ascending")
    for name in ("start", "uniqueid", "sequence", "channel", "dstchannel", "end")
]


class LegsTable:
    """Takes the legs of one tenant and period, batch by batch; not by several threads at once.

    Args:
        tenant: The tenant.
        zone: The zone of the datetimes.
    """

    def __init__(self, tenant: str, zone: tzinfo) -> None:
        self._tenant = tenant
        self._zone = zone
        # An empty one has the columns, if there is no leg at all.
        self._tables: list[pa.Table] = [to_arrow([], timezone=zone)]

    def add(self, legs: Sequence[CDR]) -> None:
        """Take some legs.

        Raises:
            UnfitValueError: A number is too large for its column.
        """
        self._tables.append(to_arrow(legs, timezone=self._zone))

    def finish(self) -> tuple[bytes, int]:
        """Give the bytes of the file, and how many legs are in it."""
        import pyarrow as pa  # noqa: PLC0415 - an optional dependency
        import pyarrow.parquet as pq  # noqa: PLC0415

        table = pa.concat_tables(self._tables).combine_chunks().sort_by(_ORDER)
        self._tables = []
        names = pa.array([self._tenant], pa.string()).take(pa.array([0] * len(table), pa.int32()))
        table = table.add_column(0, TENANT, names)
        rows: int = len(table)
        groups = max(1, rows // ROW_GROUP)
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
            if rows:
                writer.write_table(table, row_group_size=-(-rows // groups))
        content: bytes = sink.getvalue().to_pybytes()
        return content, rows


def digest_of(content: bytes) -> str:
    """Give the digest of a file, as manifests have it."""
    return hashlib.sha256(content).hexdigest()


def check_legs_file(content: bytes, tenant: str) -> tuple[int, str | None, Any]:
    """Read a file of legs: its rows, what is wrong with it, and its columns."""
    import pyarrow as pa  # noqa: PLC0415 - an optional dependency
    import pyarrow.compute as pc  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        # In this thread alone: a thread of pyarrow's that still runs when Python ends aborts the
        # process, now and then (apache/arrow#34314).
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            table = file.read(use_threads=False)
    except (OSError, ValueError) as error:
        return 0, f"it is no Parquet file: {error}", None
    if TENANT not in table.column_names:
        return len(table), f"it has no column {TENANT}", None
    others = pc.sum(pc.not_equal(table[TENANT], tenant)).as_py()
    if others:
        return len(table), f"it holds {others} legs of another tenant", None
    return len(table), None, table.schema
