"""The API and the pages over HTTP."""

from __future__ import annotations

import threading

import uvicorn

from deploy.database_url import connect
from deploy.services.capture import limits, pool
from deploy.services.http import serve
from deploy.services.outside import listed_witnesses
from deploy.services.process import collect_seldom, now, require_service
from deploy.settings import Settings
from ledger.keys import KeyStore
from trace_api.access import Databases
from trace_api.app import Configuration, capture_desk, create_app
from trace_api.capture import working


def run(settings: Settings, stop: threading.Event) -> None:
    require_service(settings.database_url, "api")
    witnesses = listed_witnesses(settings)
    public_url = settings.public_database_url or settings.database_url
    connect(public_url, "public").close()  # a pool would try for ever, and log each time what libpq says
    with pool(settings.database_url, "api") as api, pool(public_url, "public") as public:
        configuration = Configuration(
            settings.public_url,
            settings.log_dir,
            KeyStore(settings.keys_dir).organisation_key,
            witnesses=witnesses,
            capture=limits(settings),
            scan_region_header=settings.scan_region_header,
        )
        databases, woken = Databases(api, public), threading.Event()
        desk = capture_desk(databases, configuration, now, woken.set)
        collect_seldom()
        for _ in range(settings.capture_workers):
            threading.Thread(target=working.serve, args=(desk, woken, stop), daemon=True).start()
        serve(
            uvicorn.Config(
                create_app(databases, configuration, now, desk),
                settings.listen_host,
                settings.listen_port,
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=3,
            ),
            stop,
        )
