"""What may be said: identifiers, the five EPCIS 2.0 event types, vocabulary, units and the event hash.

Pure: no I/O, no clock, no settings, and of ours nothing outside this folder but the room's error base, so
that simulators may use it too.
"""

from ledger.errors import LedgerError


class EpcisError(LedgerError, ValueError):
    """What was said cannot be taken: the subclass says which identifier, field or unit, and what to write."""
