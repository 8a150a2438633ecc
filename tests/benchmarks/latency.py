"""From publish to committed at a rate, against a bare paho loop that is handed the same messages and stores nothing.

A message's time begins when the load writes it to its socket; it ends at the commit's time as the database kept it, which
it takes before the commit's record is flushed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import psycopg

from ingest.wire.topics import subscriptions
from simulators.load.plan import Plan
from tests.benchmarks import bare
from tests.benchmarks.ground import TOPICS, Ground, series_of, wait_for
from tests.benchmarks.line import plan
from tests.benchmarks.racing import GROUP, WORKER, bare_loop, place
from tests.benchmarks.telling import Target, busy, short, target
from tests.servers.databases import Database
from tests.servers.waiting import wait_until

SECONDS = 20
WARM_UP_S = 2
TIMES = "times.npy"
_COMMITTED = """
SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM reading_store ORDER BY time, series_id
"""


def run(ground: Ground, rate: int) -> None:
    of = plan(ground, rate * SECONDS)
    print(f"\nLatency: {rate:,} messages/s for {SECONDS} s, without the first {WARM_UP_S} ({busy()})")
    reference = _bare(ground, of, rate)
    print(
        f"  {'bare paho loop':<22} p99 {short(reference)} ms from publish to received, acknowledged one by one"
    )
    for name, services in (("worker alone", ("ingest",)), ("with jobs beside it", ("jobs", "ingest"))):
        took = _ours(ground, of, rate, services)
        p50, p99 = np.percentile(took, [50, 99])
        print(
            f"  {name:<22} p99 {short(p99)} ms from publish to committed, half within {short(p50)} ms;"
            f" p99 {p99 / reference:.1f} times the bare loop's",
            flush=True,
        )
        target(float(p99), Target(5, "ms, p99", least=False))


def _ours(ground: Ground, of: Plan, rate: int, services: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Milliseconds, a number for each message."""
    with ground.database(of) as database:
        place(ground, database, of)
        with ground.session(WORKER, subscriptions(GROUP)), ground.service(database, *services) as running:
            subscribed(ground)
            ground.publish(of, "--rate", str(rate), "--times", str(ground.folder / TIMES))
            wait_for(database, of, series_of(database, of), running[-1])
        return since_published(database, ground.folder / TIMES)[rate * WARM_UP_S :]


def subscribed(ground: Ground) -> None:
    """The worker that was started last is."""
    log = ground.folder / "ingest.log"
    before = log.read_bytes().count(b"subscribed") if log.exists() else 0
    wait_until(lambda: log.read_bytes().count(b"subscribed") > before, 3)


def since_published(database: Database, times: Path) -> npt.NDArray[np.float64]:
    """Measuring times rise with a device's numbers, and series with devices, so rows in that order are in the load's own."""
    with psycopg.connect(database.owner) as conn:
        committed = np.array(conn.execute(_COMMITTED).fetchall(), np.float64)[:, 0]
    sent: npt.NDArray[np.float64] = np.load(times)
    return (committed - sent) * 1000


def _bare(ground: Ground, of: Plan, rate: int) -> float:
    with ground.session(bare.CLIENT, [TOPICS]):
        publisher = ground.publishing(of, "--rate", str(rate))
        p99 = bare_loop(ground, of.messages, "--sent")["p99_ms"]
        publisher.communicate()
        return p99
