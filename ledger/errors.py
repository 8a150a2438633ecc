"""The errors of the permanent record: one base, so that a caller who must survive any of them names one
class.
"""


class LedgerError(Exception):
    """The ledger could not do what was asked; the subclass says what happened and what to do next."""


class EntryError(LedgerError, ValueError):
    """These bytes or values cannot be a version 1 entry: mend what the message names."""
