"""The composition root: makes each service out of the rooms, with its connection, keys, clock and stop signal.

Nothing else reads settings, the clock or the environment.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from types import FrameType

import psycopg
import uvicorn
from psycopg_pool import ConnectionPool

from deploy.migrate import check_schema
from deploy.settings import Settings
from ingest import detection, jobs, projection, rollups, sealing
from ingest.pipeline import Line
from ingest.quarantine import MonthlyKeys
from ingest.registry import Registry
from ingest.subscriber import Subscriber, lease_slot
from ingest.subscriber import serve as serve_ingest
from ledger import sequencer
from ledger.keys import KeyStore
from trace_api.access import Databases
from trace_api.app import Configuration, create_app


def now() -> datetime:
    return datetime.now(UTC)


def stop_event(follow_parent: bool) -> threading.Event:
    """Set by SIGTERM or SIGINT, and when our standard input closes if a parent holds its other end: whatever way the
    parent ends, nothing of ours stays behind."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    if follow_parent:
        threading.Thread(target=_follow_parent, args=(stop,), daemon=True).start()
    return stop


def _follow_parent(stop: threading.Event) -> None:
    sys.stdin.buffer.read()
    stop.set()
    time.sleep(15)  # a service that hangs in a call must not outlive its parent for long
    os._exit(1)


def connect(url: str, name: str) -> psycopg.Connection:
    return psycopg.connect(url, application_name=f"suyuan {name}", connect_timeout=10)


def run_ingest(settings: Settings, stop: threading.Event) -> None:
    slot_conn = connect(settings.database_url, "ingest slot")
    slot_conn.autocommit = True
    with slot_conn:
        check_schema(slot_conn)
        client = f"{settings.mqtt_client_prefix}-{lease_slot(slot_conn)}"
        line = Line(client, Registry(time.monotonic), MonthlyKeys(settings.keys_dir), settings.retention)
        subscriber = Subscriber(settings.mqtt_url, client, settings.mqtt_share_group or None)
        subscriber.start()
        try:
            serve_ingest(subscriber, partial(connect, settings.database_url, client), line, now, stop)
        finally:
            subscriber.stop()


def run_jobs(settings: Settings, stop: threading.Event) -> None:
    with connect(settings.database_url, "jobs") as conn:
        check_schema(conn)
    keys = KeyStore(settings.keys_dir)
    consumers: dict[str, Callable[[psycopg.Connection, datetime], bool]] = {
        "projection": projection.step,
        "detection": detection.step,
        "sealing": partial(sealing.step, key=keys.organisation_key),
        "rollup": rollups.step,
    }
    jobs.serve(consumers, partial(connect, settings.database_url, "jobs"), now, stop)


def run_sequencer(settings: Settings, stop: threading.Event) -> None:
    with connect(settings.database_url, "sequencer") as conn:
        check_schema(conn)
    sequencer.serve(
        partial(connect, settings.database_url, "sequencer"),
        KeyStore(settings.keys_dir),
        settings.data_dir,
        settings.log_origin,
        now,
        stop,
    )


def run_api(settings: Settings, stop: threading.Event) -> None:
    with connect(settings.database_url, "api") as conn:
        check_schema(conn)
    public_url = settings.public_database_url or settings.database_url
    with _pool(settings.database_url, "api") as api, _pool(public_url, "public") as public:
        configuration = Configuration(settings.public_url, settings.log_dir, KeyStore(settings.keys_dir).organisation_key)
        app = create_app(Databases(api, public), configuration, now)
        server = uvicorn.Server(
            uvicorn.Config(app, settings.listen_host, settings.listen_port, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
        )
        threading.Thread(target=_stop_server, args=(server, stop), daemon=True).start()
        server.run()
        stop.set()


def _stop_server(server: uvicorn.Server, stop: threading.Event) -> None:
    stop.wait()
    server.should_exit = True


def _pool(url: str, name: str) -> ConnectionPool:
    return ConnectionPool(url, min_size=1, max_size=8, kwargs={"application_name": f"suyuan {name}"}, open=False)


def log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
