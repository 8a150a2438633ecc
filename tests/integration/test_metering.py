"""What Prometheus scrapes is the account."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import psycopg
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from deploy.services import metrics
from deploy.settings import Settings
from deploy.stack.ports import free_port
from ingest import pipeline
from ingest.metering import OUTCOMES, DatabaseMeters, WorkerMeters
from tests.documents import DOCS
from tests.integration.lines import NOW, NOW_S, account, line, message, pack, registered, take
from tests.servers.databases import Database

SENT = [
    message(pack([1.0, 2.0])),
    message(pack([1.0])),
    message(pack([9.0], seq=2)),
    message(b"{"),
    message(pack([1.0], seq=9), device="nobody"),
]


def scraped(registry: CollectorRegistry) -> dict[tuple[str, tuple[str, ...]], float]:
    """By name and the labels' values, in the order of their names."""
    port = free_port()
    settings = Settings(metrics_listen=f"127.0.0.1:{port}")
    with (
        metrics.served(settings, registry),
        urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer,
    ):
        text = answer.read().decode()
    return {
        (sample.name, tuple(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_jobs_metrics_are_what_the_database_holds(database: Database, tmp_path: Path) -> None:
    registered(database.service("ingest"))
    take(database.service("ingest"), tmp_path, SENT)
    take(database.service("ingest"), tmp_path, [message(pack([4.0], seq=9, start_s=NOW_S - 60))])
    registry = CollectorRegistry()
    registry.register(DatabaseMeters(partial(psycopg.connect, database.service("jobs")), devices=True))
    found = scraped(registry)
    whole = account(database.owner)
    assert {outcome: found["suyuan_account_records", (outcome,)] for outcome in OUTCOMES} == whole
    device = [found["suyuan_device_records", ("room-1", "coop", outcome)] for outcome in OUTCOMES]
    unknown = [found["suyuan_device_records", ("", "", outcome)] for outcome in OUTCOMES]
    assert device[0] == sum(device[1:]) and unknown == [1, 0, 0, 0, 1]
    assert [one + other for one, other in zip(device, unknown, strict=True)] == list(whole.values())
    assert found["suyuan_quarantine_records", ("conflict",)] == 1
    assert (
        found["suyuan_marks_waiting", ("detection",)] == 2
        and found["suyuan_marks_oldest_seconds", ("detection",)] > 0
    )


def test_a_workers_metrics_are_what_it_committed(database: Database, tmp_path: Path) -> None:
    registered(database.service("ingest"))
    meters = WorkerMeters()
    with psycopg.connect(database.service("ingest")) as conn:
        outcome = pipeline.run(conn, line(tmp_path), SENT, NOW)
    meters.committed(len(SENT), 0, outcome.records, 0.004)
    found = scraped(meters.registry)
    assert {each: found["suyuan_ingest_records_total", (each,)] for each in OUTCOMES} == account(
        database.owner
    )
    assert found["suyuan_ingest_messages_total", ()] == len(SENT)
    assert found["suyuan_ingest_commit_seconds_bucket", ("0.005",)] == 1


def test_the_document_names_every_metric_and_no_other(database: Database, tmp_path: Path) -> None:
    registered(database.service("ingest"))
    take(database.service("ingest"), tmp_path, SENT)
    registry = CollectorRegistry()
    registry.register(DatabaseMeters(partial(psycopg.connect, database.service("jobs")), devices=True))
    ours = {
        metric.name: metric.type for each in (registry, WorkerMeters().registry) for metric in each.collect()
    }
    said = set(
        re.findall(
            r"`(suyuan_\w+?)(?:\{.*?\})?`",
            (DOCS / "metrics.md").read_text(encoding="utf-8").split("Worth an alarm")[0],
        )
    )
    assert said == {f"{name}_total" if kind == "counter" else name for name, kind in ours.items()}
