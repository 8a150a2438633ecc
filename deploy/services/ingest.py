"""An ingest worker, and beside it the Sparkplug groups that it owns."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from deploy.database_url import connect
from deploy.services import metrics
from deploy.services.process import CannotStart, now, require_service
from deploy.settings import Settings
from ingest.budget import Budget
from ingest.clock import Samples
from ingest.metering import WorkerMeters
from ingest.pipeline import Line
from ingest.quarantine import MonthlyKeys
from ingest.registry import Registry
from ingest.sessions import Address, Sessions
from ingest.wire import profiles
from ingest.worker import serve
from ledger.persons import Vault

logger = logging.getLogger(__name__)


def line_of(settings: Settings, worker: str) -> Line:
    return Line(
        worker,
        Registry(time.monotonic),
        MonthlyKeys(settings.keys_dir),
        settings.retention,
        Vault.with_keys_in(settings.keys_dir),
        _profiles(settings),
        budget=Budget(settings.quarantine_rows, settings.quarantine_megabytes * 2**20),
    )


SWITCH_S = 0.0005
"""How long one thread may keep another from running. Python's own 5 ms are as long as a message may take to its commit."""


def run(settings: Settings, stop: threading.Event) -> None:
    sys.setswitchinterval(SWITCH_S)
    require_service(settings.database_url, "ingest")
    connected = partial(connect, settings.database_url, silence_s=settings.database_silence_s)
    address = Address(
        settings.mqtt_url,
        settings.mqtt_client_prefix,
        settings.mqtt_share_group or None,
        settings.mqtt_keepalive_s,
    )
    line = replace(line_of(settings, ""), samples=Samples())
    meters = WorkerMeters()
    sessions = Sessions(address, partial(connected, "ingest slot", autocommit=True))
    # The session last: from its subscription on the broker gives us our share, and one who ends at once leaves it lying.
    with metrics.served(settings, meters.registry):
        try:
            client = sessions.start()
            line = replace(line, worker=client)
            with _sparkplug_groups(settings, line):
                serve(sessions, partial(connected, client), line, now, stop, meters)
        finally:
            sessions.stop()


@contextmanager
def _sparkplug_groups(settings: Settings, line: Line) -> Iterator[None]:
    """In a thread of their own until the block ends."""
    if not settings.sparkplug_group_names:
        yield
        return
    from deploy.services import sparkplug

    stop = threading.Event()
    thread = threading.Thread(target=sparkplug.run, args=(settings, line, stop), name="sparkplug")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _profiles(settings: Settings) -> profiles.Profiles:
    try:
        found = profiles.load(settings.profiles_folder)
    except OSError as error:
        raise CannotStart(f"SUYUAN_PROFILES_DIR: {error.filename}: {error.strerror}") from error
    for name, why in found.refused.items():
        logger.error("a profile cannot be used", extra={"profile": name, "error": why})
    return found
