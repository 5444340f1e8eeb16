"""Traces and metrics by OpenTelemetry: hooks for a client, made of its API alone.

`BoxisClient(..., hooks=telemetry())` is all. Where no SDK is set up, the API does nothing.
"""

from __future__ import annotations

from boxis_async import MissingExtraError

try:
    from boxis_async.otel.telemetry import telemetry
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "opentelemetry":
        raise
    raise MissingExtraError(
        "boxis_async.otel needs the API of OpenTelemetry: install boxis-async[otel]"
    ) from error

__all__ = ["telemetry"]

# Where users import it from, see the package's own `__init__.py`.
telemetry.__module__ = __name__
