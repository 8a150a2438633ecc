"""The mark consumers, retention, and what is told to others."""

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
from ingest.delivering import Carry, Deliveries
from ingest.mail import Mails
from ingest.metering import DatabaseMeters
from ingest.outbox import Sender
from ingest.webhook import Webhooks
from ledger.keys import KeyStore
from trace_api.alerts.telling import finisher


def run(settings: Settings, stop: threading.Event) -> None:
    require_service(settings.database_url, "jobs")
    sender = Sender(settings.mqtt_url, f"{settings.mqtt_client_prefix}-outbox-{os.getpid()}")
    key, finish = KeyStore(settings.keys_dir).organisation_key, finisher(settings.public_url)
    carriers: dict[str, Carry] = {
        "webhook": Webhooks(key, settings.webhook_inside),
        "email": Mails(settings.smtp_url, settings.mail_from),
    }
    deliveries = Deliveries(carriers, finish)
    consumers = jobs.steps(
        key,
        sender.send,
        settings.retention,
        finish=finish,
        deliveries=deliveries,
        escalate_minutes=settings.escalate_minutes,
    )
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
        deliveries.stop()
