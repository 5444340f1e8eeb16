"""A mirror of the calls in a database of your own: SQLite, or PostgreSQL.

`Mirror` keeps it in step with the provider, and reads legs and calls back.
"""

from importlib.util import find_spec

from boxis_async import MissingExtraError

if find_spec("sqlalchemy") is None or find_spec("aiosqlite") is None:
    raise MissingExtraError(
        'a mirror needs SQLAlchemy and aiosqlite: pip install "boxis-async[mirror]"'
    )

from boxis_async.mirror.errors import (
    MirrorBusyError,
    MirrorContractError,
    MirrorDatabaseError,
    MirrorError,
    MirrorLeaseLostError,
    MirrorMismatchError,
)
from boxis_async.mirror.mirror import Mirror
from boxis_async.mirror.reads import CDRReader
from boxis_async.mirror.values import (
    Covered,
    Difference,
    Progress,
    Stage,
    Synced,
    SyncedTenant,
    TenantStatus,
    Verified,
)
from boxis_async.mirror.watch_position import MirrorPosition

__all__ = [
    "CDRReader",
    "Covered",
    "Difference",
    "Mirror",
    "MirrorBusyError",
    "MirrorContractError",
    "MirrorDatabaseError",
    "MirrorError",
    "MirrorLeaseLostError",
    "MirrorMismatchError",
    "MirrorPosition",
    "Progress",
    "Stage",
    "Synced",
    "SyncedTenant",
    "TenantStatus",
    "Verified",
]

# Users import these names from here. So reprs, pickles and the reference name this module too, and
# a pickle can still be read after a name has moved from one module of the wing to another.
for _public in map(globals().__getitem__, __all__):
    if isinstance(_public, type):
        _public.__module__ = __name__
