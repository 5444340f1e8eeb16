"""An asyncio client for the call detail records of the Boxis telephony API.

`BoxisClient` is where to begin.
"""

from boxis_async._calls.numbers import e164
from boxis_async._printable import printable
from boxis_async._version import __version__ as __version__
from boxis_async.call_model import Call, Outcome
from boxis_async.call_stream import CallStream
from boxis_async.calls import group_calls
from boxis_async.client import BoxisClient
from boxis_async.contract_model import Contract, Finding
from boxis_async.coverage import Coverage, CoverageRow
from boxis_async.errors import (
    AttemptTimeoutError,
    AuthenticationError,
    BadAnswerError,
    BoxisError,
    ClientClosedError,
    ClockError,
    ClosedError,
    ConfigurationError,
    ConnectionFailedError,
    ContractError,
    DeadlineError,
    LateLegError,
    MalformedAnswerError,
    MissingExtraError,
    NoAnswerError,
    RateLimitError,
    RecordError,
    RefusedError,
    StatusError,
    StreamClosedError,
    TooLargeError,
    UsageError,
    WindowError,
    WrongLoopError,
)
from boxis_async.file_position import FilePosition
from boxis_async.hooks import (
    Hooks,
    RequestEvent,
    ResponseEvent,
    RetryEvent,
    StreamEvent,
    WindowEvent,
)
from boxis_async.models import (
    CDR,
    Batch,
    Direction,
    Disposition,
    Extra,
    Plan,
    Reject,
    Stats,
    Window,
)
from boxis_async.retry import RetryPolicy
from boxis_async.stream import BatchStream, CDRStream
from boxis_async.watch import CallWatch, Watch
from boxis_async.watch_model import CallChange, Change, Position

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
    "Call",
    "CallChange",
    "CallStream",
    "CallWatch",
    "Change",
    "ClientClosedError",
    "ClockError",
    "ClosedError",
    "ConfigurationError",
    "ConnectionFailedError",
    "Contract",
    "ContractError",
    "Coverage",
    "CoverageRow",
    "DeadlineError",
    "Direction",
    "Disposition",
    "Extra",
    "FilePosition",
    "Finding",
    "Hooks",
    "LateLegError",
    "MalformedAnswerError",
    "MissingExtraError",
    "NoAnswerError",
    "Outcome",
    "Plan",
    "Position",
    "RateLimitError",
    "RecordError",
    "RefusedError",
    "Reject",
    "RequestEvent",
    "ResponseEvent",
    "RetryEvent",
    "RetryPolicy",
    "Stats",
    "StatusError",
    "StreamClosedError",
    "StreamEvent",
    "TooLargeError",
    "UsageError",
    "Watch",
    "Window",
    "WindowError",
    "WindowEvent",
    "WrongLoopError",
    "e164",
    "group_calls",
    "printable",
]

# Where users import them from: reprs, tracebacks, pickles and the reference show that, and a module
# can be moved without breaking a pickle.
for _name in __all__:
    globals()[_name].__module__ = __name__
