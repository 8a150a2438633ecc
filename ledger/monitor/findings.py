"""What a monitor can find, as kinds of the one error that verifiers raise.

They differ in what the finder should do: a fork is for everybody to hear of, a log that does not answer is for its
operator, a key is for who gave it.
"""

from __future__ import annotations

from ledger.translog.verify import VerifyError


class Damaged(VerifyError):
    """The log's files are not those of its signed checkpoint, or its entries break their rules.

    `notes`: the checkpoint that was kept and the one that is shown now, as evidence; empty where there is none.
    """

    notes: tuple[str, str] = ("", "")


class Forked(Damaged):
    """Two signed checkpoints of one log that cannot both be true. Keep both notes, and tell everybody."""


class RolledBack(Damaged):
    """The log shows less than it has signed for. A stale copy looks the same: ask the log itself."""


class Unreachable(VerifyError):
    """The log did not answer, or not with this file: try again, and then ask who runs it."""


class KeyProblem(VerifyError):
    """The checkpoint is not signed by the key that is trusted, or no key is known: get it from who runs the log."""


class Unreadable(VerifyError):
    """What is there is no log, or what is remembered is none of ours."""
