"""The mark consumers."""

from __future__ import annotations

import threading
from functools import partial

from deploy.services.process import connect, now, require_schema
from deploy.settings import Settings
from ingest import detection, jobs, projection, rollups, sealing
from ledger.keys import KeyStore


def run(settings: Settings, stop: threading.Event) -> None:
    require_schema(settings.database_url, "jobs")
    keys = KeyStore(settings.keys_dir)
    consumers: dict[str, jobs.Step] = {
        "projection": projection.step,
        "detection": detection.step,
        "sealing": partial(sealing.step, key=keys.organisation_key),
        "rollup": rollups.step,
    }
    jobs.serve(consumers, partial(connect, settings.database_url, "jobs"), now, stop)
