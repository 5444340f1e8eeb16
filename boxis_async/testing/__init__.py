"""A stand-in for the provider, for tests that want real answers and need no account.

It is written from the provider's page alone and shares no code with the client: what the client
gets wrong, this does not get wrong in the same way.
"""

from boxis_async.testing.faults import FAULT_KINDS, Fault, FaultKind
from boxis_async.testing.generator import generate_calls
from boxis_async.testing.inprocess import InProcessTransport, client_for
from boxis_async.testing.ledger import FilterMode, Row
from boxis_async.testing.loopback import LoopbackServer
from boxis_async.testing.provider import Provider
from boxis_async.testing.rules import Received
from boxis_async.testing.served import ServedProvider
from boxis_async.testing.wire import EmptyForm, ResultAs

__all__ = [
    "FAULT_KINDS",
    "EmptyForm",
    "Fault",
    "FaultKind",
    "FilterMode",
    "InProcessTransport",
    "LoopbackServer",
    "Provider",
    "Received",
    "ResultAs",
    "Row",
    "ServedProvider",
    "client_for",
    "generate_calls",
]
