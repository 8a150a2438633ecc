"""One machine's stack: a database, a broker and the services as child processes, for the demo.

Contract: whatever way the demo ends, nothing it started stays behind; what it keeps lies in its data directory
(as root, the database's files lie under /var/tmp, because PostgreSQL refuses to run as root and its own user must
reach them).
"""

from __future__ import annotations


class StackError(RuntimeError):
    """The stack cannot start. The message says what to do."""
