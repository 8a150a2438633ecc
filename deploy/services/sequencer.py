"""The sequencer of all logs, and beside it who asks witnesses and a time-stamp authority about them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from functools import partial

import psycopg

from deploy.database_url import connect
from deploy.services.outside import authority, listed_witnesses
from deploy.services.process import now, require_service
from deploy.settings import Settings
from ledger import sequencer, timestamping, witnessing
from ledger.http_exchange import HttpTransport
from ledger.keys import KeyStore

ASKED_S = 10.0
"""How long a witness or an authority may take to answer."""

Connect = Callable[[], psycopg.Connection]


def run(settings: Settings, stop: threading.Event) -> None:
    require_service(settings.database_url, "sequencer")
    connected = partial(connect, settings.database_url, "sequencer", silence_s=settings.database_silence_s)
    beside = [_witnessing(settings, stop), _timestamping(settings, stop)]
    with ExitStack() as stack:
        for target in beside:
            thread = threading.Thread(target=target, daemon=True)
            thread.start()
            stack.callback(thread.join, ASKED_S / 2)
        sequencer.serve(
            connected,
            KeyStore(settings.keys_dir),
            settings.data_dir,
            settings.log_origin,
            now,
            stop,
            signing=settings.signing,
        )


def _witnessing(settings: Settings, stop: threading.Event) -> Callable[[], None]:
    return partial(
        witnessing.serve,
        _connected(settings, "witnessing"),
        settings.data_dir,
        listed_witnesses(settings),
        f"{settings.public_url.rstrip('/')}/log",
        HttpTransport(ASKED_S),
        now,
        stop,
    )


def _timestamping(settings: Settings, stop: threading.Event) -> Callable[[], None]:
    return partial(
        timestamping.serve,
        _connected(settings, "timestamping"),
        settings.data_dir,
        authority(settings),
        timedelta(hours=settings.tsa_hours),
        HttpTransport(ASKED_S),
        now,
        stop,
    )


def _connected(settings: Settings, name: str) -> Connect:
    """Each thread has a connection of its own, named for who looks into the database."""
    return partial(connect, settings.database_url, name, silence_s=settings.database_silence_s)
