"""The legs of many tenants, by many machines, into one data set of Parquet files.

`harvest` has the work done by Dask's workers, under one limit on requests that all of them share.
`status` says what is in the data set, `verify` reads it again, and `plan` says what a harvest will
take.
"""

from types import FunctionType

from boxis_async.fleet.data_set_status import Flaw, Partition, Status, Verified, status, verify
from boxis_async.fleet.errors import DataSetError, FleetError
from boxis_async.fleet.harvest_plan import HarvestPlan, plan
from boxis_async.fleet.harvest_tenants import FailedPartition, Harvested, HarvestProgress, harvest
from boxis_async.fleet.manifest import PartitionState
from boxis_async.fleet.periods import PERIODS, PeriodKind

__all__ = [
    "PERIODS",
    "DataSetError",
    "FailedPartition",
    "Flaw",
    "FleetError",
    "HarvestPlan",
    "HarvestProgress",
    "Harvested",
    "Partition",
    "PartitionState",
    "PeriodKind",
    "Status",
    "Verified",
    "harvest",
    "plan",
    "status",
    "verify",
]

# Users import these names from here. So reprs, pickles and the reference name this module too, and
# a pickle can still be read after a name has moved from one module of the wing to another.
for _public in map(globals().__getitem__, __all__):
    if isinstance(_public, type | FunctionType):
        _public.__module__ = __name__
