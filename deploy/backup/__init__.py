"""`suyuan backup`: a whole instance in a folder, made while it runs, and brought back from there.

The folder holds the database (pg_dump's custom format), the logs' files with the head store, and a manifest; the keys lie
beside it in a file of their own. Contract: a folder under its name is whole, since it gets the name last; what is in it is
of one moment; and nothing that is restored from it lets a log sign behind a head that is still known. docs/backup.md
argues the order and says what to do.
"""

from __future__ import annotations


class BackupError(RuntimeError):
    """The backup cannot be made, is not whole, or cannot be restored here. The message says what to do."""
