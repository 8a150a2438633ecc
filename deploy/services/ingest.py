"""An ingest worker."""

from __future__ import annotations

import threading
import time
from functools import partial

from deploy.database_url import connect
from deploy.services.process import now, require_schema
from deploy.settings import Settings
from ingest.pipeline import Line
from ingest.quarantine import MonthlyKeys
from ingest.registry import Registry
from ingest.subscriber import Subscriber, lease_slot
from ingest.worker import serve


def run(settings: Settings, stop: threading.Event) -> None:
    require_schema(settings.database_url, "ingest")
    slot = connect(settings.database_url, "ingest slot")
    slot.autocommit = True
    with slot:
        client = f"{settings.mqtt_client_prefix}-{lease_slot(slot)}"
        line = Line(client, Registry(time.monotonic), MonthlyKeys(settings.keys_dir), settings.retention)
        subscriber = Subscriber(settings.mqtt_url, client, settings.mqtt_share_group or None)
        subscriber.start()
        try:
            serve(subscriber, partial(connect, settings.database_url, client), line, now, stop)
        finally:
            subscriber.stop()
