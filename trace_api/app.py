"""The application: routes, files and errors put together. No module-level state: everything comes in here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psycopg
from fastapi import APIRouter, FastAPI, Response
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import FileResponse, JSONResponse

from ledger.log_files import CHECKPOINT, POLICY, LogFiles
from ledger.persons import Vault
from ledger.reader import LogReader, open_log
from ledger.root_log import ROOT
from ledger.witness_list import WitnessList, independent_cosigners
from trace_api import access, devices, excursions, lots, pages, pages_routes, problems, validating
from trace_api.access import Databases
from trace_api.accounts import accounts_pages, signing_in
from trace_api.accounts.guard import Guard
from trace_api.accounts.passwords import Passwords
from trace_api.acts import routes as acts_routes
from trace_api.alerts import api as alerts_api
from trace_api.alerts import pages as alerts_pages
from trace_api.audit import api as audit_api
from trace_api.audit import pages as audit_pages
from trace_api.capture import routes as capture_routes
from trace_api.capture.desk import Desk, Limits, desk_of
from trace_api.check import routes as check_routes
from trace_api.findings import api as findings_api
from trace_api.findings import pages as findings_pages
from trace_api.genealogy import pages as genealogy_pages
from trace_api.holds import routes as holds_routes
from trace_api.loggers import pages as loggers_pages
from trace_api.loggers import routes as loggers_routes
from trace_api.pages import Assets
from trace_api.problems import Problem
from trace_api.proofs import OrganisationKey
from trace_api.recalls import routes as recalls_routes
from trace_api.response_headers import ResponseHeaders
from trace_api.scan import routes as scan_routes
from trace_api.scanning import Scans
from trace_api.work import problem_page


@dataclass(frozen=True, slots=True)
class Configuration:
    """`public_url`: under https, cookies are for https alone. `log_dir`: the logs' public files. `organisation_key`: for
    rebuilding sealed windows. `passwords`: how they are hashed. `witnesses`: whose word counts on the pages and in evidence files.
    `scan_region_header`: by which a proxy in front tells a shopper's county. `capture`: how much is taken at once."""

    public_url: str
    log_dir: Path
    organisation_key: OrganisationKey
    passwords: Passwords = field(default_factory=Passwords)
    witnesses: WitnessList = field(default_factory=WitnessList)
    capture: Limits = field(default_factory=Limits)
    scan_region_header: str = ""


MOST_BYTES = 2 * 2**20
"""Of any request but a capture, which has a bound and a sentence of its own: a body is read before it is asked who sent it."""
_HEADERS: Final = {
    "Content-Security-Policy": pages.CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_LOG_FILE = re.compile(
    r"[a-z0-9][a-z0-9-]*/(checkpoint|vkeys?|clock\.vkey|timestamp/[0-9a-f]{64}\.tsr|tile/(entries|[0-9]{1,2})/(x[0-9]{3}/)*[0-9]{3}(\.p/[0-9]{1,3})?)"
)


def capture_desk(
    databases: Databases,
    configuration: Configuration,
    now: Callable[[], datetime],
    wake: Callable[[], None] = lambda: None,
) -> Desk:
    """`wake`: tells who works captures off in this process that there is one."""
    return desk_of(databases, configuration.organisation_key, configuration.capture, now, wake)


def create_app(
    databases: Databases,
    configuration: Configuration,
    now: Callable[[], datetime],
    desk: Desk | None = None,
) -> FastAPI:
    """`desk`: of `capture_desk`, where this process works captures off too."""
    scans = Scans(databases, configuration.scan_region_header, now)
    app = FastAPI(
        title="Suyuan 溯源",
        version=version("suyuan"),
        summary="Agricultural traceability and cold-chain evidence",
        docs_url=None,
        redoc_url=None,
        max_body_size=MOST_BYTES,
        lifespan=scans.lifespan,
    )
    assets = pages.load_assets(configuration.public_url)
    guard = Guard(databases, configuration.public_url, now)
    problems.install(app, partial(problem_page, assets, guard.known))

    desk = desk or capture_desk(databases, configuration, now)
    rooms = _Rooms(databases, configuration, now, guard, assets)
    for router in (*rooms.for_programs(desk), *rooms.for_everybody(scans), *rooms.at_work()):
        app.include_router(router)
    _serve_logs(app, configuration.log_dir)
    _serve_health(app, databases)

    app.add_middleware(ResponseHeaders, said=_HEADERS)
    app.add_middleware(GZipMiddleware, minimum_size=1024, compresslevel=6)
    return app


@dataclass(frozen=True, slots=True)
class _Rooms:
    """The routes of each room, by whom they are for, and what they are made of."""

    databases: Databases
    configuration: Configuration
    now: Callable[[], datetime]
    guard: Guard
    assets: Assets

    @property
    def vault(self) -> Vault:
        return Vault(self.configuration.organisation_key)

    def logs(self, organisation: str) -> LogReader | None:
        return open_log(self.configuration.log_dir, organisation)

    def witnessed(self) -> int:
        note = LogFiles(self.configuration.log_dir / ROOT).read(CHECKPOINT)
        return 0 if note is None else len(independent_cosigners(self.configuration.witnesses, note))

    def for_programs(self, desk: Desk) -> Iterator[APIRouter]:
        databases, guard, now, vault = self.databases, self.guard, self.now, self.vault
        key, witnesses = self.configuration.organisation_key, self.configuration.witnesses.witnesses
        url = self.configuration.public_url
        yield validating.router(guard)
        yield capture_routes.router(desk)
        yield lots.router(databases, guard, self.logs, key, vault, now, witnesses)
        yield excursions.router(databases)
        yield alerts_api.router(databases, guard, now)
        yield devices.router(databases, guard)
        yield acts_routes.router(databases, guard, url, vault, now)
        yield loggers_routes.router(databases, guard, now)
        yield recalls_routes.router(databases, guard, url, vault, now)
        yield findings_api.router(databases, guard, now)
        yield audit_api.router(databases, guard, self.logs, key, now, witnesses)

    def for_everybody(self, scans: Scans) -> Iterator[APIRouter]:
        databases, guard, now = self.databases, self.guard, self.now
        passwords = self.configuration.passwords
        yield genealogy_pages.router(databases, guard, self.assets)
        yield pages_routes.router(databases, self.configuration.public_url, now, self.witnessed, scans)
        yield signing_in.router(databases, guard, passwords, self.assets, now)

    def at_work(self) -> Iterator[APIRouter]:
        databases, guard, assets, now, vault = self.databases, self.guard, self.assets, self.now, self.vault
        url = self.configuration.public_url
        yield accounts_pages.router(databases, guard, self.configuration.passwords, assets, now)
        yield scan_routes.router(databases, guard, assets, url, vault, now)
        yield loggers_pages.router(databases, guard, assets, url, vault, now)
        yield alerts_pages.router(databases, guard, assets, self.configuration.organisation_key, now)
        yield audit_pages.router(databases, guard, assets, now)
        yield findings_pages.router(databases, guard, assets, now)
        yield check_routes.router(databases, guard, assets, url, vault, now)
        yield holds_routes.router(databases, guard, assets, url, vault, now)


def _serve_logs(app: FastAPI, log_dir: Path) -> None:
    """C2SP tlog-tiles: static files. Any web server may serve them instead of us."""

    @app.get("/log/{log}/{path:path}", tags=["Ledger"], summary="A log's checkpoint, tiles and entry bundles")
    def log_file(log: str, path: str) -> FileResponse:
        # The whole form of a path is asked for: a name that a log has not is none, whatever lies there.
        file = log_dir / log / path if _LOG_FILE.fullmatch(f"{log}/{path}") else None
        if file is None or (log_dir / log).is_symlink() or not file.is_file():
            raise Problem(
                404,
                "No such file in this log",
                "A log has /checkpoint, /vkey, /vkeys, /tile/<L>/<N>[.p/<W>] and /tile/entries/<N>[.p/<W>]; the root log also /clock.vkey"
                " and /timestamp/<SHA-256>.tsr.",
            )
        if path.startswith("timestamp/"):
            return _file(file, "application/timestamp-reply", fixed=True)
        if path.startswith("tile/"):
            return _file(file, "application/octet-stream", fixed=True)
        return _file(file, "text/plain; charset=utf-8", fixed=False)

    @app.get("/log/policy", tags=["Ledger"], summary="The logs' keys, their witnesses, and how many it takes")
    def policy() -> FileResponse:
        """c2sp.org/tlog-policy. What we say of ourselves: keep the keys that you were given another way."""
        if not (log_dir / POLICY).is_file():
            raise Problem(404, "No policy yet", "The sequencer writes it when it starts.")
        return _file(log_dir / POLICY, "text/plain; charset=utf-8", fixed=False)


def _file(path: Path, media_type: str, *, fixed: bool) -> FileResponse:
    cache = "public, max-age=31536000, immutable" if fixed else "no-cache"
    return FileResponse(path, media_type=media_type, headers={"Cache-Control": cache})


def _serve_health(app: FastAPI, databases: Databases) -> None:
    @app.get("/healthz", tags=["Health"], summary="The process answers")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["Health"], summary="The process can do its work")
    def readyz() -> Response:
        try:
            with access.everybody(databases) as conn:
                conn.execute("SELECT FROM published_organisation LIMIT 1")
            return JSONResponse({"status": "ready"})
        except psycopg.Error as error:
            return JSONResponse({"status": "not ready", "reason": str(error)}, 503)
