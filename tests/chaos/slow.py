"""Commits that take a while: a deferred trigger on `batch`, which only the owner of a test's database can add."""

from __future__ import annotations

import os
from pathlib import Path

SLOW_COMMIT = """
CREATE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.05 + random() * 0.15); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON batch DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow_commit();
"""

IN_COMMIT = (
    "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
)

# From a batch's first row to the end of its commit its transaction holds this lock. `ports`: of one worker, by `ports_of`.
IN_A_BATCH = (
    "SELECT count(*) > 0 FROM pg_locks JOIN pg_stat_activity AS activity USING (pid)"
    " WHERE pg_locks.relation = 'batch'::regclass AND pg_locks.mode = 'RowExclusiveLock' AND activity.client_port = ANY (%(ports)s)"
)


def ports_of(pid: int) -> list[int]:
    """The local ports of a process's TCP connections: how the database names its clients."""
    inodes = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(handle)
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(row[1].rpartition(":")[2], 16) for row in rows if row[9] in inodes]
