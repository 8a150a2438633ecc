"""Metrics for Prometheus: what a worker did since it started, and what the database holds.

In the line: `worker` counts after each commit; a process of the jobs asks the database when it is scraped. Contract: counted is
what was committed, so a worker's counters add up as the account does, and `suyuan_account_records` is the account itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import psycopg
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

OUTCOMES = ("received", "stored", "duplicate", "conflict", "quarantined")


class WorkerMeters:
    """One worker's counters, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        of = self.registry
        self._messages = Counter("suyuan_ingest_messages", "Messages committed", registry=of)
        self._redelivered = Counter(
            "suyuan_ingest_redelivered", "Messages the broker sent again", registry=of
        )
        self._records = Counter(
            "suyuan_ingest_records",
            "Records committed, by where they ended: received = stored + duplicate + conflict + quarantined",
            ["outcome"],
            registry=of,
        )
        self._away = Counter(
            "suyuan_ingest_database_away", "Commits that had to wait for the database", registry=of
        )
        self._batch = Histogram(
            "suyuan_ingest_batch_messages",
            "Messages in a batch",
            buckets=(1, 2, 5, 10, 50, 100, 500, 1000, 2000),
            registry=of,
        )
        self._seconds = Histogram(
            "suyuan_ingest_commit_seconds",
            "From a batch's hand-over to its commit",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 60),
            registry=of,
        )
        self._waiting = Gauge(
            "suyuan_ingest_waiting_blocks", "Blocks of messages that wait to be decoded", registry=of
        )
        for outcome in OUTCOMES:
            self._records.labels(outcome)

    def watch(self, waiting: Callable[[], float]) -> None:
        """`waiting`: how many blocks of messages wait, asked when it is scraped."""
        self._waiting.set_function(waiting)

    def committed(self, messages: int, redelivered: int, records: Iterable[int], seconds: float) -> None:
        """`records`: in the order of OUTCOMES."""
        self._messages.inc(messages)
        self._redelivered.inc(redelivered)
        self._batch.observe(messages)
        self._seconds.observe(seconds)
        for outcome, count in zip(OUTCOMES, records, strict=True):
            # A replay takes back what it once refused; counters only grow, so it is not counted here.
            self._records.labels(outcome).inc(max(count, 0))

    def away(self) -> None:
        self._away.inc()


_ACCOUNT = """
SELECT coalesce(device.organisation, ''), coalesce(device.external_id, ''), received, stored, duplicate, conflict, quarantined
FROM device_account LEFT JOIN device ON device.id = device_id
"""

_GAUGES = {
    "suyuan_marks_waiting": (
        "Marks that wait for a consumer",
        ("consumer",),
        "SELECT consumer, count(*) FROM mark GROUP BY consumer",
    ),
    "suyuan_marks_oldest_seconds": (
        "Age of the oldest mark that waits",
        ("consumer",),
        "SELECT consumer, extract(epoch FROM now() - min(created_at)) FROM mark GROUP BY consumer",
    ),
    "suyuan_gaps_open": (
        "Open gaps in devices' numbers",
        (),
        "SELECT count(*) FROM sequence_gap WHERE filled_at IS NULL AND given_up_at IS NULL",
    ),
    "suyuan_gap_messages_open": (
        "Messages that are missing in open gaps",
        (),
        "SELECT coalesce(sum(last_seq - first_seq + 1), 0) FROM sequence_gap WHERE filled_at IS NULL AND given_up_at IS NULL",
    ),
    "suyuan_windows_faulty": (
        "Sealed hours that no longer are what was sealed: not amended, their readings not dropped",
        (),
        "SELECT count(*) FROM window_check WHERE fault IS NOT NULL",
    ),
    "suyuan_outbox_waiting": (
        "Messages that wait to be sent",
        (),
        "SELECT count(*) FROM outbox WHERE given_up_at IS NULL",
    ),
    "suyuan_outbox_given_up": (
        "Messages that a channel did not take for a day",
        (),
        "SELECT count(*) FROM outbox WHERE given_up_at IS NOT NULL",
    ),
    "suyuan_alerts_open": (
        "Alerts that are not over",
        ("acknowledged",),
        "SELECT CASE WHEN given.excursion IS NULL THEN 'no' ELSE 'yes' END, count(*)"
        " FROM alert LEFT JOIN alert_acknowledgement AS given USING (excursion) WHERE closed_at IS NULL GROUP BY 1",
    ),
    "suyuan_quarantine_records": (
        "Records in quarantine that wait for somebody",
        ("reason",),
        "SELECT reason, sum(records) FROM quarantine_count GROUP BY reason",
    ),
    "suyuan_witness_failing_seconds": (
        "How long a witness has not cosigned the root log; 0 while it does",
        ("witness",),
        "SELECT party, coalesce(extract(epoch FROM now() - failing_since), 0) FROM attestation"
        " WHERE kind = 'witness' AND organisation = 'root'",
    ),
    "suyuan_timestamp_failing_seconds": (
        "How long the time-stamp authority has given no time stamp; 0 while it does",
        ("authority",),
        "SELECT party, coalesce(extract(epoch FROM now() - failing_since), 0) FROM attestation WHERE kind = 'timestamp'",
    ),
    "suyuan_logs_frozen": (
        "Logs that are frozen",
        (),
        "SELECT count(*) FROM log WHERE frozen_at IS NOT NULL",
    ),
    "suyuan_quarantine_let_go_records": (
        "Records let go beyond the quarantine's budget: the only loss there is",
        (),
        "SELECT coalesce(sum(let_go_records), 0) FROM quarantine_day",
    ),
}


class DatabaseMeters(Collector):
    """Asks when it is scraped. `devices`: also the account of each device, a time series for each and outcome."""

    def __init__(self, connect: Callable[[], psycopg.Connection], *, devices: bool) -> None:
        self._connect, self._devices = connect, devices

    def collect(self) -> Iterator[Metric]:
        with self._connect() as conn:
            yield from self._account(conn)
            for name, (text, labels, query) in _GAUGES.items():
                gauge = GaugeMetricFamily(name, text, labels=labels)
                for row in conn.execute(query):
                    gauge.add_metric([str(each) for each in row[:-1]], float(row[-1]))
                yield gauge

    def _account(self, conn: psycopg.Connection) -> Iterator[Metric]:
        rows = conn.execute(_ACCOUNT).fetchall()
        whole = GaugeMetricFamily("suyuan_account_records", "The account, in records", labels=["outcome"])
        for place, outcome in enumerate(OUTCOMES, start=2):
            whole.add_metric([outcome], float(sum(row[place] for row in rows)))
        yield whole
        if self._devices:
            each = GaugeMetricFamily(
                "suyuan_device_records",
                "The account of a device, in records",
                labels=["organisation", "device", "outcome"],
            )
            for row in rows:
                for place, outcome in enumerate(OUTCOMES, start=2):
                    each.add_metric([row[0], row[1], outcome], float(row[place]))
            yield each

    def describe(self) -> Iterable[Metric]:
        """Nothing is asked of the database before it is scraped."""
        return ()
