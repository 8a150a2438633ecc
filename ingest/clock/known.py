"""How far ahead of ours each device's clock may honestly be: what admission holds in memory of `device_clock`.

Contract: as old as the registry in memory, and refreshed with it; only what was fitted since is read. A device that is not here
has no model.
"""

from __future__ import annotations

from datetime import datetime

import psycopg

from ingest.admission import AHEAD_MS

TOLERANCE_MS = 300_000
"""What a time may be ahead after correction."""

# A clock that was set back may have filled a buffer before: the pieces of the last week count, and of these the fastest. One that
# is slow may have been set right since: it gains nothing.
_KNOWN = """
SELECT device_id, max(greatest(0, -offset_ms - drift_ppm * 1e-3 * greatest(0, extract(epoch FROM %(now)s - anchor))))
FROM device_clock
WHERE device_id IN (SELECT device_id FROM device_clock WHERE fitted_at > %(since)s)
  AND (upper_inf(seen) OR upper(seen) > %(now)s - INTERVAL '7 days')
GROUP BY device_id
"""


# Of the index, so that the worker, which asks every two seconds between two batches, waits for nothing.
_NEWEST = "SELECT max(fitted_at) FROM device_clock"


class Clocks:
    """`ahead_ms`: by device, how far ahead of our clock its times may be."""

    def __init__(self) -> None:
        self.ahead_ms: dict[int, int] = {}
        self._fitted_at: datetime | str = "-infinity"

    def refresh(self, conn: psycopg.Connection, now: datetime) -> None:
        row = conn.execute(_NEWEST).fetchone()
        newest = None if row is None else row[0]
        if newest is None or newest == self._fitted_at:
            return
        for device, fast_ms in conn.execute(_KNOWN, {"since": self._fitted_at, "now": now}).fetchall():
            self.ahead_ms[device] = min(AHEAD_MS, TOLERANCE_MS + round(fast_ms))
        self._fitted_at = newest
