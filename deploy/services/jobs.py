"""The mark consumers, and retention."""

from __future__ import annotations

import os
import threading
from functools import partial

from prometheus_client import CollectorRegistry

from deploy.database_url import connect
from deploy.services import metrics
from deploy.services.process import now, require_service
from deploy.settings import Settings
from ingest import jobs
from ingest.metering import DatabaseMeters
from ingest.outbox import Sender
from ledger.keys import KeyStore


def run(settings: Settings, stop: threading.Event) -> None:
    require_service(settings.database_url, "jobs")
    sender = Sender(settings.mqtt_url, f"{settings.mqtt_client_prefix}-outbox-{os.getpid()}")
    consumers = jobs.steps(KeyStore(settings.keys_dir).organisation_key, sender.send, settings.retention)
    registry = CollectorRegistry()
    registry.register(
        DatabaseMeters(partial(connect, settings.database_url, "metrics"), devices=settings.metrics_devices)
    )
    try:
        connected = partial(connect, settings.database_url, "jobs", silence_s=settings.database_silence_s)
        with metrics.served(settings, registry):
            jobs.serve(consumers, connected, now, stop)
    finally:
        sender.stop()
