"""The mark consumers."""

from __future__ import annotations

import threading
from functools import partial

from deploy.database_url import connect
from deploy.services.process import now, require_schema
from deploy.settings import Settings
from ingest import jobs
from ledger.keys import KeyStore


def run(settings: Settings, stop: threading.Event) -> None:
    require_schema(settings.database_url, "jobs")
    consumers = jobs.steps(KeyStore(settings.keys_dir).organisation_key)
    jobs.serve(consumers, partial(connect, settings.database_url, "jobs"), now, stop)
