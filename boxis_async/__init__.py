"""An asyncio client for the call detail records of the Boxis telephony API.

`BoxisClient` is where to begin.
"""

from .client import BoxisClient
from .coverage import Coverage
from .errors import (
    AttemptTimeoutError,
    AuthenticationError,
    BadAnswerError,
    BoxisError,
    ClientClosedError,
    ClockError,
    ClosedError,
    ConfigurationError,
    ConnectionFailedError,
    MalformedAnswerError,
    MissingExtraError,
    NoAnswerError,
    RecordError,
    RefusedError,
    StatusError,
    StreamClosedError,
    TooLargeError,
    UsageError,
    WindowError,
    WrongLoopError,
)
from .models import CDR, Batch, Direction, Disposition, Extra, Plan, Stats, Window
from .retry import RetryPolicy
from .stream import BatchStream, CDRStream

__version__ = "0.1.0"

__all__ = [
    "CDR",
    "AttemptTimeoutError",
    "AuthenticationError",
    "BadAnswerError",
    "Batch",
    "BatchStream",
    "BoxisClient",
    "BoxisError",
    "CDRStream",
    "ClientClosedError",
    "ClockError",
    "ClosedError",
    "ConfigurationError",
    "ConnectionFailedError",
    "Coverage",
    "Direction",
    "Disposition",
    "Extra",
    "MalformedAnswerError",
    "MissingExtraError",
    "NoAnswerError",
    "Plan",
    "RecordError",
    "RefusedError",
    "RetryPolicy",
    "Stats",
    "StatusError",
    "StreamClosedError",
    "TooLargeError",
    "UsageError",
    "Window",
    "WindowError",
    "WrongLoopError",
]
