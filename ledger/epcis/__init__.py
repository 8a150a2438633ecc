"""What may be said: identifiers, the five EPCIS 2.0 event types, vocabulary, units and the event hash.

Pure: no I/O, no clock, no settings, and no import of ours outside this folder, so that simulators may use it
too.
"""


class EpcisError(ValueError):
    """What was said cannot be taken: the subclass says which identifier, field, unit or context, and what to
    write."""
