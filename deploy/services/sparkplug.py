"""The Sparkplug groups that an ingest process owns, beside its own worker and by the same registry.

Imported only where groups are named: the protobuf library is memory that a worker without them need not have.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial

import psycopg

from deploy.database_url import connect
from deploy.services.process import now
from deploy.settings import Settings
from ingest.clock import Samples
from ingest.closing import BatchNumbers
from ingest.faults import Faults
from ingest.pipeline import Line
from ingest.sessions import let_go_if_lost
from ingest.sparkplug import owner
from ingest.sparkplug.host import HostSession, host_id


def run(settings: Settings, line: Line, stop: threading.Event) -> None:
    """Hold the groups that nobody else holds, until `stop`."""

    connected = partial(connect, settings.database_url, silence_s=settings.database_silence_s)
    # Beyond a group's restart: what fails on everything would otherwise put a few more messages into quarantine each time.
    faults = {group: Faults() for group in settings.sparkplug_group_names}

    def lease() -> psycopg.Connection:
        conn = connected("sparkplug lease", autocommit=True)
        let_go_if_lost(conn)
        return conn

    def serve(group: str, stop_group: threading.Event) -> None:
        name = host_id(group)
        own = replace(line, worker=name, numbers=BatchNumbers(), samples=Samples(), faults=faults[group])
        heard = HostSession(settings.mqtt_url, group, now, settings.mqtt_keepalive_s)
        owner.listen(heard, partial(connected, name), own, now, stop_group)

    owner.hold(settings.sparkplug_group_names, lease, serve, stop)
