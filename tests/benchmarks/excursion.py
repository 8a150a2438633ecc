"""From the commit that triggers an excursion to the commit that opens it, while the line works at half of what it can.

Ten devices in a cold store grow too warm one after the other. The triggering reading is the first one at or after the
moment at which the limit's minutes are full.
"""

from __future__ import annotations

import numpy as np
import psycopg

from ingest.wire.topics import subscriptions
from simulators.load.plan import Breach, Plan
from tests.benchmarks.ground import Ground, series_of, wait_for
from tests.benchmarks.latency import TIMES, since_published, subscribed
from tests.benchmarks.line import BOOT, plan, start_ms
from tests.benchmarks.racing import GROUP, WORKER, WholeLine, place
from tests.benchmarks.telling import Target, busy, short, target
from tests.servers.waiting import wait_until

SECONDS = 20
INTERVAL_S = 60
BREACHES = 10
_OPENED = """
SELECT extract(epoch FROM pg_xact_commit_timestamp(version.xmin) - pg_xact_commit_timestamp(reading.xmin))::float8
FROM excursion_version AS version JOIN excursion ON excursion.id = version.excursion
CROSS JOIN LATERAL (
  SELECT xmin FROM reading_store WHERE series_id = excursion.series_id AND time >= excursion.trigger_time ORDER BY time LIMIT 1
) AS reading
WHERE version.version = 1
"""


def run(ground: Ground, messages: int, whole: float | None) -> None:
    """`whole`: what the whole line reached; measured here, once, where nobody has."""
    reached = whole or WholeLine().run(ground, plan(ground, messages)).rate
    rate = round(reached / 2)
    of = _warming(ground, rate * SECONDS)
    with ground.database(of) as database:
        place(ground, database, of)
        with (
            ground.session(WORKER, subscriptions(GROUP)),
            ground.service(database, "jobs", "ingest") as (_, worker),
            psycopg.connect(database.owner, autocommit=True) as conn,
        ):
            subscribed(ground)
            ground.publish(of, "--rate", str(rate), "--times", str(ground.folder / TIMES))
            wait_for(database, of, series_of(database, of), worker)
            found = wait_until(lambda: len(conn.execute(_OPENED).fetchall()) >= len(of.breaches), 60)
            took = np.array(conn.execute(_OPENED).fetchall(), np.float64).reshape(-1)
        stored_ms = float(np.percentile(since_published(database, ground.folder / TIMES), 99))
    print(
        f"\nExcursion: {len(of.breaches)} devices of {of.devices} grow too warm at {rate:,} messages/s, half of {reached:,.0f}"
        f" ({busy()})"
    )
    if not found:
        print(f"  not counted: {len(took)} of {len(of.breaches)} excursions were opened within a minute")
        return
    print(
        f"  open after the commit that triggers it: {short(float(took.max()))} s at most, half within {short(float(np.median(took)))} s;"
        f" publish to committed meanwhile: p99 {short(stored_ms)} ms"
    )
    target(float(took.max()), Target(1, "s, the slowest", least=False))


def _warming(ground: Ground, messages: int) -> Plan:
    """One after the other through the middle of the run."""
    turns = messages // ground.devices
    breaches = tuple(
        Breach(number, round(turns * (0.2 + 0.06 * number)))
        for number in range(min(BREACHES, ground.devices))
    )
    return Plan(
        ground.devices, turns * ground.devices, BOOT, start_ms(), interval_s=INTERVAL_S, breaches=breaches
    )
