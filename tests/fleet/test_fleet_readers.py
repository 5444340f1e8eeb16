"""The data set in DuckDB, polars, pandas and dask.dataframe: the same rows, types and sums."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fleets import FIRST, LAST, TENANTS

from boxis_async.fleet import harvest

if TYPE_CHECKING:
    from pathlib import Path

    from boxis_async.testing import Provider, Row

pytestmark = [
    pytest.mark.slow,
    # Dask uses what pandas 3.1 gives up, see the traceback of the warning.
    pytest.mark.filterwarnings("ignore:The inplace keyword"),
    # It makes the number 123 of the folder of tenant 00123, and then nothing: hence tenant_name.
    pytest.mark.filterwarnings("ignore:Constructing a Categorical"),
]

KEY = ["tenant_name", "uniqueid", "sequence"]


async def test_all_read_the_same(
    served: Provider,
    scheduler: str,
    of_tenants: dict[str, list[Row]],
    tmp_path: Path,
) -> None:
    """Each with its own way to name a folder; a tenant that looks like a number stays a text."""
    import dask.dataframe as dd  # noqa: PLC0415 - a second
    import duckdb  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    costs = {"VOICE-1": "0.04319", "00123": "1234567.10001"}
    for name, cost in costs.items():
        row = of_tenants[name][0]
        served.change({"cc_cost": cost}, tenant=name, uniqueid=row["uniqueid"])
    folder = tmp_path / "calls"
    await harvest(TENANTS, FIRST, LAST, folder, scheduler=scheduler, max_rate=None)
    files = f"{folder}/tenant=*/period=*/*.parquet"
    columns = pq.ParquetFile(next(folder.rglob("*.parquet"))).schema_arrow.names
    of_dask = dd.read_parquet(str(folder), dtype_backend="pyarrow").compute()
    of_pandas = pd.read_parquet(folder, dtype_backend="pyarrow")
    read: dict[str, Any] = {
        "duckdb": duckdb.sql(f"SELECT * FROM '{files}'").to_arrow_table().select(columns),
        "polars": pl.read_parquet(f"{folder}/**/*.parquet").select(columns).to_arrow(),
        "pandas": pa.Table.from_pandas(of_pandas[columns], preserve_index=False),
        "dask": pa.Table.from_pandas(of_dask[columns], preserve_index=False),
        "arrow": pa.concat_tables(
            pq.ParquetFile(path).read() for path in folder.rglob("*.parquet")
        ),
    }
    rows = sum(map(len, of_tenants.values()))
    kinds = {
        "tenant_name": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind),
        "start": lambda kind: pa.types.is_timestamp(kind) and kind.tz == "Europe/Zurich",
        "billsec": lambda kind: kind == pa.int64(),
        "cc_cost": pa.types.is_decimal,
        "cc_date": pa.types.is_date,
    }  # fmt: skip
    sums = {}
    for name, table in read.items():
        assert len(table) == rows, name
        for column, fits in kinds.items():
            kind = table.schema.field(column).type
            if not (name == "duckdb" and column == "start"):
                assert fits(kind), f"{name}: {column} is {kind}"
        ordered = table.select([*KEY, "start", "billsec", "cc_cost"]).sort_by(
            [(column, "ascending") for column in KEY]
        )
        values = ordered.to_pylist()
        sums[name] = (
            [tuple(row[column] for column in KEY) for row in values],
            [row["start"].timestamp() for row in values],
            sum(row["billsec"] or 0 for row in values),
            sum((row["cc_cost"] or Decimal(0) for row in values), Decimal(0)),
        )
    assert all(found == sums["arrow"] for found in sums.values())
    assert {name for name, _, _ in sums["arrow"][0]} == set(TENANTS)
    assert sums["arrow"][3] > Decimal(1234567)
    # What readers make of the folders' names stands beside.
    assert "tenant" in of_pandas.columns
    assert "tenant" in of_dask.columns
