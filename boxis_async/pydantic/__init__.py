"""Records and calls as pydantic models: to read them from JSON, and to build models of your own on.

To send them, FastAPI and pydantic take `CDR` and `Call` as they are, and need no extra.
"""

from __future__ import annotations

from boxis_async import MissingExtraError

try:
    from boxis_async.pydantic.models import CallModel, CDRModel
except ModuleNotFoundError as error:
    if error.name != "pydantic":
        raise
    raise MissingExtraError(
        "boxis_async.pydantic needs pydantic 2: install boxis-async[pydantic]"
    ) from error

__all__ = ["CDRModel", "CallModel"]

# Where users import them from, see the package's own `__init__.py`.
for _public in (CDRModel, CallModel):
    _public.__module__ = __name__
