"""What a bench knows of its canned server, as the baseline beside it knows it too."""

from __future__ import annotations

from boxis_async import Contract

__all__ = ["KNOWN", "RULE"]

# The calls of these servers end as they start, and by such calls no rule can be found out.
RULE = Contract(rule="start")
# Where requests are compared one for one, none is sent to prove that an answer is whole.
KNOWN = Contract(rule="start", no_cap_up_to=10**9)
