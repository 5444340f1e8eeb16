"""A stand-in for the provider, for tests that need real answers but no account.

We wrote it from the provider's page alone, and it shares no code with the client. A mistake in the
client's reading of the page is therefore not repeated here, where it would hide.
"""

import inspect

from .answers import EmptyForm, ResultAs
from .date_filter import DATE_RULES, DateRule, FilterBy, FilterMode
from .faults import FAULT_KINDS, Fault, FaultKind
from .generator import History, generate_calls, generate_history
from .inprocess import InProcessTransport, client_for
from .loopback import LoopbackServer
from .provider import Provider
from .received import Received
from .rows import Row
from .served_provider import ServedProvider
from .true_call import TrueCall

__all__ = [
    "DATE_RULES",
    "FAULT_KINDS",
    "DateRule",
    "EmptyForm",
    "Fault",
    "FaultKind",
    "FilterBy",
    "FilterMode",
    "History",
    "InProcessTransport",
    "LoopbackServer",
    "Provider",
    "Received",
    "ResultAs",
    "Row",
    "ServedProvider",
    "TrueCall",
    "client_for",
    "generate_calls",
    "generate_history",
]

# Reprs, pickles and the reference show `__module__`, so we set it to the path from which users
# import. A class can then move within the wing, and older pickles still find it. Constants and type
# aliases are left alone: what they are made of belongs to `typing` and `builtins`.
for _public in [globals()[_name] for _name in __all__]:
    if inspect.isclass(_public) or inspect.isfunction(_public):
        _public.__module__ = __name__
