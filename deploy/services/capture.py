"""Working captured documents off, in a process of its own: beside the API's threads, or in their place."""

from __future__ import annotations

import threading
from datetime import timedelta

from psycopg_pool import ConnectionPool

from deploy.services.process import collect_seldom, now, require_service
from deploy.settings import Settings
from ledger.keys import KeyStore
from trace_api.access import Databases
from trace_api.capture import working
from trace_api.capture.desk import Limits, desk_of

POLL_S = 0.1
"""Nobody in this process stores documents and wakes it."""


def run(settings: Settings, stop: threading.Event) -> None:
    require_service(settings.database_url, "api")
    key = KeyStore(settings.keys_dir).organisation_key
    collect_seldom()
    with pool(settings.database_url, "capture") as api:
        desk = desk_of(Databases(api, api), key, limits(settings), now)
        working.serve(desk, threading.Event(), stop, POLL_S)


def limits(settings: Settings) -> Limits:
    return Limits(
        settings.capture_events,
        settings.capture_kilobytes * 1024,
        settings.capture_waiting,
        timedelta(days=settings.capture_days),
    )


def pool(url: str, name: str) -> ConnectionPool:
    return ConnectionPool(
        url, min_size=1, max_size=8, kwargs={"application_name": f"suyuan {name}"}, open=False
    )
