"""The sequencer of all logs."""

from __future__ import annotations

import threading
from functools import partial

from deploy.database_url import connect
from deploy.services.process import now, require_service
from deploy.settings import Settings
from ledger import sequencer
from ledger.keys import KeyStore


def run(settings: Settings, stop: threading.Event) -> None:
    require_service(settings.database_url, "sequencer")
    sequencer.serve(
        partial(connect, settings.database_url, "sequencer", silence_s=settings.database_silence_s),
        KeyStore(settings.keys_dir),
        settings.data_dir,
        settings.log_origin,
        now,
        stop,
        signing=settings.signing,
    )
